"""Live progress on stderr: one line that is redrawn on a terminal, one line a change elsewhere."""

import sys
import time

from cimsearch.orchestrate.progress import Progress

_QUIET_S = 2.0


class LiveProgress:
    """Shows progress snapshots on stderr."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last_line = ""
        self._last_time = -_QUIET_S
        self._last_phase = ""

    def __call__(self, progress: Progress) -> None:
        """Show a snapshot, if it says something new."""
        line = _line(progress)
        now = time.monotonic()
        if self._terminal:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        elif line != self._last_line and (
            progress.phase != self._last_phase or now - self._last_time >= _QUIET_S
        ):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
            self._last_time = now
        else:
            return
        self._last_line, self._last_phase = line, progress.phase

    def close(self) -> None:
        """End the line that is being redrawn."""
        if self._terminal and self._last_line:
            sys.stderr.write("\n")


def _line(progress: Progress) -> str:
    best = "-" if progress.best_accuracy is None else f"{100 * progress.best_accuracy:.1f} %"
    parts = [
        f"{progress.phase}: {progress.done}/{progress.budget} done",
        f"{progress.running} running",
        f"{progress.failed} failed",
        f"{progress.infeasible} infeasible",
        f"best {best}",
        f"front {progress.front}",
        f"hypervolume {progress.hypervolume:.4g}",
    ]
    if progress.left_s is not None and progress.phase != "finished":
        parts.append(f"{_duration(progress.left_s)} left")
    return " | ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes}:{rest:02d} min"
