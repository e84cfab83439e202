"""Verbs on spec files: list, show, check."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from cimsearch.cli.output import json_option, print_json
from cimsearch.errors import ExitCode, SpecError


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(["hardware", "spaces", "studies"]))
@json_option
def list_(kind: str | None, as_json: bool) -> None:
    """List the hardware, spaces and studies that can be named."""
    from cimsearch.spec.catalogue import Kind, names
    from cimsearch.spec.document import read_document

    entries = [
        {"kind": each, "name": name, "summary": read_document(path).data.get("summary", "")}
        for each in get_args(Kind)
        if kind in (None, each)
        for name, path in names(each).items()
    ]
    if as_json:
        print_json(entries)
    else:
        for entry in entries:
            click.echo(f"{entry['kind']:9} {entry['name']:28} {entry['summary']}")


@click.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show NAME resolved: each value with its basis and the line it comes from."""
    from cimsearch.spec.catalogue import load_document
    from cimsearch.spec.hardware import basis_of

    kind = _kind_of(name)
    document = load_document(kind, name)
    _load(kind, name)
    if as_json:
        print_json(document.data)
        return
    basis = document.data.get("basis", {})
    rows = [
        [path, value, basis_of(path, basis) or "", str(document.position(loc))]
        for path, value, loc in _leaves(document.data)
        if not path.startswith("basis")
    ]
    if kind != "hardware":
        rows = [[path, value, where] for path, value, _, where in rows]
    header = (
        ["field", "value", "basis", "from"] if kind == "hardware" else ["field", "value", "from"]
    )
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        cells = zip(row, widths, strict=True)
        click.echo("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
    if kind == "spaces":
        _show_space(name)


def _show_space(name: str) -> None:
    from cimsearch.space import Space
    from cimsearch.spec import load_space_spec

    space = Space(load_space_spec(name))
    click.echo(f"\n{len(space.genes)} genes, {space.size:.3g} candidates")
    for gene in space.genes:
        click.echo(f"  {gene.name:36} {', '.join(map(str, gene.choices))}")


def _kind_of(name: str) -> Any:
    """Return the kind of catalogue that a name or file belongs to."""
    from cimsearch.spec.catalogue import KINDS, is_path, names
    from cimsearch.spec.document import read_document

    if is_path(name):
        document = read_document(Path(name))
        tag = str(document.data.get("schema", ""))
        kinds = {"hardware": "hardware", "space": "spaces", "study": "studies"}
        kind = kinds.get(tag.removeprefix("cimsearch/").split("/")[0])
        if kind is None:
            allowed = ", ".join(f"cimsearch/{k}/1" for k in kinds)
            raise document.error(("schema",), f"found {tag!r}; allowed is one of {allowed}")
        return kind
    found = [kind for kind in KINDS if name in names(kind)]
    if not found:
        known = [each for kind in KINDS for each in names(kind)]
        raise SpecError(f"nothing is named {name!r}", f"known are {', '.join(known)}")
    return found[0]


def _load(kind: str, name: str) -> None:
    """Load a spec of any kind, for its errors."""
    from cimsearch.spec import load_space_spec, load_study
    from cimsearch.spec.load import load_hardware_file

    loaders: dict[str, Callable[[str], object]] = {
        "hardware": load_hardware_file,
        "spaces": load_space_spec,
        "studies": load_study,
    }
    loaders[kind](name)


def _leaves(data: Any, loc: tuple[str | int, ...] = ()) -> list[tuple[str, str, Any]]:
    """Return (dotted path, value as text, position key) of every leaf of plain data."""
    if isinstance(data, dict):
        return [leaf for key, value in data.items() for leaf in _leaves(value, (*loc, key))]
    if isinstance(data, list) and any(isinstance(item, dict | list) for item in data):
        return [leaf for i, value in enumerate(data) for leaf in _leaves(value, (*loc, i))]
    path = ".".join(map(str, loc))
    return [(path, data if isinstance(data, str) else json.dumps(data), loc)]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def check(files: tuple[Path, ...], as_json: bool) -> int:
    """Check spec FILES; all errors of all files are told, each with its line and column."""
    results = [(file, _error_of(file)) for file in files]
    if as_json:
        print_json([_checked(file, error) for file, error in results])
    else:
        for file, error in results:
            click.echo(error or f"{file}: ok", err=error is not None)
    failed = any(error for _, error in results)
    return ExitCode.INVALID_SPEC if failed else ExitCode.OK


def _error_of(file: Path) -> SpecError | None:
    name = str(file) if file.is_absolute() or file.suffix == ".yaml" else f"./{file}"
    try:
        _load(_kind_of(name), name)
    except SpecError as error:
        return error
    return None


_PLACED = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)")


def _checked(file: Path, error: SpecError | None) -> dict[str, Any]:
    """Return what a check of a file found as plain data; an error may lie in another file."""
    errors: list[dict[str, Any]] = []
    for line in error.message.splitlines() if error else ():
        if placed := _PLACED.fullmatch(line):
            at = placed.groupdict()
            errors.append(at | {"line": int(at["line"]), "column": int(at["column"])})
        else:
            errors.append({"file": None, "line": None, "column": None, "message": line})
    hint = error.hint if error else ""
    return {"file": str(file), "ok": error is None, "errors": errors, "hint": hint}
