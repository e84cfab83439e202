"""From a name or path to a frozen, checked spec."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from cimsearch.errors import SpecError
from cimsearch.spec.basis import check_basis, check_supply
from cimsearch.spec.catalogue import laid, load_document, load_layers
from cimsearch.spec.document import Document, Loc
from cimsearch.spec.fit import check_fit
from cimsearch.spec.hardware import (
    Hardware,
    Macro,
    MacroFile,
    System,
    SystemFile,
    TechnologyFile,
)
from cimsearch.spec.macro import NO_ADC
from cimsearch.spec.network import AnySpaceSpec, NetworkSpec
from cimsearch.spec.resolved import Study
from cimsearch.spec.space import LayerGenes, SpaceSpec
from cimsearch.spec.study import StudySpec
from cimsearch.spec.validation import validate

DEFAULT_SYSTEM = "systems/enough_macros"
HardwareFile = TechnologyFile | MacroFile | SystemFile
_FILES: dict[str, type[HardwareFile]] = {
    "technology": TechnologyFile,
    "macro": MacroFile,
    "system": SystemFile,
}
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
        raise _at(document, ("macro",), error) from error
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


def load_space_spec(name: str, *, beside: Path | None = None) -> AnySpaceSpec:
    """Return the space of ``name``, a catalogue name or a path.

    Raises:
        SpecError: Not found or not valid.
    """
    document = load_document("spaces", name, beside=beside)
    if document.data.get("family") == "network":
        return validate(NetworkSpec, document)
    return validate(SpaceSpec, document)


def load_study(name: str) -> Study:
    """Return the study of ``name`` with its spaces and hardware.

    Raises:
        SpecError: A file is missing or not valid, the data or a layer of the statistics does not
            fit the space, or the study opens a gene that the hardware cannot change.
    """
    document = load_document("studies", name)
    spec = validate(StudySpec, document)
    space = _space(document, spec, spec.space, ("space",))
    try:
        hardware = load_hardware(spec.hardware, beside=document.path)
    except SpecError as error:
        raise _at(document, ("hardware",), error) from error
    others = tuple(
        _space(document, spec, workload.space, ("also", index, "space"))
        for index, workload in enumerate(spec.also)
    )
    study = Study(spec, space, hardware, document.path, others)
    check_fit(document, spec, study.workloads, hardware)
    if study.machines is not None and (fault := study.machines.fault()) is not None:
        loc = ("genes", "hardware", *([fault.field] if fault.field else []))
        raise document.error(loc, fault.message, fault.hint)
    return study


def _space(document: Document, spec: StudySpec, name: str, loc: Loc) -> AnySpaceSpec:
    """Return a space that a study names at ``loc``, with the genes that the study opens."""
    try:
        space = load_space_spec(name, beside=document.path)
    except SpecError as error:
        raise _at(document, loc, error) from error
    given = {name: values for name, values in spec.genes.of_layers.items() if values}
    genes = LayerGenes.model_validate(dict(space.genes) | given)
    return space.model_copy(update={"genes": genes})


def _at(document: Document, loc: Loc, error: SpecError) -> SpecError:
    """Return ``error`` as it is if it points into a file, else pointing into the study."""
    first = error.message.split(": ", 1)[0]
    if first.count(":") == 2:
        return error
    return document.error(loc, error.message, error.hint)
