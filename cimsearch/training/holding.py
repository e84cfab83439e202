"""Locks of what is being trained, so that two processes do not train the same.

They are ``flock`` locks: the system frees one at once when its holder dies. Without a lock nothing
is lost but time: whoever trains gets the same bits.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

from filelock import Timeout, UnixFileLock

# A holder that gives no sign of life for so long is not waited for.
SILENT_S = 600.0
_LOOK_S, _POLL_S = 5.0, 0.1


@contextmanager
def holding(path: Path, *, wait: bool) -> Iterator[Callable[[], None]]:
    """Hold the lock ``path`` if it can be had, and go on without it otherwise.

    Args:
        path: The lock's file, which is there while the lock is held.
        wait: Whether to wait until it is free, or its holder silent for ``SILENT_S``.

    Yields:
        A function to call now and then: it tells those who wait that the holder is alive.

    Raises:
        OSError: The file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _new(path)
    held = _acquired(lock, path) if wait else _free(lock)

    def alive() -> None:
        if held:
            with suppress(OSError):
                os.utime(path)

    try:
        yield alive
    finally:
        if held:
            # Whoever has opened it already sees that it has no name any more, and opens it anew.
            with suppress(OSError):
                path.unlink()
            lock.release()


def is_held(path: Path) -> bool:
    """Return whether anybody, this process as well, holds the lock ``path``."""
    if not path.exists():
        return False
    lock = _new(path)
    if not _free(lock):
        return True
    lock.release()
    return False


def _new(path: Path) -> UnixFileLock:
    return UnixFileLock(path, poll_interval=_POLL_S, fallback_to_soft=False)


def _free(lock: UnixFileLock) -> bool:
    """Take the lock if it is free."""
    with suppress(Timeout):
        lock.acquire(timeout=0)
    return bool(lock.is_locked)


def _acquired(lock: UnixFileLock, path: Path) -> bool:
    """Take the lock when it becomes free; return False if its holder has fallen silent."""
    sign, since = _sign_of_life(path), monotonic()
    while not lock.is_locked:
        with suppress(Timeout):
            lock.acquire(timeout=_LOOK_S)
        if (seen := _sign_of_life(path)) != sign:
            sign, since = seen, monotonic()
        elif monotonic() - since > SILENT_S:
            break
    return bool(lock.is_locked)


def _sign_of_life(path: Path) -> int:
    """Return what changes whenever the holder calls ``alive``."""
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0
