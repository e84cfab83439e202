"""What goes out to a worker: a job. It is JSON and needs no torch.

A job holds all that its score depends on, so a score can be reused for any job of equal key.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from pydantic import TypeAdapter

from cimsearch.blueprint import Blueprint
from cimsearch.evaluate.version import code_hash
from cimsearch.spec.base import canonical_json, content_hash
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Calibration, DataSpec, Recipe, Rung

JOB_SCHEMA = "cimsearch/job/4"
# Without a cache; without earlier rungs.
_OLDER_SCHEMAS = ("cimsearch/job/2", "cimsearch/job/3")

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
        workload: Of one of several networks that a chip holds, the name: each has arrays of its
            own there, so the draws of its layers are named by it. Training does not depend on it.
        parent_weights: SHA-256 of the file of the float parent's weights, which is in the cache
            (``training.parents``); empty if the parent is trained.
        weights_of: Of a network that another one was changed into, the job that trains that one:
            the changed network has its weights, as far as they are kept, and is not trained.
            Both have one parent. None: it has its parent's.
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
    workload: str = ""
    parent_weights: str = ""
    weights_of: "Job | None" = None

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
        of_some = {
            "workload": self.workload,
            "parent_weights": self.parent_weights,
            "weights_of": self.weights_of._plain if self.weights_of else None,
        }
        return {name: value for name, value in of_some.items() if value} | {
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
        if self.weights_of is not None:
            data["weights_of"] = self.weights_of.key
        data["data"] = {name: v for name, v in data["data"].items() if name != "path"}
        return content_hash(data)

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Return the job that ``to_json`` described, now or in an earlier version.

        Raises:
            ValueError: The schema is another, or a part is not valid.
        """
        return cls._of(json.loads(text))

    @classmethod
    def _of(cls, raw: dict[str, Any]) -> "Job":
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
            workload=raw.get("workload", ""),
            parent_weights=raw.get("parent_weights", ""),
            weights_of=cls._of(raw["weights_of"]) if raw.get("weights_of") else None,
        )
