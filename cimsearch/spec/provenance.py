"""Where the numbers of a hardware come from: basis and line of each, read from its files again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cimsearch.spec.document import read_document
from cimsearch.spec.hardware import Basis, SystemFile, basis_of, numbers
from cimsearch.spec.load import DEFAULT_SYSTEM, load_hardware_file


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one number comes from.

    Attributes:
        basis: ``reported``, ``derived`` or ``assumed``.
        file: The file that states it.
        line: Its line there.
        source: What that file cites.
    """

    basis: Basis
    file: str
    line: int
    source: str


def load_basis(name: str, *, beside: Path | None = None) -> Mapping[str, Origin]:
    """Return the origin of every number of a macro or system, by its path in ``Hardware``.

    Paths start with ``macro.`` or ``system.``; numbers in a list share the path of the list.

    Raises:
        SpecError: The file is missing or not valid.
    """
    document, file = load_hardware_file(name, beside=beside)
    if not isinstance(file, SystemFile):
        return _origins(name, "macro", beside) | _origins(DEFAULT_SYSTEM, "system", None)
    system = _origins(name, "system", beside)
    return system | (_origins(file.macro, "macro", document.path) if file.macro else {})


def _origins(name: str, part: str, beside: Path | None) -> dict[str, Origin]:
    document, file = load_hardware_file(name, beside=beside)
    found = {}
    sources: dict[str, str] = {}
    for path in numbers(document.data):
        basis, position = basis_of(path, file.basis), document.position((*path.split("."),))
        if basis:
            if position.file not in sources:
                stated = read_document(Path(position.file)).data
                sources[position.file] = str(stated.get("source", file.source))
            source = sources[position.file]
            found[f"{part}.{path}"] = Origin(basis, position.file, position.line, source)
    return found
