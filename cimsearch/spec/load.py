"""From a name or path to a frozen, checked spec."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from cimsearch.errors import SpecError
from cimsearch.spec.base import canonical_json, content_hash
from cimsearch.spec.catalogue import load_document
from cimsearch.spec.document import Document, validate
from cimsearch.spec.hardware import (
    Basis,
    ConfigurableField,
    Hardware,
    Macro,
    MacroFile,
    System,
    SystemFile,
    TechnologyFile,
    basis_of,
    numbers,
)
from cimsearch.spec.space import LayerGenes, SpaceSpec
from cimsearch.spec.study import Bound, StudySpec

DEFAULT_SYSTEM = "systems/enough_macros"
HardwareFile = TechnologyFile | MacroFile | SystemFile
_FILES: dict[str, type[HardwareFile]] = {
    "technology": TechnologyFile,
    "macro": MacroFile,
    "system": SystemFile,
}


def load_hardware_file(name: str, *, beside: Path | None = None) -> tuple[Document, HardwareFile]:
    """Read one hardware file (with what it extends), whatever its kind.

    Raises:
        SpecError: The file is missing or not valid, or a number has no basis.
    """
    document = load_document("hardware", name, beside=beside)
    kind = document.data.get("kind")
    if kind not in _FILES:
        allowed = ", ".join(_FILES)
        raise document.error(("kind",), f"found {kind!r}; allowed is one of {allowed}")
    file = validate(_FILES[kind], document)
    _check_basis(document, file.basis)
    return document, file


def _check_basis(document: Document, basis: dict[str, Basis]) -> None:
    """Check that every number has a basis, and that every basis of this file is of a number.

    What the file extends may have had numbers that this file replaced by others.
    """
    paths = numbers(document.data)
    faults = [
        document.error(tuple(path.split(".")), "this number has no entry in basis")
        for path in paths
        if basis_of(path, basis) is None
    ]
    faults += [
        document.error(("basis", entry), "this entry of basis is of no number in the file")
        for entry in basis
        if document.position(("basis", entry)).file == str(document.path)
        and not any(f"{path}.".startswith(f"{entry}.") for path in paths)
    ]
    if faults:
        raise SpecError(
            "\n".join(map(str, faults)),
            "say under basis: of each number, or of a section of them, whether it is reported, "
            "derived or assumed",
        )


def load_hardware(name: str, *, beside: Path | None = None) -> Hardware:
    """Return the hardware of ``name``: a macro (put into ``systems/enough_macros``) or a system.

    Args:
        name: A catalogue name such as ``macros/chih_isscc_2021``, or a path.
        beside: The file that names it, if any.

    Raises:
        SpecError: Not found, not valid, or a technology, which is no hardware by itself.
    """
    document, file = load_hardware_file(name, beside=beside)
    if isinstance(file, TechnologyFile):
        raise document.error(("kind",), "a technology alone is no hardware; name a macro")
    if isinstance(file, MacroFile):
        _, system = load_hardware_file(DEFAULT_SYSTEM)
        macro = file
    else:
        if file.macro is None:
            raise document.error((), "this system has no macro; name the macro instead")
        _, inner = load_hardware_file(file.macro, beside=document.path)
        if not isinstance(inner, MacroFile):
            raise document.error(("macro",), f"{file.macro} is not a macro")
        macro, system = inner, file
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

    @property
    def bounds(self) -> dict[str, Bound]:
        """The constraints by name, with those that the hardware imposes, in alphabetical order.

        A network that does not fit is infeasible where it may not be loaded at every inference.
        """
        bounds: dict[str, Bound] = {str(n): b for n, b in self.spec.constraints.items()}
        owned = self.hardware.system.macros
        if owned != "enough" and self.hardware.reload_refused:
            given = bounds.get("macros", Bound(max=owned))
            least = owned if given.max is None else min(owned, given.max)
            bounds["macros"] = given.model_copy(update={"max": least})
        return dict(sorted(bounds.items()))

    def identity(self) -> dict[str, Any]:
        """Return what makes two studies the same one, as plain data.

        Budget, workers, data path and texts are left out: they may change between a launch and a
        resume.
        """
        study = self.spec.model_dump(
            mode="json", by_alias=True, exclude={"budget", "workers", "summary", "source"}
        )
        study["data"].pop("path", None)
        study.pop("space"), study.pop("hardware")
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
        SpecError: A file is missing or not valid, the data does not fit the space, or the study
            opens a gene that the hardware cannot change.
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
    _check_fit(document, spec, space, hardware)
    return Study(spec, space, hardware, document.path)


def _at(document: Document, field: str, error: SpecError) -> SpecError:
    """Return ``error`` as it is if it points into a file, else pointing at the study's field."""
    first = error.message.split(": ", 1)[0]
    if first.count(":") == 2:
        return error
    return document.error((field,), error.message, error.hint)


def _opened(genes: LayerGenes, spec: StudySpec) -> LayerGenes:
    """Return the space's genes with those that the study opens or narrows."""
    given = {name: values for name, values in spec.genes if values}
    return LayerGenes.model_validate(dict(genes) | given)


def _check_fit(document: Document, spec: StudySpec, space: SpaceSpec, hardware: Hardware) -> None:
    """Check that data fits the space and genes fit the hardware, all errors at once."""
    errors: list[SpecError] = []
    if spec.data.shape != space.input_shape:
        errors.append(
            document.error(
                ("data", "shape"),
                f"found {list(spec.data.shape)}; the space takes {list(space.input_shape)}",
            )
        )
    if spec.data.classes != space.classes:
        errors.append(
            document.error(
                ("data", "classes"), f"found {spec.data.classes}; the space has {space.classes}"
            )
        )
    macro = hardware.macro
    for field in get_args(ConfigurableField):
        wanted = getattr(space.genes, field)
        allowed = macro.choices(field)
        refused = [value for value in wanted if value not in allowed]
        if refused:
            opened = getattr(spec.genes, field)
            loc = ("genes", field) if opened else ("hardware",)
            free = "may be" if field in macro.configurable else "is fixed at"
            errors.append(
                document.error(
                    loc,
                    f"found {field} {_listed(refused)}; on {hardware.name} {field} {free} "
                    f"{_listed(allowed)}",
                )
            )
    for end in ("first_layer", "classifier"):
        layer = getattr(space, end)
        limits = {
            "weight_bits": macro.choices("weight_bits"),
            "activation_bits": macro.choices("activation_bits"),
        }
        for field, choices in limits.items():
            largest = max(map(int, choices))
            if layer.placement == "cim" and layer.bits > largest:
                errors.append(
                    document.error(
                        ("space",),
                        f"{end} has {layer.bits} bits on the macro; on {hardware.name} "
                        f"{field} may be {largest} at most",
                    )
                )
    if errors:
        raise SpecError("\n".join(error.message for error in errors))


def _listed(values: Any) -> str:
    return ", ".join(map(str, values))
