"""A study with all that its file names, resolved."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cimsearch.spec.base import canonical_json, content_hash
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.hardware_genes import Settings
from cimsearch.spec.machines import Machines
from cimsearch.spec.network import AnySpaceSpec
from cimsearch.spec.study import Bound, StudySpec
from cimsearch.spec.workload import Workload

_SPACE: TypeAdapter[AnySpaceSpec] = TypeAdapter(AnySpaceSpec)
_SPACES: TypeAdapter[tuple[AnySpaceSpec, ...]] = TypeAdapter(tuple[AnySpaceSpec, ...])
_NOT_IDENTITY = {"budget", "workers", "limits", "cluster", "adapt", "summary", "source"}


@dataclass(frozen=True)
class Study:
    """A study with its spaces and hardware resolved: everything a search needs but the data.

    ``others`` are the spaces of the workloads beside its own, in their order.
    """

    spec: StudySpec
    space: AnySpaceSpec
    hardware: Hardware
    path: Path | None = None
    others: tuple[AnySpaceSpec, ...] = ()

    @property
    def name(self) -> str:
        """The study's name, which its database row carries."""
        return self.spec.name

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """What its chip runs: its own space and data, under the space's name, then the others."""
        spec = self.spec
        own = Workload(self.space.name, self.space, spec.data, spec.recipe)
        others = (
            Workload(w.name, space, w.data, w.recipe or spec.recipe, ("also", index))
            for index, (w, space) in enumerate(zip(spec.also, self.others, strict=True))
        )
        return (own, *others)

    @cached_property
    def machines(self) -> Machines | None:
        """What the hardware may be; None if the study opens none of its fields."""
        opened = self.spec.genes.hardware
        return Machines(self.hardware, opened) if any(opened.opened()) else None

    def machine(self, settings: Settings) -> Hardware:
        """Return the hardware with a candidate's settings.

        Raises:
            HardwareError: They do not go together.
        """
        return self.hardware if self.machines is None else self.machines.machine(settings)

    @property
    def bounds(self) -> dict[str, Bound]:
        """The constraints by name, with those that the hardware imposes, in alphabetical order."""
        return self.bounds_on(self.hardware)

    def bounds_on(self, machine: Hardware) -> dict[str, Bound]:
        """Return the constraints on one of the machines: their names are those of all.

        A network that does not fit is infeasible where it may not be loaded at every inference.
        """
        bounds: dict[str, Bound] = {str(n): b for n, b in self.spec.constraints.items()}
        owned = machine.system.macros
        if owned != "enough" and machine.reload_refused:
            given = bounds.get("macros", Bound(max=owned))
            least = owned if given.max is None else min(owned, given.max)
            bounds["macros"] = given.model_copy(update={"max": least})
        return dict(sorted(bounds.items()))

    def identity(self) -> dict[str, Any]:
        """Return what makes two studies the same one, as plain data.

        Budget, workers, limits, cluster, data path and texts are left out: they may change between
        a launch and a resume.
        """
        study = self.spec.model_dump(mode="json", by_alias=True, exclude=_NOT_IDENTITY)
        study["data"].pop("path", None)
        study.pop("space"), study.pop("hardware")
        if self.machines is None:
            # A study that opens nothing is the one it was before there was anything to open.
            study["genes"].pop("hardware")
        parts = {
            "study": study,
            "space": _meaning(self.space),
            "hardware": self.hardware.model_dump(mode="json", include={"macro", "system"}),
        }
        if not self.others:
            study.pop("also"), study.pop("over_workloads")
            return parts
        for workload in study["also"]:
            workload["data"].pop("path", None)
            workload.pop("space")
        # Genes are called by the workloads' names, the first of which is its space's.
        names = [workload.name for workload in self.workloads]
        return parts | {"also": list(map(_meaning, self.others)), "workloads": names}

    @property
    def hash(self) -> str:
        """The hash of ``identity()``."""
        return content_hash(self.identity())

    def to_json(self) -> str:
        """Return the study with its space and hardware as canonical JSON."""
        named = {"study": self.spec, "space": self.space, "hardware": self.hardware}
        parts: dict[str, Any] = {
            name: part.model_dump(mode="json", by_alias=True) for name, part in named.items()
        }
        if self.others:
            parts["also"] = [s.model_dump(mode="json", by_alias=True) for s in self.others]
        return canonical_json(parts)

    @classmethod
    def from_json(cls, text: str) -> "Study":
        """Return the study that ``to_json`` described."""
        raw = json.loads(text)
        return cls(
            StudySpec.model_validate_json(json.dumps(raw["study"])),
            _SPACE.validate_json(json.dumps(raw["space"])),
            Hardware.model_validate_json(json.dumps(raw["hardware"])),
            others=_SPACES.validate_json(json.dumps(raw.get("also", []))),
        )


def _meaning(space: AnySpaceSpec) -> dict[str, Any]:
    """Return a space without its texts, as plain data."""
    return space.model_dump(mode="json", by_alias=True, exclude={"name", "summary", "source"})
