"""The lease on a study: while one orchestrator runs it, no other does."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from cimsearch.errors import LeaseLostError, StorageError, StorageUnreachableError, StudyError
from cimsearch.orchestrate.context import Context
from cimsearch.store import records as db

LEASE_S = 30.0
"""How long a study stays with an orchestrator that has died, in seconds."""

_RENEW_S = LEASE_S / 3
_LOOK_S = 0.5


@contextmanager
def leased(context: Context, on_wait: Callable[[db.LeaseRow], None]) -> Iterator[None]:
    """Hold the study's lease for the time of the block, renewing it meanwhile.

    Whoever holds it and renews it runs the study. One that has died does not renew: its lease ends
    after at most ``LEASE_S`` seconds, which this waits for.

    Args:
        context: The study.
        on_wait: Called once with the lease that is waited for.

    Raises:
        StudyError: Another orchestrator runs the study.
    """
    _take(context, on_wait)
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(context, ended), name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        # Where that cannot be written, the lease ends by itself.
        with suppress(StorageError):
            db.release_lease(context.storage, context.study_id)


def owner() -> str:
    """Return how others name this process: its machine and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _take(context: Context, on_wait: Callable[[db.LeaseRow], None]) -> None:
    first: db.LeaseRow | None = None
    while True:
        other = db.lease_of(context.storage, context.study_id)
        lives = None if other is None else _lives(other.owner)
        dead = other.owner if other is not None and lives is False else None
        try:
            db.take_lease(
                context.storage, context.study_id, owner=owner(), seconds=LEASE_S, dead=dead
            )
        except StudyError:
            if other is None:
                continue
            if first is None:
                first = other
                if not lives:
                    on_wait(other)
            if lives or (other.taken, other.renewed) != (first.taken, first.renewed):
                raise
            time.sleep(_LOOK_S)
        else:
            return


def _lives(name: str) -> bool | None:
    """Tell whether an owner is a process of this machine that runs; None of other machines."""
    host, _, number = name.rpartition(":")
    if host != socket.gethostname():
        return None
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _keep(context: Context, ended: threading.Event) -> None:
    """Renew the lease until it is not wanted any more, or somebody else has it.

    Nobody has to be told of the latter: every write checks the lease.
    """
    while not ended.wait(_RENEW_S):
        try:
            db.renew_lease(context.storage, context.study_id, seconds=LEASE_S)
        except StorageUnreachableError:
            continue  # the lease may still be ours when the server is back
        except LeaseLostError:
            return
