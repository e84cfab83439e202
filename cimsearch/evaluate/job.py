"""The contract between the orchestrator and a worker: a job goes out, a score comes back.

Both are JSON; neither needs torch. A job holds all that its score depends on, so a score can be
reused for any job of equal key.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from statistics import fmean, pstdev
from typing import Any, Literal

from pydantic import TypeAdapter

from cimsearch.blueprint import Blueprint
from cimsearch.evaluate.distribution import Distribution, distribution, statistic_of
from cimsearch.evaluate.version import code_hash
from cimsearch.spec.base import canonical_json, content_hash
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import AccuracyStatistic, Calibration, DataSpec, Level, Recipe, Rung

JOB_SCHEMA = "cimsearch/job/4"
# Without a cache; without earlier rungs.
_OLDER_SCHEMAS = ("cimsearch/job/2", "cimsearch/job/3")
SCORE_SCHEMA = "cimsearch/score/1"

Part = Literal["train", "validation", "test"]

_DATA: TypeAdapter[DataSpec] = TypeAdapter(DataSpec)


@dataclass(frozen=True)
class Job:
    """One evaluation: train this candidate for this hardware and score it.

    Attributes:
        candidate_hash: Names the candidate; keys its training stream.
        blueprint: The candidate's network.
        parent: Its float parent's network.
        hardware: The macro and system, resolved.
        data: The data set as the study declares it.
        data_path: Where the data lies on the workers, if it is on disk.
        data_fingerprint: What the data is, so that a score is never reused for other data.
        recipe: How it is trained.
        rung: Epochs, levels, chips, images and conditions.
        earlier: The rungs below, lowest first: the candidate is trained through their epochs
            first, each going on from the weights of the last.
        study_seed: Keys every stream of the study.
        replicate: 0 in the search; the final scoring on test images uses others.
        first_chip: Index of the first chip; chips are common to all candidates.
        split: Which images the score is on.
        calibration: What converter ranges and batch norms are fitted to: all chips, or each.
        cache: Where trained networks are kept: a folder, or a URL that fsspec reads; None is the
            worker's own cache.
    """

    candidate_hash: str
    blueprint: Blueprint
    parent: Blueprint
    hardware: Hardware
    data: DataSpec
    data_path: str | None
    data_fingerprint: str
    recipe: Recipe
    rung: Rung
    study_seed: int
    replicate: int = 0
    first_chip: int = 0
    split: Literal["validation", "test"] = "validation"
    calibration: Calibration = "shared"
    cache: str | None = None
    earlier: tuple[Rung, ...] = ()

    @property
    def before(self) -> "Job | None":
        """The job of the rung below, whose trained weights this one goes on from."""
        if not self.earlier:
            return None
        return replace(self, rung=self.earlier[-1], earlier=self.earlier[:-1])

    @property
    def epochs(self) -> int:
        """Epochs trained on the candidate, those of earlier rungs included."""
        return sum(rung.epochs for rung in (*self.earlier, self.rung))

    def to_json(self) -> str:
        """Return the job as canonical JSON."""
        return canonical_json(self._plain)

    @cached_property
    def _plain(self) -> dict[str, Any]:
        """The job as plain data, which nobody changes."""
        return {
            "schema": JOB_SCHEMA,
            "candidate_hash": self.candidate_hash,
            "blueprint": self.blueprint.to_dict(),
            "parent": self.parent.to_dict(),
            "hardware": self.hardware.model_dump(mode="json"),
            "data": self.data.model_dump(mode="json"),
            "data_path": self.data_path,
            "data_fingerprint": self.data_fingerprint,
            "recipe": self.recipe.model_dump(mode="json"),
            "rung": self.rung.model_dump(mode="json"),
            "earlier": [rung.model_dump(mode="json") for rung in self.earlier],
            "study_seed": self.study_seed,
            "replicate": self.replicate,
            "first_chip": self.first_chip,
            "split": self.split,
            "calibration": self.calibration,
            "cache": self.cache,
        }

    @property
    def key(self) -> str:
        """Hash of everything the score depends on: not of where things lie or what is named."""
        named = {"data_path", "candidate_hash", "cache"}
        data = {name: value for name, value in self._plain.items() if name not in named}
        data["code"] = code_hash()
        data["hardware"] = self.hardware.hash
        data["earlier"] = [rung.training for rung in self.earlier]
        data["data"] = {name: v for name, v in data["data"].items() if name != "path"}
        return content_hash(data)

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Return the job that ``to_json`` described, now or in an earlier version.

        Raises:
            ValueError: The schema is another, or a part is not valid.
        """
        raw = json.loads(text)
        if raw.get("schema") not in (JOB_SCHEMA, *_OLDER_SCHEMAS):
            raise ValueError(f"job schema is {raw.get('schema')!r}; allowed is {JOB_SCHEMA!r}")
        return cls(
            candidate_hash=raw["candidate_hash"],
            blueprint=Blueprint.from_dict(raw["blueprint"]),
            parent=Blueprint.from_dict(raw["parent"]),
            hardware=Hardware.model_validate_json(json.dumps(raw["hardware"])),
            data=_DATA.validate_json(json.dumps(raw["data"])),
            data_path=raw["data_path"],
            data_fingerprint=raw["data_fingerprint"],
            recipe=Recipe.model_validate_json(json.dumps(raw["recipe"])),
            rung=Rung.model_validate_json(json.dumps(raw["rung"])),
            study_seed=raw["study_seed"],
            replicate=raw["replicate"],
            first_chip=raw["first_chip"],
            split=raw["split"],
            calibration=raw["calibration"],
            cache=raw.get("cache"),
            earlier=tuple(
                Rung.model_validate_json(json.dumps(rung)) for rung in raw.get("earlier", ())
            ),
        )


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
class Score:
    """What a worker found.

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
        parent_epochs: Epochs trained on the float parent.
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
        return canonical_json({"schema": SCORE_SCHEMA} | asdict(self))

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
        return cls(**raw)
