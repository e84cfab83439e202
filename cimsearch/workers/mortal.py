"""Processes that do not outlive those that they work for."""

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress

import psutil

_PR_SET_PDEATHSIG = 1
_LOOK_S = 0.5


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it dies.

    dask's own watch is a thread, which code that holds the interpreter's lock keeps from running.
    Linux only; elsewhere that thread must do.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def watch_parent(pipe: int, parent: int, end: threading.Event) -> None:
    """Set ``end`` when the parent closes its end of ``pipe``, or is not our parent any more.

    A pipe alone would not do: a process that the parent forked may hold it open.
    """
    threading.Thread(target=_read_to_end, args=(pipe, end), daemon=True).start()
    threading.Thread(target=_look_for, args=(parent, end), daemon=True).start()


def kill_tree(pid: int | None) -> None:
    """Kill a process and all that it has started, as far as they are there."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (*root.children(recursive=True), root):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _read_to_end(pipe: int, end: threading.Event) -> None:
    while os.read(pipe, 4096):
        pass
    end.set()


def _look_for(parent: int, end: threading.Event) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    end.set()
