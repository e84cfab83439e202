"""What a worker runs: JSON bytes in, an event out; torch is imported here and not before.

This is the worker boundary, the one place that may catch every exception: whatever goes wrong in
an evaluation is recorded with its reason and the study goes on.
"""

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cimsearch.errors import DataError, WorkerError
from cimsearch.workers.executor import Event
from cimsearch.workers.throttle import Throttle

if TYPE_CHECKING:
    from cimsearch.evaluate.report import OnReport

Run = Callable[[bytes, "OnReport"], bytes]
"""What evaluates a job: its JSON bytes and whom to report to in, the score's JSON bytes out."""

_REASON_CHARACTERS = 2000


class UnfitError(WorkerError):
    """A worker lacks what every job needs: the data, a library, the sources of this version."""


def run_job(payload: bytes, on_report: "OnReport") -> bytes:
    """Return the score of the job in ``payload``."""
    # Two contending OpenMP pools are many times slower than two single threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from cimsearch.evaluate.run import evaluate_json

    return evaluate_json(payload.decode(), on_report).encode()


def run_attempt(token: str, payload: bytes, run: Run, tell: Callable[[Event], None]) -> Event:
    """Run a job and return how it ended.

    Args:
        token: The attempt's token.
        payload: The job.
        run: What evaluates it.
        tell: Given how far it is, at most once a second.

    Raises:
        UnfitError: Data or a library is missing here. The orchestrator has seen both, so the job
            is not to blame.
    """
    worker = name_of(os.getpid())
    on_report = Throttle(lambda report: tell(Event(token, "progress", report, worker=worker)))
    try:
        return Event(token, "done", run(payload, on_report), worker=worker)
    except (DataError, ImportError) as error:
        raise unfit(worker, _reason(error)) from error
    except BaseException as error:  # noqa: BLE001 - the worker boundary records and returns it
        return Event(token, "failed", reason=_reason(error), worker=worker)


def unfit(worker: str, reason: str) -> UnfitError:
    """Return the error of a worker that can run no job."""
    return UnfitError(
        f"the worker {worker} cannot run jobs: {' '.join(reason.split())}",
        "every worker needs the study's data, this version of cimsearch, and its libraries "
        "(cimsearch[train]); then `cimsearch resume`",
    )


def name_of(pid: int) -> str:
    """Return the name by which users find a worker process: ``host:pid``."""
    return f"{socket.gethostname()}:{pid}"


def _reason(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    try:
        text = error.message if isinstance(error, DataError) else str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot even say what it is
        text = "(its text cannot be told)"
    place = f"{Path(where.filename).name}:{where.lineno}"
    return f"{type(error).__name__}: {text[:_REASON_CHARACTERS]} ({place})"
