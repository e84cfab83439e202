"""From a name or path to a frozen, checked spec."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from cimsearch.errors import HardwareError, SpecError
from cimsearch.spec.base import canonical_json, content_hash
from cimsearch.spec.basis import check_basis, check_supply
from cimsearch.spec.catalogue import laid, load_document, load_layers
from cimsearch.spec.document import Document
from cimsearch.spec.fit import check_fit
from cimsearch.spec.hardware import (
    Hardware,
    Macro,
    MacroFile,
    System,
    SystemFile,
    TechnologyFile,
)
from cimsearch.spec.hardware_genes import Settings
from cimsearch.spec.machines import Machines
from cimsearch.spec.macro import NO_ADC
from cimsearch.spec.space import LayerGenes, SpaceSpec
from cimsearch.spec.study import Bound, StudySpec
from cimsearch.spec.validation import validate

DEFAULT_SYSTEM = "systems/enough_macros"
HardwareFile = TechnologyFile | MacroFile | SystemFile
_FILES: dict[str, type[HardwareFile]] = {
    "technology": TechnologyFile,
    "macro": MacroFile,
    "system": SystemFile,
}
_NOT_IDENTITY = {"budget", "workers", "limits", "cluster", "summary", "source"}
_EXTENDS = {
    "technology": ("technology",),
    "macro": ("macro", "technology"),
    "system": ("system",),
}


def load_hardware_file(name: str, *, beside: Path | None = None) -> tuple[Document, HardwareFile]:
    """Read one hardware file (with what it extends), whatever its kind.

    Raises:
        SpecError: The file, or the macro that a system names, is missing or not valid, or a
            number has no basis.
    """
    document, file = _read(name, beside)
    if isinstance(file, SystemFile) and file.macro is not None:
        _macro_of(document, file.macro)
    return document, file


def _read(name: str, beside: Path | None) -> tuple[Document, HardwareFile]:
    layers = load_layers("hardware", name, beside=beside)
    document = laid("hardware", layers)
    kind = document.data.get("kind")
    if kind not in _FILES:
        allowed = ", ".join(_FILES)
        raise document.error(("kind",), f"found {kind!r}; allowed is one of {allowed}")
    _check_kinds(layers)
    if document.data.get("compute_model") == "digital" and document.data.get("adc") is not None:
        # Before the converter's own fields are judged, which it is not to have either.
        raise document.error(("adc",), NO_ADC)
    file = validate(_FILES[kind], document)
    check_basis(layers)
    for index, child in enumerate(layers[:-1]):
        check_supply(child, laid("hardware", layers[index + 1 :]))
    return document, file


def _check_kinds(layers: Sequence[Document]) -> None:
    """Check that each file extends one of its own kind, or a macro a technology."""
    for child, parent in pairwise(layers):
        kind, extended = child.data.get("kind"), parent.data.get("kind")
        allowed = _EXTENDS.get(str(kind), ())
        if allowed and extended in _FILES and extended not in allowed:
            raise child.error(
                ("extends",),
                f"found {child.data['extends']}, a {extended}; allowed is a "
                f"{' or a '.join(allowed)} where kind is {kind}",
            )


def _macro_of(document: Document, name: str) -> MacroFile:
    """Return the macro that a system names; errors point at its place or at the system's line."""
    try:
        _, inner = _read(name, document.path)
    except SpecError as error:
        raise _at(document, "macro", error) from error
    if not isinstance(inner, MacroFile):
        raise document.error(("macro",), f"found {name}, a {inner.kind}; allowed is a macro")
    return inner


