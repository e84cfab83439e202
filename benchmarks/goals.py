"""Tables of what was found beside its goal, for the benchmarks of storage and distribution."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version

from cimsearch.errors import ExitCode


@dataclass(frozen=True)
class Row:
    """One line of a table: what was measured, its goal, and whether that is met.

    A row without a goal (``-``) is there to be read, and is never missed.
    """

    name: str
    found: str
    goal: str = "-"
    met: bool = True

    def __str__(self) -> str:
        mark = "" if self.goal == "-" else "met" if self.met else "MISSED"
        return f"{self.name:48} {self.found:>38}   {self.goal:12} {mark}".rstrip()


def at_least(name: str, found: float, goal: float, note: str = "") -> Row:
    """Return the row of a ratio that should be ``goal`` or more."""
    return Row(name, _with(f"{found:.1f} x", note), f">= {goal:g} x", found >= goal)


def at_most(name: str, found: float, goal: float, unit: str, note: str = "") -> Row:
    """Return the row of a quantity that should be ``goal`` or less."""
    return Row(name, _with(f"{found:.2f} {unit}", note), f"<= {goal:g} {unit}", found <= goal)


def none_of(name: str, found: int) -> Row:
    """Return the row of a count that should be 0."""
    return Row(name, str(found), "0", found == 0)


def heading(title: str, *packages: str) -> None:
    """Print what is measured, on which machine, with which versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("cimsearch", "optuna", *packages))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{title}\n{machine}; Python {platform.python_version()}, {versions}", flush=True)


def conclude(rows: Iterable[Row]) -> int:
    """Print rows as they come; return the exit code, 1 if a goal is missed."""
    print(f"\n{'':48} {'found':>38}   goal")
    met = True
    for row in rows:
        print(row, flush=True)
        met = met and row.met
    return ExitCode.OK if met else ExitCode.FAILED


def _with(text: str, note: str) -> str:
    return f"{text} ({note})" if note else text
