"""What a hardware file has to say itself: the basis of its numbers, and what holds at its supply.

What a file inherits keeps the basis that the file it extends gives.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from cimsearch.errors import SpecError
from cimsearch.spec.document import Document

Basis = Literal["reported", "derived", "assumed"]


def numbers(data: Any, prefix: str = "") -> list[str]:
    """Return the dotted paths of all numbers in a hardware file that need a basis.

    Numbers in a list share the path of the list.
    """
    if isinstance(data, dict):
        return [
            path
            for key, value in data.items()
            if prefix or key not in ("basis", "configurable")
            for path in numbers(value, f"{prefix}.{key}" if prefix else key)
        ]
    if isinstance(data, list):
        return list(dict.fromkeys(path for item in data for path in numbers(item, prefix)))
    return [prefix] if isinstance(data, int | float) and not isinstance(data, bool) else []


def basis_of(path: str, basis: dict[str, Basis]) -> Basis | None:
    """Return the basis of the number at ``path``: the longest entry that covers it."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if found := basis.get(".".join(parts[:end])):
            return found
    return None


def merged_basis(layers: Sequence[Document], data: dict[str, Any]) -> dict[str, Basis]:
    """Return the basis of each number in ``data``, an entry each, from the file that states it.

    Args:
        layers: A valid file, what it extends, and so on.
        data: The same, merged.
    """
    found: dict[str, Basis] = {}
    for layer in reversed(layers):
        own: dict[str, Basis] = layer.data.get("basis", {})
        stated = {path: basis_of(path, own) for path in numbers(layer.data)}
        found |= {path: basis for path, basis in stated.items() if basis}
    return {path: found[path] for path in numbers(data) if path in found}


def says_basis(layer: Document) -> bool:
    """Return whether a file has a ``basis`` of known words, or none at all."""
    basis = layer.data.get("basis", {})
    return isinstance(basis, dict) and all(word in get_args(Basis) for word in basis.values())


def check_basis(layers: Sequence[Document]) -> None:
    """Check that each file has a basis of every number it states itself, and of nothing else.

    Args:
        layers: A valid file, what it extends, and so on.

    Raises:
        SpecError: It has not: a line for each section without any, or for each number.
    """
    faults = [fault for layer in layers for fault in _faults(layer)]
    if faults:
        raise SpecError(
            "\n".join(fault.message for fault in faults),
            "say under basis: of each number that the file states, or of a section of them, "
            "whether it is reported, derived or assumed",
        )


def _faults(layer: Document) -> list[SpecError]:
    if not says_basis(layer):
        return [layer.error(("basis",), f"allowed for each entry is {', '.join(get_args(Basis))}")]
    paths, basis = numbers(layer.data), layer.data.get("basis", {})
    covered = [path for path in paths if basis_of(path, basis)]
    bare = {_bare_section(path, covered): path for path in paths if path not in covered}
    faults = [
        layer.error(
            tuple(section.split(".")),
            "this number has no entry in basis"
            if section == path
            else "no number of this section has an entry in basis",
        )
        for section, path in bare.items()
    ]
    faults += [
        layer.error(("basis", entry), "this entry of basis is of no number that this file states")
        for entry in basis
        if not any(f"{path}.".startswith(f"{entry}.") for path in paths)
    ]
    return faults


def _bare_section(path: str, covered: Sequence[str]) -> str:
    """Return the largest section around ``path`` that none of the ``covered`` numbers is in."""
    parts = path.split(".")
    sections = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return next(s for s in sections if not any(f"{c}.".startswith(f"{s}.") for c in covered))


_HOLD_AT_SUPPLY = (("input", "settle_ns"), ("adc", "model"), ("array_call",))
"""Times and energies as they are at the supply: no equation takes them to another."""


def check_supply(layer: Document, extended: Document) -> None:
    """Check that a file with a supply of its own also states what holds at the supply.

    Args:
        layer: The file.
        extended: What it extends, with all that this one extends.

    Raises:
        SpecError: It is silent about something that it inherits.
    """
    before, now = extended.data.get("supply_v"), layer.data.get("supply_v")
    if before is None or now in (None, before):
        return
    silent = [
        ".".join(path)
        for path in _HOLD_AT_SUPPLY
        if _at(extended.data, path) is not None
        and path[-1] not in (_at(layer.data, path[:-1]) or {})
    ]
    if silent:
        raise layer.error(
            ("supply_v",),
            f"found {now}; {', '.join(silent)} of {extended.path.name} hold at its {before} V: "
            f"state them for {now} V too",
        )


def _at(data: Any, path: Sequence[str]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data
