"""Where spec files are found.

An argument that ends in ``.yaml`` or has a leading ``./`` or ``/`` is a path, relative to the
file that names it or to the working directory. Any other name is ``ROOT/<kind>/NAME.yaml`` in the
first root that has it: each entry of ``CIMSEARCH_PATH``, the packaged data, the checkout.
"""

import difflib
import os
from pathlib import Path
from typing import Literal, get_args

from cimsearch.errors import SpecError
from cimsearch.spec.document import Document, merge, read_document

Kind = Literal["hardware", "spaces", "studies"]
KINDS: tuple[Kind, ...] = get_args(Kind)

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

    Raises:
        SpecError: A file is missing or malformed, or the chain of ``extends`` is too long.
    """
    document = read_document(find(kind, name, beside=beside))
    for _ in range(2):
        parent_name = document.data.pop("extends", None)
        if parent_name is None:
            return document
        if not isinstance(parent_name, str):
            raise document.error(("extends",), "the name of one file is wanted")
        try:
            parent_path = find(kind, parent_name, beside=document.path)
        except SpecError as error:
            raise document.error(("extends",), error.message, error.hint) from error
        document = merge(read_document(parent_path), document)
    if "extends" in document.data:
        raise document.error(("extends",), "at most two levels of extends are allowed")
    return document