def load_hardware(name: str, *, beside: Path | None = None) -> Hardware:
    """Return the hardware of ``name``: a macro (put into ``systems/enough_macros``) or a system.

    Args:
        name: A catalogue name such as ``macros/chih_isscc_2021``, or a path.
        beside: The file that names it, if any.

    Raises:
        SpecError: Not found, not valid, or a technology, which is no hardware by itself.
    """
    document, file = _read(name, beside)
    if isinstance(file, TechnologyFile):
        raise document.error(("kind",), "a technology alone is no hardware; name a macro")
    if isinstance(file, MacroFile):
        _, system = _read(DEFAULT_SYSTEM, None)
        macro = file
    else:
        if file.macro is None:
            raise document.error(("macro",), "missing; add one, or name the macro instead")
        macro, system = _macro_of(document, file.macro), file
    if not isinstance(system, SystemFile):
        raise SpecError(f"{DEFAULT_SYSTEM} is not a system")
    return Hardware(
        name=file.name,
        summary=file.summary,
        source=file.source,
        macro=Macro.model_validate({k: getattr(macro, k) for k in Macro.model_fields}),
        system_name=system.name,
        system=System.model_validate({k: getattr(system, k) for k in System.model_fields}),
    )


def load_space_spec(name: str, *, beside: Path | None = None) -> SpaceSpec:
    """Return the space of ``name``, a catalogue name or a path.

    Raises:
        SpecError: Not found or not valid.
    """
    return validate(SpaceSpec, load_document("spaces", name, beside=beside))


@dataclass(frozen=True)
class Study:
    """A study with its space and hardware resolved: everything a search needs but the data."""

    spec: StudySpec
    space: SpaceSpec
    hardware: Hardware
    path: Path | None = None

    @property
    def name(self) -> str:
        """The study's name, which its database row carries."""
        return self.spec.name

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
        return {
            "study": study,
            "space": self.space.model_dump(
                mode="json", by_alias=True, exclude={"name", "summary", "source"}
            ),
            "hardware": self.hardware.model_dump(mode="json", include={"macro", "system"}),
        }

    @property
    def hash(self) -> str:
        """The hash of ``identity()``."""
        return content_hash(self.identity())

    def to_json(self) -> str:
        """Return the study with its space and hardware as canonical JSON."""
        parts = {"study": self.spec, "space": self.space, "hardware": self.hardware}
        return canonical_json(
            {name: part.model_dump(mode="json", by_alias=True) for name, part in parts.items()}
        )

    @classmethod
    def from_json(cls, text: str) -> "Study":
        """Return the study that ``to_json`` described."""
        raw = json.loads(text)
        return cls(
            StudySpec.model_validate_json(json.dumps(raw["study"])),
            SpaceSpec.model_validate_json(json.dumps(raw["space"])),
            Hardware.model_validate_json(json.dumps(raw["hardware"])),
        )


def load_study(name: str) -> Study:
    """Return the study of ``name`` with its space and hardware.

    Raises:
        SpecError: A file is missing or not valid, the data or a layer of the statistics does not
            fit the space, or the study opens a gene that the hardware cannot change.
    """
    document = load_document("studies", name)
    spec = validate(StudySpec, document)
    try:
        space = load_space_spec(spec.space, beside=document.path)
    except SpecError as error:
        raise _at(document, "space", error) from error
    try:
        hardware = load_hardware(spec.hardware, beside=document.path)
    except SpecError as error:
        raise _at(document, "hardware", error) from error
    space = space.model_copy(update={"genes": _opened(space.genes, spec)})
    check_fit(document, spec, space, hardware)
    study = Study(spec, space, hardware, document.path)
    if study.machines is not None:
        try:
            study.machines.check()
        except HardwareError as error:
            raise document.error(("genes", "hardware"), error.message) from error
    return study


def _at(document: Document, field: str, error: SpecError) -> SpecError:
    """Return ``error`` as it is if it points into a file, else pointing at the study's field."""
    first = error.message.split(": ", 1)[0]
    if first.count(":") == 2:
        return error
    return document.error((field,), error.message, error.hint)


def _opened(genes: LayerGenes, spec: StudySpec) -> LayerGenes:
    """Return the space's genes with those that the study opens or narrows."""
    given = {name: values for name, values in spec.genes.of_layers.items() if values}
    return LayerGenes.model_validate(dict(genes) | given)
