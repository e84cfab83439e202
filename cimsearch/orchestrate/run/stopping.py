"""How a user stops a study: once to let running trials end, twice to stop without them."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

Stop = Literal["no", "drain", "now"]
Stopping = Callable[[], Stop]


def never() -> Stop:
    """Nobody asks to stop."""
    return "no"


@contextmanager
def stop_on_signals() -> Iterator[Stopping]:
    """Give a function that tells whether Ctrl-C or SIGTERM has asked the study to stop, and how.

    The loop stops between two steps, never within one. A third signal interrupts wherever the
    program is: whatever transaction it is in is then undone.
    """
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 2:
            raise KeyboardInterrupt

    def how() -> Stop:
        return ("no", "drain", "now")[min(len(asked), 2)]

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller handles its own signals
        yield never
        return
    try:
        yield how
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
