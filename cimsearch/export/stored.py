"""An export as it is read back: its job, its network and its scores, of files that are whole."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from cimsearch.blueprint import Blueprint
from cimsearch.cost.plan import Placement
from cimsearch.evaluate import Job
from cimsearch.export.files import ExportError, Files
from cimsearch.export.golden import GOLDEN
from cimsearch.export.integers import INTEGERS, rebuilt
from cimsearch.export.layers import layers_in_arrays
from cimsearch.export.mapping import MAPPING, plan_of
from cimsearch.export.scores import SCORES, Scores
from cimsearch.export.tiles import Layer
from cimsearch.networks import Network
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.validation import first_problem

BLUEPRINT, HARDWARE, JOB = "blueprint.json", "hardware.json", "job.json"
GOLDEN_TEXT = "golden.json"
NEEDED = (BLUEPRINT, HARDWARE, JOB, SCORES, MAPPING, GOLDEN_TEXT, INTEGERS, GOLDEN)
"""Files that every export has."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Stored:
    """An export whose files are whole; each part is read when it is asked for.

    Every part raises ``ExportError`` if its file is not as cimsearch writes it.

    Attributes:
        files: Its files.
    """

    files: Files

    @cached_property
    def blueprint(self) -> Blueprint:
        """The network."""
        return _read(BLUEPRINT, lambda: Blueprint.from_dict(self.files.json(BLUEPRINT)))

    @cached_property
    def hardware(self) -> Hardware:
        """What it runs on."""
        text = self.files.contents[HARDWARE].decode(errors="replace")
        return _read(HARDWARE, lambda: Hardware.model_validate_json(text))

    @cached_property
    def job(self) -> Job:
        """What was trained and scored, of this network and hardware.

        Raises:
            ExportError: It is of others.
        """
        text = json.dumps(self.files.json(JOB))
        job = _read(JOB, lambda: Job.from_json(text))
        for name, same in (
            (BLUEPRINT, job.blueprint == self.blueprint),
            (HARDWARE, job.hardware == self.hardware),
        ):
            if not same:
                raise ExportError(f"{JOB}: is not of what {name} says")
        return job

    @cached_property
    def scores(self) -> Scores:
        """What was scored."""
        return Scores.from_dict(self.files.json(SCORES))

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """The integers."""
        return _tensors(self.files, INTEGERS)

    @cached_property
    def golden(self) -> Mapping[str, Tensor]:
        """The golden vectors."""
        return _tensors(self.files, GOLDEN)

    @cached_property
    def mapping(self) -> Any:
        """The mapping plan as plain data."""
        return self.files.json(MAPPING)

    @cached_property
    def network(self) -> Network:
        """The network, rebuilt from the integers alone."""
        return rebuilt(self.blueprint, self.hardware.macro, self.tensors)

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """Its layers that are in arrays, by name."""
        return {layer.name: layer for layer in layers_in_arrays(self.network, self.tensors)}

    @cached_property
    def plan(self) -> tuple[Placement, ...]:
        """Where they are."""
        return plan_of(self.blueprint, self.hardware, self.layers)


def _read(name: str, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except ValidationError as error:
        raise ExportError(f"{name}: not as cimsearch writes it: {first_problem(error)}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ExportError(f"{name}: not as cimsearch writes it: {reason}") from error


def _tensors(files: Files, name: str) -> Mapping[str, Tensor]:
    try:
        found: Mapping[str, Tensor] = load(files.contents[name])
    except SafetensorError as error:
        raise ExportError(f"{name}: not a safetensors file: {error}") from error
    return found
