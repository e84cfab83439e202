"""YAML files with the position of every key.

A file is read once into a ``Document``: plain data and, for each path in it, the file, line and
column where it stands. ``extends`` merges one parent file under the child, so that an error in
an inherited value points at the parent's line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from cimsearch.errors import SpecError

Loc = tuple[str | int, ...]


class FieldError(ValueError):
    """A check across fields failed; ``field`` is the dotted path, below the model, to point at."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Document:
    """The data of a YAML file (merged with what it extends) and where each part stands."""

    path: Path
    data: dict[str, Any]
    positions: Mapping[Loc, Position]

    def position(self, loc: Loc) -> Position:
        """Return where ``loc`` stands, or its nearest ancestor that stands anywhere."""
        while loc and loc not in self.positions:
            loc = loc[:-1]
        return self.positions.get(loc, Position(str(self.path), 1, 1))

    def error(self, loc: Loc, message: str, hint: str = "") -> SpecError:
        """Return a ``SpecError`` that points at ``loc``."""
        field = ".".join(map(str, loc)) or "file"
        return SpecError(f"{self.position(loc)}: {field}: {message}", hint)


def read_document(path: Path) -> Document:
    """Read one YAML file (YAML 1.2, duplicate keys refused), without following ``extends``.

    Raises:
        SpecError: The file is missing, not readable, not YAML, or not a mapping.
    """
    text = _text(path)
    try:
        node = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        problem = (error.problem or "not valid YAML").splitlines()[0]
        raise SpecError(f"{where}: {problem}") from error
    except ReaderError as error:
        place = _place(path, text[: error.position])
        problem = f"found the character U+{error.character:04X}, which YAML does not allow"
        raise SpecError(f"{place}: {problem}") from error
    except YAMLError as error:
        raise SpecError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(node, CommentedMap):
        raise SpecError(f"{path}:1:1: a mapping of fields is wanted at the top of the file")
    positions: dict[Loc, Position] = {}
    data = _plain(node, (), str(path), positions)
    return Document(path, data, positions)


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        where = _place(path, raw[: error.start].decode("utf-8"))
        problem = f"found the byte 0x{raw[error.start]:02X}; allowed is text in UTF-8"
        raise SpecError(f"{where}: {problem}") from error


def _place(path: Path, before: str) -> Position:
    """Return where the text that follows ``before`` starts."""
    return Position(str(path), before.count("\n") + 1, len(before) - before.rfind("\n"))


def _plain(node: Any, loc: Loc, file: str, positions: dict[Loc, Position]) -> Any:
    """Return ``node`` as plain data and note where each of its keys stands."""
    if isinstance(node, CommentedMap):
        if node.merge:
            line = node.lc.line + 1
            raise SpecError(f"{file}:{line}:1: merge keys (<<) are not allowed; use extends")
        plain = {}
        for key, value in node.items():
            line, column = node.lc.key(key)
            positions[(*loc, str(key))] = Position(file, line + 1, column + 1)
            plain[str(key)] = _plain(value, (*loc, str(key)), file, positions)
        return plain
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            line, column = node.lc.item(index)
            positions[(*loc, index)] = Position(file, line + 1, column + 1)
        return [_plain(value, (*loc, i), file, positions) for i, value in enumerate(node)]
    if isinstance(node, float):
        return float(node)
    if isinstance(node, bool) or node is None:
        return node
    return int(node) if isinstance(node, int) else str(node)


def merge(parent: Document, child: Document) -> Document:
    """Return ``child`` laid over ``parent``.

    Mappings merge key by key, all else is replaced; so is a mapping within the file that is of
    another ``kind``, as its fields are others. A ``null`` drops what the parent says under its
    key; one that has nothing to drop is left for validation to judge.
    """
    positions = dict(parent.positions)
    data = _merge(parent.data, child.data, (), positions)
    positions.update(child.positions)
    return Document(child.path, data, positions)


def _merge(parent: Any, child: Any, loc: Loc, positions: dict[Loc, Position]) -> Any:
    if (
        isinstance(parent, dict)
        and isinstance(child, dict)
        and not _other_kind(parent, child, loc)
    ):
        merged = dict(parent)
        for key, value in child.items():
            merged[key] = _merge(parent.get(key), value, (*loc, key), positions)
            if value is None and key in parent:
                del merged[key]
        return merged
    for stale in [known for known in positions if known[: len(loc)] == loc]:
        del positions[stale]
    return child


def _other_kind(parent: dict[str, Any], child: dict[str, Any], loc: Loc) -> bool:
    return bool(loc) and child.get("kind", parent.get("kind")) != parent.get("kind")
