"""Workers and schedulers that are gone: the reasons of attempts and the errors of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from distributed.scheduler import KilledWorker

from cimsearch.errors import WorkerError
from cimsearch.workers.shim import UnfitError


def died(address: str, how: str = "") -> str:
    """Return the reason of an attempt whose worker died."""
    return f"KilledWorker: the worker at {address} died{how}"


def died_of(address: str, error: BaseException) -> str:
    """Return the reason of an attempt that dask ended with an error."""
    return died(address, "" if isinstance(error, KilledWorker) else f": {_line(error)}")


def cannot_begin(address: str, error: BaseException) -> WorkerError | None:
    """Return the error of a cluster that lacks what a job needs, if the error tells of that."""
    if isinstance(error, UnfitError):
        return error
    unreadable = isinstance(error, RuntimeError) and "deserializ" in str(error)
    if not unreadable and not isinstance(error, (ImportError, AttributeError)):
        return None
    return WorkerError(
        f"the dask cluster at {address} cannot run jobs: {_line(error)}",
        "install this version of cimsearch, with the same libraries, for its scheduler and "
        "workers",
    )


def _line(error: BaseException) -> str:
    """Return the error as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def scheduler_gone(address: str) -> WorkerError:
    """Return the error of a scheduler that others started and that has gone."""
    return WorkerError(
        f"the dask scheduler is gone: {address} does not answer any more",
        "nothing recorded is lost; go on with `cimsearch resume`",
    )


def wardens_die(times: int) -> WorkerError:
    """Return the error of local workers that do not stay."""
    return WorkerError(
        f"the local workers' process ended {times} times in a row before any trial did",
        "look at what it printed, and for memory that ran out; then `cimsearch resume`",
    )


@contextmanager
def reached(address: str) -> Iterator[None]:
    """Turn what dask raises when no scheduler answers into an error of ours."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"no dask scheduler answers at {address}: {error}",
            "start one with `dask scheduler`, or leave --cluster out",
        ) from error
