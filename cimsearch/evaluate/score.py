"""What comes back from a worker: a score. It is JSON and needs no torch."""

import json
from dataclasses import asdict, dataclass, field
from statistics import fmean, pstdev
from typing import Literal

from cimsearch.evaluate.distribution import Distribution, distribution, statistic_of
from cimsearch.spec.base import canonical_json
from cimsearch.spec.study import AccuracyStatistic, Level

SCORE_SCHEMA = "cimsearch/score/1"


@dataclass(frozen=True)
class AtCondition:
    """Accuracy at one of a rung's conditions.

    Attributes:
        label: The condition, with units.
        accuracy_per_chip: One accuracy (0..1) a chip instance, in order of chip index.
    """

    label: str
    accuracy_per_chip: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Mean over the chips."""
        return fmean(self.accuracy_per_chip)

    @property
    def accuracy_worst(self) -> float:
        """Of the worst chip."""
        return min(self.accuracy_per_chip)


@dataclass(frozen=True)
class OfWorkload:
    """What a worker found of one of several workloads, on the same chips.

    Attributes:
        name: The workload.
        images: On how many images it was scored.
        accuracy_per_chip: As that of a score.
        ideal_accuracy: Likewise.
        float_accuracy: Likewise.
        parent_epochs: Epochs trained on its float parent, which other candidates may share.
    """

    name: str
    images: int
    accuracy_per_chip: tuple[float, ...]
    ideal_accuracy: float
    float_accuracy: float
    parent_epochs: int = 0

    @property
    def accuracy(self) -> float:
        """Mean over the chips."""
        return fmean(self.accuracy_per_chip)

    def accuracy_by(self, statistic: AccuracyStatistic) -> float:
        """Return the workload's own accuracy by a study's statistic.

        Raises:
            ValueError: There are too few chips for it.
        """
        return statistic_of(statistic, self.accuracy_per_chip)


@dataclass(frozen=True)
class Score:
    """What a worker found.

    Of several workloads every accuracy is that over them, chip by chip; see ``evaluate.joint``.

    Attributes:
        level: Fidelity the accuracy was scored at.
        split: Which images it was scored on.
        images: How many.
        accuracy_per_chip: One accuracy (0..1) a chip instance, in order of chip index; where the
            rung has conditions, each chip's worst.
        ideal_accuracy: With an ideal converter and no noise: what quantisation alone leaves.
        float_accuracy: Of the float parent on the same images.
        activity_frac: Measured share of input bits that are 1, by layer.
        density_frac: Measured share of stored weight bits that are 1, by layer.
        parent_epochs: Epochs trained on the float parent; 0 if it came with its weights.
        epochs: Epochs trained on the candidate, those of earlier rungs included.
        seconds: Wall time.
        cpu_seconds: Processor time.
        fingerprint: Kind of machine (instruction sets, torch version): scores of different kinds
            may differ in the last bits.
        conditions: Accuracy at each of the rung's conditions; empty if it has none.
        shared_accuracy_per_chip: Where each chip was calibrated: the same chips with what was
            fitted once for all of them; empty if that is ``accuracy_per_chip``.
        calibration_images: Training images that each chip was calibrated with; 0 if none was.
        calibration_cpu_seconds: Processor time of calibrating all chips, part of ``cpu_seconds``.
        workloads: What was found of each workload; empty if there is one.
    """

    level: Level
    split: Literal["validation", "test"]
    images: int
    accuracy_per_chip: tuple[float, ...]
    ideal_accuracy: float
    float_accuracy: float
    activity_frac: dict[str, float] = field(default_factory=dict)
    density_frac: dict[str, float] = field(default_factory=dict)
    parent_epochs: int = 0
    epochs: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    fingerprint: str = ""
    conditions: tuple[AtCondition, ...] = ()
    shared_accuracy_per_chip: tuple[float, ...] = ()
    calibration_images: int = 0
    calibration_cpu_seconds: float = 0.0
    workloads: tuple[OfWorkload, ...] = ()

    @property
    def accuracy(self) -> float:
        """Mean over the chips."""
        return fmean(self.accuracy_per_chip)

    @property
    def accuracy_at_best(self) -> float:
        """Mean over the chips at the rung's kindest condition; of all where it has none."""
        return max((at.accuracy for at in self.conditions), default=self.accuracy)

    @property
    def accuracy_std(self) -> float:
        """Standard deviation of these chips (population: divided by n; 0 for one chip).

        The spread to be expected of others is ``distribution.sample_std``.
        """
        return pstdev(self.accuracy_per_chip)

    @property
    def accuracy_worst(self) -> float:
        """Of the worst chip."""
        return min(self.accuracy_per_chip)

    @property
    def shared_accuracy(self) -> float | None:
        """Mean over the chips with what was fitted once; None if no chip was calibrated."""
        return fmean(self.shared_accuracy_per_chip) if self.shared_accuracy_per_chip else None

    @property
    def distribution(self) -> Distribution:
        """What the chips tell of all chips."""
        return distribution(self.accuracy_per_chip, images=self.images)

    def accuracy_by(self, statistic: AccuracyStatistic) -> float:
        """Return the accuracy that a study of this statistic maximises.

        Raises:
            ValueError: There are too few chips for it.
        """
        return statistic_of(statistic, self.accuracy_per_chip)

    def to_json(self) -> str:
        """Return the score as canonical JSON."""
        plain = {"schema": SCORE_SCHEMA} | asdict(self)
        if not self.workloads:
            del plain["workloads"]
        return canonical_json(plain)

    @classmethod
    def from_json(cls, text: str) -> "Score":
        """Return the score that ``to_json`` described.

        Raises:
            ValueError: The schema is not this version's.
        """
        raw = json.loads(text)
        schema = raw.pop("schema", None)
        if schema != SCORE_SCHEMA:
            raise ValueError(f"score schema is {schema!r}; allowed is {SCORE_SCHEMA!r}")
        for name in ("accuracy_per_chip", "shared_accuracy_per_chip"):
            raw[name] = tuple(raw.get(name, ()))
        raw["conditions"] = tuple(
            AtCondition(part["label"], tuple(part["accuracy_per_chip"]))
            for part in raw.get("conditions", ())
        )
        raw["workloads"] = tuple(
            OfWorkload(**(part | {"accuracy_per_chip": tuple(part["accuracy_per_chip"])}))
            for part in raw.get("workloads", ())
        )
        return cls(**raw)
