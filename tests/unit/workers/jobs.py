"""Jobs that workers run in tests instead of an evaluation: each named by its payload."""

import ctypes
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimsearch.errors import DataError

if TYPE_CHECKING:
    from cimsearch.evaluate.report import OnReport


def job(what: str, **arguments: Any) -> bytes:
    """Return the payload that has ``run`` do ``what``."""
    return json.dumps({"what": what, **arguments}).encode()


def run(payload: bytes, on_report: "OnReport") -> bytes:
    """Do what the payload says."""
    arguments = json.loads(payload)
    return _JOBS[arguments.pop("what")](on_report, **arguments)


def _echo(on_report: "OnReport", text: str = "") -> bytes:
    return text.encode()


def _sleep(on_report: "OnReport", seconds: float, mark: str | None = None) -> bytes:
    """Sleep, and touch the file ``mark`` all the while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if mark:
            Path(mark).write_text(str(os.getpid()), encoding="utf-8")
        time.sleep(0.05)
    return b"slept"


def _stuck(on_report: "OnReport", seconds: int, mark: str | None = None) -> bytes:
    """Sleep in C code, with the interpreter's lock held: no other thread of the process runs."""
    if mark:
        Path(mark).write_text(str(os.getpid()), encoding="utf-8")
    ctypes.PyDLL(None).sleep(seconds)
    return b"woken"


def _hold(on_report: "OnReport", megabytes: int, seconds: float) -> bytes:
    held = bytearray(b"x") * (megabytes * 1_000_000)
    time.sleep(seconds)
    return str(len(held)).encode()


def _raise(on_report: "OnReport", kind: str) -> bytes:
    raise _ERRORS[kind]()


class UnpicklableError(Exception):
    """An exception that cannot be pickled, nor say what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def __str__(self) -> str:
        raise ValueError("no text")


def _no_data(on_report: "OnReport") -> bytes:
    raise DataError("the folder of images is not here", "mount it")


def _no_library(on_report: "OnReport") -> bytes:
    raise ModuleNotFoundError("a library is not here")


_ERRORS: dict[str, Callable[[], BaseException]] = {
    "unpicklable": UnpicklableError,
    "exit": lambda: SystemExit(3),
    "plain": lambda: ValueError("wrong"),
}


def _die(on_report: "OnReport") -> bytes:
    os._exit(3)


def _report(on_report: "OnReport", times: int, pause_s: float) -> bytes:
    from cimsearch.evaluate.report import Report

    for epoch in range(times):
        on_report(Report("candidate", epoch, times, 0.5))
        time.sleep(pause_s)
    return b"reported"


def _print(on_report: "OnReport", characters: int) -> bytes:
    sys.stdout.write("x" * characters)
    sys.stdout.flush()
    return b"printed"


def _environment(on_report: "OnReport") -> bytes:
    return json.dumps(dict(os.environ)).encode()


def _modules(on_report: "OnReport") -> bytes:
    return json.dumps(sorted(sys.modules)).encode()


_JOBS: dict[str, Callable[..., bytes]] = {
    "echo": _echo,
    "sleep": _sleep,
    "stuck": _stuck,
    "hold": _hold,
    "raise": _raise,
    "die": _die,
    "no_data": _no_data,
    "no_library": _no_library,
    "report": _report,
    "print": _print,
    "environment": _environment,
    "modules": _modules,
}
