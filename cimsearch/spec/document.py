"""YAML files with the position of every key, and validation errors that point at them.

A file is read once into a ``Document``: plain data and, for each path in it, the file, line and
column where it stands. ``extends`` merges one parent file under the child, so that an error in
an inherited value points at the parent's line.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from cimsearch.errors import SpecError

Loc = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read: {error}") from error
    try:
        node = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        problem = (error.problem or "not valid YAML").splitlines()[0]
        raise SpecError(f"{where}: {problem}") from error
    except YAMLError as error:
        raise SpecError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(node, CommentedMap):
        raise SpecError(f"{path}:1:1: a mapping of fields is wanted at the top of the file")
    positions: dict[Loc, Position] = {}
    data = _plain(node, (), str(path), positions)
    return Document(path, data, positions)


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
    another ``kind``, as its fields are others.
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
        return merged
    for stale in [known for known in positions if known[: len(loc)] == loc]:
        del positions[stale]
    return child


def _other_kind(parent: dict[str, Any], child: dict[str, Any], loc: Loc) -> bool:
    return bool(loc) and child.get("kind", parent.get("kind")) != parent.get("kind")


def validate(model: type[ModelT], document: Document) -> ModelT:
    """Return ``document`` as a strict, frozen ``model``.

    Raises:
        SpecError: All problems at once, a line each, in the order of the file.
    """
    try:
        return model.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        misspelt = _misspelt(model, document, error)
        problems = {
            _problem(model, document, details)
            for details in error.errors()
            if details["type"] != "missing"
            or tuple(_keys_only(document.data, details["loc"])) not in misspelt
        }
        ordered = sorted(problems, key=lambda p: (p[0].file, p[0].line, p[0].column, p[1]))
        raise SpecError("\n".join(f"{where}: {text}" for where, text in ordered)) from error


def _misspelt(model: type[BaseModel], document: Document, error: ValidationError) -> set[Loc]:
    """Return where the fields belong that unknown ones are taken for: not missing as well."""
    places: set[Loc] = set()
    for details in error.errors():
        if details["type"] == "extra_forbidden":
            *parent, name = _keys_only(document.data, details["loc"])
            allowed = _fields_at(model, tuple(parent), document.data)
            places |= {(*parent, meant) for meant in _close(str(name), allowed)}
    return places


def _problem(
    model: type[BaseModel], document: Document, details: ErrorDetails
) -> tuple[Position, str]:
    """Return where a validation error stands and what it says."""
    loc = tuple(_keys_only(document.data, details["loc"]))
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, FieldError):
        loc = (*loc, *cause.field.split("."))
        text = str(cause)
    elif details["type"] == "extra_forbidden":
        allowed = _fields_at(model, loc[:-1], document.data)
        text = f"unknown field; {_did_you_mean(str(loc[-1]), allowed)}"
    elif details["type"] == "union_tag_invalid":
        tag = details["ctx"]["discriminator"].strip("'")
        loc = (*loc, tag)
        text = f"{_found(details['ctx']['tag'])}; allowed is one of "
        text += details["ctx"]["expected_tags"]
    elif details["type"] == "missing":
        text = "missing; this field is needed"
    else:
        text = f"{_found(details['input'])}; {_allowed(details['msg'])}"
        expected = details.get("ctx", {}).get("expected")
        if isinstance(details["input"], str) and isinstance(expected, str):
            text += _nearest(details["input"], expected)
    field = ".".join(map(str, loc)) or "file"
    return document.position(loc), f"{field}: {text}"


def _child(data: Any, key: str | int) -> Any:
    """Return what stands under ``key``, or None."""
    if isinstance(data, dict):
        return data.get(key)
    if isinstance(data, list) and isinstance(key, int) and key < len(data):
        return data[key]
    return None


def _keys_only(data: Any, loc: Loc) -> Iterator[str | int]:
    """Yield ``loc`` without the union tags that pydantic adds and the file does not have."""
    for index, key in enumerate(loc):
        known = isinstance(data, dict) and key in data
        item = isinstance(data, list) and isinstance(key, int)
        missing = index == len(loc) - 1 and isinstance(data, dict)
        if known or item or missing:
            data = _child(data, key)
            yield key


def _fields_at(model: type[BaseModel], loc: Loc, data: Any) -> list[str]:
    """Return the field names allowed at ``loc``, walking the model beside the data."""
    models: list[type[BaseModel]] = [model]
    for key in loc:
        data = _child(data, key)
        if isinstance(key, int):
            continue
        models = [inner for outer in models for inner in _models_of(outer, key)]
    if isinstance(data, dict) and "kind" in data:
        tagged = [m for m in models if _has_kind(m, data["kind"])]
        models = tagged or models
    return sorted({f.alias or name for m in models for name, f in m.model_fields.items()})


def _models_of(outer: type[BaseModel], key: str) -> Iterator[type[BaseModel]]:
    """Yield the pydantic models that the annotation of field ``key`` names."""
    for name, field in outer.model_fields.items():
        if key in (name, field.alias):
            pending = [field.annotation]
            while pending:
                annotation = pending.pop()
                if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                    yield annotation
                pending.extend(getattr(annotation, "__args__", ()))


def _has_kind(model: type[BaseModel], kind: Any) -> bool:
    field = model.model_fields.get("kind")
    return field is not None and kind in getattr(field.annotation, "__args__", ())


def _close(word: str, allowed: list[str]) -> list[str]:
    """Return the one of ``allowed`` that ``word`` is likely to stand for, if any."""
    return difflib.get_close_matches(word, allowed, n=1, cutoff=0.6)


def _did_you_mean(word: str, allowed: list[str]) -> str:
    close = _close(word, allowed)
    return f"did you mean {close[0]}?" if close else f"allowed are {', '.join(allowed)}"


def _nearest(word: str, expected: str) -> str:
    names = [name.strip(" '") for name in expected.replace(" or ", ",").split(",")]
    close = _close(word, names)
    return f"; did you mean {close[0]}?" if close else ""


def _found(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"found {'a mapping' if isinstance(value, dict) else 'a list'}"
    return f"found {json.dumps(value, ensure_ascii=False)}"


def _allowed(message: str) -> str:
    """Return pydantic's message in the house's words: what is allowed."""
    text = message.removeprefix("Input should be ").removeprefix("Value error, ")
    return f"allowed is {text}" if text != message else message
