"""What verifying an export finds: one check after the other, and how many predictions agree."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """A check that was made.

    Attributes:
        name: What was checked.
        faults: A line for each thing that is not as it should be.
        found: What was checked and holds, in words.
    """

    name: str
    faults: tuple[str, ...]
    found: str

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass(frozen=True)
class Agreement:
    """How far the replayed predictions are those of the export.

    Attributes:
        chip: Index of the chip; None for the ideal converter.
        condition: What the chip was read at.
        images: How many there are.
        agreed: Of how many the prediction is the same.
        first_difference: The first image whose is not, counted from 0; None if all agree.
        accuracy: Of the replay (0..1).
    """

    chip: int | None
    condition: str
    images: int
    agreed: int
    first_difference: int | None
    accuracy: float


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        study: The study that the export says it is of.
        network: What it says that the network is called there.
        checks: In the order in which they were made; those after one that fails may be missing.
        agreements: Of each chip at each condition, then of the ideal converter.
        notes: What is to be known, a line each; no fault.
    """

    study: str
    network: str
    checks: tuple[Check, ...]
    agreements: tuple[Agreement, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every check was made and passed."""
        return bool(self.agreements) and all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"passed": self.passed, **asdict(self)}
