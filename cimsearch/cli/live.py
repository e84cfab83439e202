"""Live progress on stderr: one line that is redrawn on a terminal, one line a change elsewhere."""

import os
import shutil
import sys
import time
from dataclasses import replace

from cimsearch.cli.output import duration
from cimsearch.cli.status import report_text
from cimsearch.orchestrate.run.progress import Progress
from cimsearch.orchestrate.run.stalling import ENDED_BY

_QUIET_S = 4.0


class LiveProgress:
    """Shows progress snapshots on stderr."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._last: Progress | None = None
        self._shown = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show a snapshot, if it says something new."""
        # What only time changes is no news to a log file, nor is each epoch.
        news = replace(progress, elapsed_s=0.0, left_s=None, now=())
        now = time.monotonic()
        if self._terminal:
            width = shutil.get_terminal_size().columns
            sys.stderr.write(f"\r\x1b[2K{_line(progress)[: width - 1]}")
        elif news != self._last and (self._is_turn(progress) or now - self._shown >= _QUIET_S):
            sys.stderr.write(f"{_line(progress)}\n")
            self._shown = now
        else:
            return
        sys.stderr.flush()
        self._last = news

    def _is_turn(self, progress: Progress) -> bool:
        return self._last is None or progress.phase != self._last.phase

    def close(self) -> None:
        """End the line that is being redrawn."""
        if self._terminal and self._last:
            sys.stderr.write("\n")
            self._last = None


def _line(progress: Progress) -> str:
    best = "-" if progress.best_accuracy is None else f"{100 * progress.best_accuracy:.1f} %"
    parts = [
        f"{progress.phase}: {progress.done}/{progress.budget} done",
        *(f"{n} at rung {rung}" for rung, n in enumerate(progress.by_rung) if rung),
        f"{progress.to_do} to do",
        f"{progress.running} running",
        f"{progress.failed} failed",
        f"{progress.infeasible} infeasible",
        f"best {best}",
        f"front {progress.front}",
        f"hypervolume {progress.hypervolume:.4f}",
    ]
    if progress.ended_by is not None:
        parts.append(ENDED_BY[progress.ended_by])
    if progress.now:
        # One line has room for one: whoever has the most to tell is the furthest.
        furthest = max(progress.now, key=lambda now: now.report.epoch / now.report.epochs)
        parts.append(f"{furthest.label}: {report_text(furthest.report)}")
    if progress.left_s is not None and progress.phase != "finished":
        parts.append(f"{duration(progress.left_s)} left")
    return " | ".join(parts)
