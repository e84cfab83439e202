"""Where spec files are found.

An argument that ends in ``.yaml`` or has a leading ``./`` or ``/`` is a path, relative to the
file that names it or to the working directory. Any other name is ``ROOT/<kind>/NAME.yaml`` in the
first root that has it: each entry of ``CIMSEARCH_PATH``, the packaged data, the checkout.
"""

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Literal, get_args

from cimsearch.errors import SpecError
from cimsearch.spec.basis import merged_basis, says_basis
from cimsearch.spec.document import Document, merge, read_document

Kind = Literal["hardware", "spaces", "studies"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MOST_EXTENDS = 2
_PACKAGE = Path(__file__).resolve().parent.parent


def roots() -> list[Path]:
    """Return the directories that hold ``hardware/``, ``spaces/`` and ``studies/``, in order."""
    listed = [Path(p) for p in os.environ.get("CIMSEARCH_PATH", "").split(os.pathsep) if p]
    own = [_PACKAGE / "catalogue", _PACKAGE.parent]
    return [root for root in [*listed, *own] if root.is_dir()]


def names(kind: Kind) -> dict[str, Path]:
    """Return the catalogue names of a kind (``macros/chih_isscc_2021``) and their files."""
    found: dict[str, Path] = {}
    for root in roots():
        base = root / kind
        for path in sorted(base.rglob("*.yaml")):
            found.setdefault(path.relative_to(base).with_suffix("").as_posix(), path)
    return dict(sorted(found.items()))


def is_path(name: str) -> bool:
    """Return whether ``name`` is a file path rather than a catalogue name."""
    return name.endswith(".yaml") or name.startswith(("./", "../", "/"))


def find(kind: Kind, name: str, *, beside: Path | None = None) -> Path:
    """Return the file of ``name``.

    Args:
        kind: Which catalogue.
        name: A path, or a catalogue name such as ``macros/chih_isscc_2021``.
        beside: The file that names it; paths are relative to its directory.

    Raises:
        SpecError: No such file or name; the nearest names are listed.
    """
    if is_path(name):
        path = (beside.parent if beside else Path()) / name
        if path.is_file():
            return path
        raise SpecError(f"{path}: no such file")
    known = names(kind)
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    close = close or [full for full in known if full.split("/")[-1] == name]
    raise SpecError(
        f"{kind}: no {name!r} in the catalogue" + (f"; did you mean {close[0]}?" if close else ""),
        f"known are {', '.join(known) or 'none'}; a path ends in .yaml",
    )


def load_document(kind: Kind, name: str, *, beside: Path | None = None) -> Document:
    """Read the file of ``name`` and lay it over the one it ``extends`` (at most two levels).

    In a hardware file every number has its own entry in ``basis``, from the file that states it.

    Raises:
        SpecError: A file is missing or malformed, or the chain of ``extends`` is too long.
    """
    return laid(kind, load_layers(kind, name, beside=beside))


def load_layers(kind: Kind, name: str, *, beside: Path | None = None) -> list[Document]:
    """Read the file of ``name``, the one it ``extends``, and the one that that one extends.

    Raises:
        SpecError: A file is missing or malformed, extends itself, or there are too many.
    """
    layers = [read_document(find(kind, name, beside=beside))]
    while parent := _parent(kind, layers[-1]):
        paths = [layer.path.resolve() for layer in layers]
        if parent.resolve() in paths:
            chain = " -> ".join(path.stem for path in [*paths, parent])
            raise layers[0].error(("extends",), f"{chain}: a file extends itself")
        if len(layers) > MOST_EXTENDS:
            raise layers[0].error(("extends",), "at most two levels of extends are allowed")
        layers.append(read_document(parent))
    return layers


def _parent(kind: Kind, document: Document) -> Path | None:
    name = document.data.get("extends")
    if name is None:
        return None
    if not isinstance(name, str):
        raise document.error(("extends",), "the name of one file is wanted")
    try:
        return find(kind, name, beside=document.path)
    except SpecError as error:
        raise document.error(("extends",), error.message, error.hint) from error


def laid(kind: Kind, layers: Sequence[Document]) -> Document:
    """Return a file laid over the files that it extends.

    Args:
        kind: Which catalogue.
        layers: The file, the one it extends, and so on.
    """
    document = reduce(merge, reversed(layers))
    data = {key: value for key, value in document.data.items() if key != "extends"}
    if kind == "hardware" and "basis" in data and all(map(says_basis, layers)):
        data["basis"] = merged_basis(layers, data)
    return replace(document, data=data)
