"""Progress at most once a second: a fast epoch must not flood scheduler and database."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cimsearch.evaluate.report import Report

INTERVAL_S = 1.0


class Throttle:
    """Passes on the first report, and of those that follow at most one an interval.

    Args:
        send: What is given a report as JSON bytes.
        clock: Seconds that only grow.
    """

    def __init__(
        self, send: Callable[[bytes], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send = send
        self._clock = clock
        self._sent_s: float | None = None

    def __call__(self, report: "Report") -> None:
        """Pass the report on, or drop it if the last one is not long ago."""
        now_s = self._clock()
        if self._sent_s is None or now_s - self._sent_s >= INTERVAL_S:
            self._sent_s = now_s
            self._send(report.to_json().encode())
