"""The hardware file of a fitted macro: what it changes on the macro that it extends."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cimsearch.cost.measured import Fit
from cimsearch.cost.measured_table import MeasuredTable
from cimsearch.errors import SpecError, UsageError
from cimsearch.spec.basis import numbers as numbers_of
from cimsearch.spec.catalogue import find, is_path, laid, load_layers
from cimsearch.spec.document import Document, merge, read_document
from cimsearch.spec.hardware import Hardware, MacroFile
from cimsearch.spec.load import load_hardware, load_hardware_file

_INDENT = "  "
_WORD = re.compile(r"[A-Za-z][\w./-]*", re.ASCII)
_NOT_WORDS = ("true", "false", "null")


def macro_text(fit: Fit, table: MeasuredTable, *, base: str, out: Path) -> str:
    """Return the file of the fitted macro as YAML.

    It extends ``base``; where that chain would be too long, it extends what ``base`` extends and
    repeats what ``base`` says.

    Args:
        fit: What was fitted.
        table: To these points.
        base: The macro that was fitted, a catalogue name or a path.
        out: The file that will hold the text; its stem is the name of the macro.

    Raises:
        SpecError: ``base`` cannot be found or read.
    """
    return extending_text(
        fitted_numbers(fit, table),
        base=base,
        out=out,
        summary=f"{base} with its energy constants times {fit.factor:.4g}, fitted to "
        f"{len(fit.calibration.points)} measured points",
        source=f"measured: {table.path.name}, SHA-256 {table.sha256}",
    )


def extending_text(
    numbers: Mapping[str, Any],
    *,
    base: str,
    out: Path,
    summary: str,
    source: str,
    dropped: Sequence[str] = (),
) -> str:
    """Return the file of a macro that changes another one, as YAML.

    It extends ``base``; where that chain would be too long, it extends what ``base`` extends and
    repeats what ``base`` says.

    Args:
        numbers: What it changes, with the basis of that.
        base: The other macro, a catalogue name or a path.
        out: The file that will hold the text; its stem is the name of the macro.
        summary: Of the file.
        source: Of the numbers.
        dropped: Dotted paths of what ``base`` says and the file is not to inherit.

    Raises:
        SpecError: ``base`` cannot be found or read.
    """
    own = read_document(find("hardware", base))
    parent = own.data.get("extends")
    repeated = parent is not None and "extends" in _read(parent, own.path).data
    extends = _seen_from(out, parent, own.path) if parent and repeated else _seen_from(out, base)
    changes = {
        "schema": "cimsearch/hardware/1",
        "kind": "macro",
        "extends": extends,
        "name": out.stem,
        "summary": summary,
        "source": f"{source}; on {base}: {own.data['source']}" if repeated else source,
        **numbers,
    }
    data = changes
    if repeated:
        data = merge(Document(own.path, own.data, {}), Document(out, changes, {})).data
    inherited = laid("hardware", load_layers("hardware", base)[1 if repeated else 0 :]).data
    for path in dropped:
        _drop(data, inherited, path.split("."))
    stated = numbers_of(data)
    data["basis"] = {
        entry: basis
        for entry, basis in data["basis"].items()
        if any(f"{path}.".startswith(f"{entry}.") for path in stated)
    }
    return "".join(f"{line}\n" for line in _lines(data))


def _drop(data: dict[str, Any], inherited: Any, path: Sequence[str]) -> None:
    """Take what stands at ``path`` off a file: a null, where the file would inherit it."""
    key, *rest = path
    beneath = inherited.get(key) if isinstance(inherited, dict) else None
    if rest:
        _drop(data.setdefault(key, {}), beneath, rest)
        return
    data.pop(key, None)
    if beneath is not None:
        data[key] = None


def _read(name: str, beside: Path) -> Document:
    return read_document(find("hardware", name, beside=beside))


def _seen_from(out: Path, name: str, beside: Path | None = None) -> str:
    """Return how the file ``out`` names what the file ``beside`` calls ``name``."""
    if not is_path(name):
        return name
    place = beside.parent / name if beside else Path(name)
    return Path(os.path.relpath(place, out.parent)).as_posix()


def fitted_numbers(fit: Fit, table: MeasuredTable) -> dict[str, Any]:
    """Return the fitted constants, the calibration, and the basis of both."""
    data: dict[str, Any] = {}
    for path, value in fit.constants.items():
        *parents, last = path.split(".")
        part = data
        for key in parents:
            part = part.setdefault(key, {})
        part[last] = float(f"{value:.6g}")
    data["calibration"] = fit.calibration.model_dump(mode="json", exclude_none=True)
    data["basis"] = dict.fromkeys(fit.constants, "derived") | {
        "calibration.points": "reported" if table.energy_column == "call_energy_pj" else "derived",
        "calibration.activity_frac": "reported",
        "calibration.density_frac": "reported",
        "calibration.tolerance_frac": "assumed",
    }
    return data


def _lines(data: Mapping[str, Any], indent: str = "") -> list[str]:
    """Return plain data as YAML in block style; a list of mappings has a line for each."""
    lines = []
    for key, value in data.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_lines(value, indent + _INDENT)]
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            lines += [f"{indent}{key}:", *(f"{indent}{_INDENT}- {_flow(item)}" for item in value)]
        else:
            lines.append(f"{indent}{key}: {_flow(value)}")
    return lines


def _flow(value: Any) -> str:
    """Return a value on one line: JSON, which is YAML, without quotes where none are needed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float):
        return repr(float(f"{value:.8g}"))
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and _WORD.fullmatch(value) and value not in _NOT_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def load_macro(name: str) -> Hardware:
    """Return the macro of ``name``, a catalogue name or a path, in the default system.

    Raises:
        SpecError: Not found, not valid, or not a macro.
    """
    document, file = load_hardware_file(name)
    if not isinstance(file, MacroFile):
        raise document.error(("kind",), f"found {file.kind!r}; allowed is 'macro'")
    return load_hardware(name)


def write_macro(text: str, out: Path, *, force: bool = False) -> None:
    """Write the file of a macro, whole and valid or not at all.

    Raises:
        UsageError: ``out`` does not end in .yaml, or is there and not to be overwritten.
        SpecError: The file would not be valid; nothing is written.
        OSError: It cannot be written there.
    """
    if out.suffix != ".yaml":
        raise UsageError(f"--out: found {str(out)!r}; allowed is a name that ends in .yaml")
    if out.exists() and not force:
        raise UsageError(f"{out}: is already there", "--force writes over it")
    draft = out.with_name(f".{out.stem}.{os.getpid()}.yaml")
    try:
        draft.write_text(text, encoding="utf-8")
        load_hardware(str(draft))
        draft.replace(out)
    except SpecError as error:
        raise SpecError(error.message.replace(str(draft), str(out)), error.hint) from error
    finally:
        draft.unlink(missing_ok=True)
