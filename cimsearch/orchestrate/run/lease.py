"""The lease on a study: while one orchestrator runs it, no other does."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from cimsearch.errors import LeaseLostError, StorageError, StudyError
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.stopping import Stopping
from cimsearch.store import CimStorage
from cimsearch.store import records as db

LEASE_S = 30.0
"""How long a study stays with an orchestrator that has died, in seconds."""

_RENEW_S = LEASE_S / 3
_LOOK_S = 0.5


@contextmanager
def leased(
    context: Context, on_wait: Callable[[db.LeaseRow], None], stopping: Stopping
) -> Iterator[None]:
    """Hold the study's lease for the time of the block, renewing it meanwhile.

    Whoever holds it and renews it runs the study. One that has died does not renew: its lease ends
    after at most ``LEASE_S`` seconds, which this waits for.

    Args:
        context: The study.
        on_wait: Called once with the lease that is waited for.
        stopping: How the user has asked to stop; looked at while waiting.

    Raises:
        StudyError: Another orchestrator runs the study.
        KeyboardInterrupt: The user has asked to stop before the lease was had.
    """
    _take(context, on_wait, stopping)
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
    """Return how others name this process: ``host:pid (place)``.

    The place tells apart machines of one name, boots of one machine, and containers that count
    their processes apart.
    """
    return f"{socket.gethostname()}:{os.getpid()} ({_place()})"


@cache
def _place() -> str:
    """Return six hexadecimal digits of where process numbers mean the same processes."""
    known = [socket.gethostname()]
    # Where there is no such file (not on Linux), names and numbers must do.
    with suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:6]


def current(storage: CimStorage, study_id: int) -> db.LeaseRow | None:
    """Return the lease on a study; one whose holder is known to have died is not alive."""
    lease = db.lease_of(storage, study_id)
    if lease is not None and lives_here(lease.owner) is False:
        return replace(lease, alive=False)
    return lease


def _take(context: Context, on_wait: Callable[[db.LeaseRow], None], stopping: Stopping) -> None:
    first: db.LeaseRow | None = None
    while True:
        other = db.lease_of(context.storage, context.study_id)
        lives = None if other is None else lives_here(other.owner)
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
            if stopping() != "no":
                raise KeyboardInterrupt from None
            time.sleep(_LOOK_S)
        else:
            return


def lives_here(name: str) -> bool | None:
    """Tell whether an owner is a process of this place that runs; None if that is not known.

    It is not of other places, nor of one that was called as this process is: in a container that
    is started again, processes have the same numbers.
    """
    head, _, place = name.rpartition(" ")
    host, _, number = head.rpartition(":")
    if place != f"({_place()})" or host != socket.gethostname() or name == owner():
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
        except StorageError:
            continue  # the lease may still be ours when the database can be written again
        except (LeaseLostError, KeyError):
            return  # another's, or the study has been deleted
