"""How far a running evaluation is: what a worker tells while it works."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from cimsearch.spec.base import canonical_json

Stage = Literal["parent", "candidate", "chips"]


@dataclass(frozen=True)
class Report:
    """How far an evaluation is.

    Attributes:
        stage: Training the float parent, training the candidate, or scoring its chips.
        epoch: Epochs of the stage that are done; chips scored in the last one.
        epochs: Epochs, or chips, of the stage.
        accuracy: Share (0..1) of the last epoch's training images that the network had right; of
            chips, the last one's accuracy; None where none is known.
        workload: Of which of several workloads that is; empty if there is one.
    """

    stage: Stage
    epoch: int
    epochs: int
    accuracy: float | None = None
    workload: str = ""

    def to_json(self) -> str:
        """Return the report as canonical JSON."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Return the report that ``to_json`` described."""
        return cls(**json.loads(text))


OnReport = Callable[[Report], None]


def unheard(report: Report) -> None:
    """Tell nobody."""
