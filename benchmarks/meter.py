"""Processor time and wall time of what a block does, in this process and in others."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Taken:
    """What something took.

    Attributes:
        wall_s: Seconds by the clock.
        cpu_s: Processor seconds, user and system, of this process with all its threads.
        others_s: Processor seconds of the processes that were watched beside it.
    """

    wall_s: float
    cpu_s: float
    others_s: float

    def per(self, n: int) -> "Taken":
        """Return it divided by ``n``."""
        return Taken(self.wall_s / n, self.cpu_s / n, self.others_s / n)

    @property
    def total_s(self) -> float:
        """Processor seconds of this process and of the others."""
        return self.cpu_s + self.others_s


class Meter:
    """Runs from when it is made.

    Args:
        watched: Processes to count beside this one, each with its descendants, those that ended
            included: a database server, a cluster's workers.
    """

    def __init__(self, watched: Iterable[psutil.Process] = ()) -> None:
        self._watched = tuple(watched)
        self._others_s = self._others()
        self._cpu_s = time.process_time()
        self._started = time.perf_counter()

    def read(self) -> Taken:
        """Return what was taken since the start."""
        wall_s, cpu_s = time.perf_counter() - self._started, time.process_time() - self._cpu_s
        return Taken(wall_s, cpu_s, self._others() - self._others_s)

    def _others(self) -> float:
        return sum(tree_cpu_s(process) for process in self._watched)


class Stopwatch:
    """Adds up the processor seconds of this process within blocks: ``with watch: ...``."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self._began_s = 0.0

    def __enter__(self) -> None:
        self._began_s = time.process_time()

    def __exit__(self, *_raised: object) -> None:
        self.cpu_s += time.process_time() - self._began_s


def tree_cpu_s(process: psutil.Process) -> float:
    """Return the processor seconds of a process and its descendants so far; 0 if it is gone.

    A descendant that ended counts once its parent has waited for it.
    """
    try:
        times = process.cpu_times()
        children = process.children()
    except psutil.NoSuchProcess:
        return 0.0
    own = times.user + times.system + times.children_user + times.children_system
    return float(own) + sum(tree_cpu_s(child) for child in children)
