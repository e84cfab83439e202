"""Validation of documents: every problem is one line, at its place, in the user's words."""

import difflib
import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from cimsearch.errors import SpecError
from cimsearch.spec.document import Document, FieldError, Loc, Position

ModelT = TypeVar("ModelT", bound=BaseModel)
_OR = "; allowed is "
_KEY = "[key]"
"""What pydantic adds to the place of a key that is not valid itself."""
_OUTSIDE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
_ENDS = ((("ge", ""), ("gt", "greater than ")), (("le", ""), ("lt", "less than ")))
_ALONE = {
    "missing": "missing; this field is needed",
    "extra_forbidden": "unknown field",
}
_PLAINLY = {"an object": "a mapping", "a valid array": "a list", "a valid dictionary": "a mapping"}


def validate(model: type[ModelT], document: Document) -> ModelT:
    """Return ``document`` as a strict, frozen ``model``.

    Raises:
        SpecError: All problems at once, a line each, in the order of the file.
    """
    try:
        return model.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        misspelt = _misspelt(model, document, error)
        problems = [
            _problem(model, document, details)
            for details in error.errors()
            if not _echoes(details, error)
            and (
                details["type"] != "missing"
                or tuple(_keys_only(document.data, details["loc"])) not in misspelt
            )
        ]
        raise SpecError("\n".join(_lines(problems))) from error


def first_problem(error: ValidationError) -> str:
    """Return the first of the problems of what is no document, in the user's words."""
    details = error.errors()[0]
    cause = details.get("ctx", {}).get("error")
    inner = (cause.field,) if isinstance(cause, FieldError) else ()
    where = ".".join(map(str, (*details["loc"], *inner)))
    if cause is not None:
        text = str(cause)
    elif details["type"] in _ALONE:
        text = _ALONE[details["type"]]
    else:
        text = _in_words(details)
        if text != details["msg"]:
            text = f"{_found(details['input'])}; {text}"
    return f"{where}: {text}" if where else text


def _lines(problems: list[tuple[Position, str]]) -> list[str]:
    """Return a line for each problem, in the order of the file.

    A value that is none of several alternatives is one problem: it may be one *or* the other.
    """
    found: dict[tuple[Position, str], list[str]] = {}
    for where, text in dict.fromkeys(problems):
        value, _, allowed = text.partition(_OR)
        found.setdefault((where, value), []).append(allowed)
    ordered = sorted(found, key=lambda p: (p[0].file, p[0].line, p[0].column, p[1]))
    return [
        f"{where}: {value}{_OR if any(found[where, value]) else ''}"
        + " or ".join(filter(None, found[where, value]))
        for where, value in ordered
    ]


def _echoes(details: ErrorDetails, error: ValidationError) -> bool:
    """Return whether a problem only follows from another.

    A list is too short because an item of it is not valid; what is under a key that is not one.
    """
    if details["type"] == "too_short":
        return len(details["input"]) >= int(details["ctx"]["min_length"])
    loc = details["loc"]
    keys = [other["loc"] for other in error.errors() if other["loc"][-1:] == (_KEY,)]
    return any(loc != key and loc[: len(key) - 1] == key[:-1] for key in keys)


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
        loc = (*loc, *(int(k) if k.isdecimal() else k for k in cause.field.split(".")))
        text = str(cause)
    elif details["type"] == "extra_forbidden":
        allowed = _fields_at(model, loc[:-1], document.data)
        text = f"unknown field; {_did_you_mean(str(loc[-1]), allowed)}"
    elif details["type"] == "union_tag_invalid":
        tag = details["ctx"]["discriminator"].strip("'")
        loc = (*loc, tag)
        text = f"{_found(details['ctx']['tag'])}; allowed is one of "
        text += details["ctx"]["expected_tags"]
    elif details["type"] == "union_tag_not_found":
        loc = (*loc, details["ctx"]["discriminator"].strip("'"))
        text = "missing; this field is needed"
    elif details["type"] == "missing":
        text = "missing; this field is needed"
    elif details["type"] == "too_short":
        needed = details["ctx"]["min_length"]
        text = f"found {len(details['input']) or 'none'}; needed are {needed} or more"
    else:
        text = f"{_found(details['input'])}; {_allowed(model, document, loc, details)}"
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
        missing = index == len(loc) - 1 and isinstance(data, dict) and key != _KEY
        if known or item or missing:
            data = _child(data, key)
            yield key


def _fields_at(model: type[BaseModel], loc: Loc, data: Any) -> list[str]:
    """Return the field names allowed at ``loc``."""
    models = _models_at(model, loc, data)
    return sorted({f.alias or name for m in models for name, f in m.model_fields.items()})


def _models_at(model: type[BaseModel], loc: Loc, data: Any) -> list[type[BaseModel]]:
    """Return the models that may stand at ``loc``, walking the model beside the data."""
    models: list[type[BaseModel]] = [model]
    for key in loc:
        data = _child(data, key)
        if isinstance(key, int):
            continue
        annotations = [a for outer in models for a in _annotations(outer, key)]
        models = [a for a in annotations if isinstance(a, type) and issubclass(a, BaseModel)]
    if isinstance(data, dict) and "kind" in data:
        tagged = [m for m in models if _has_kind(m, data["kind"])]
        models = tagged or models
    return models


def _annotations(outer: type[BaseModel], key: str) -> Iterator[Any]:
    """Yield the types that the annotation of field ``key`` is made of, and its constraints."""
    for name, field in outer.model_fields.items():
        if key in (name, field.alias):
            pending = [field, field.annotation]
            while pending:
                part = pending.pop()
                yield part
                pending.extend(getattr(part, "__args__", ()))
                pending.extend(getattr(part, "__metadata__", ()))
                if isinstance(part, FieldInfo):
                    pending.extend(part.metadata)


def _range(model: type[BaseModel], document: Document, loc: Loc) -> str:
    """Return the range that is allowed at ``loc``; empty if it is not of two ends."""
    last = max(index for index, key in enumerate(loc) if isinstance(key, str))
    models = _models_at(model, loc[:last], document.data)
    parts = [part for outer in models for part in _annotations(outer, str(loc[last]))]
    ends = [
        {
            f"{word}{getattr(part, end):.15g}"
            for end, word in side
            for part in parts
            if _has(part, end)
        }
        for side in _ENDS
    ]
    return " to ".join(end.pop() for end in ends) if all(len(end) == 1 for end in ends) else ""


def _has(part: Any, end: str) -> bool:
    return isinstance(getattr(part, end, None), int | float)


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
    return f"found {json.dumps(value, ensure_ascii=False, default=str)}"


def _allowed(model: type[BaseModel], document: Document, loc: Loc, details: ErrorDetails) -> str:
    """Return pydantic's message in the house's words: what is allowed."""
    if details["type"] in _OUTSIDE and (ends := _range(model, document, loc)):
        return f"allowed is {ends}"
    return _in_words(details)


def _in_words(details: ErrorDetails) -> str:
    message = details["msg"]
    text = message.removeprefix("Input should be ").removeprefix("Value error, ")
    return f"allowed is {_PLAINLY.get(text, text)}" if text != message else message
