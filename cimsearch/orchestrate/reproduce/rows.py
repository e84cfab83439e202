"""A published figure beside ours."""

from dataclasses import dataclass
from typing import Literal

Evidence = Literal["read", "third party", "arithmetic"]
"""How the published figure was got: read in the primary source (or its abstract), told by a third
party's table, or worked out by hand from the shapes, without the paper's own table."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        what: What it is of.
        unit: Of both figures; empty for a count.
        paper: The published one.
        ours: What cimsearch says.
        tolerance: What is allowed, in words.
        passed: Whether ours is within it.
        evidence: How the published one was got.
        source: Where from.
    """

    what: str
    unit: str
    paper: float
    ours: float
    tolerance: str
    passed: bool
    evidence: Evidence
    source: str


@dataclass(frozen=True)
class Reproduction:
    """A table of figures.

    Attributes:
        name: As asked.
        title: One line.
        rows: Its lines.
        notes: What a reader has to know, a sentence or more each.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every figure is within its tolerance."""
        return all(row.passed for row in self.rows)
