"""Verbs on spec files: list, show, check, cost."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from cimsearch.cli.output import json_option, percent, print_json, print_table
from cimsearch.errors import ExitCode, SpecError, UsageError
from cimsearch.units import quantity
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.cost import CostReport, LayerFidelity
    from cimsearch.spec import Hardware


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
def check(files: tuple[Path, ...]) -> int:
    """Check spec FILES; all errors of all files are told, each with its line and column."""
    failed = False
    for file in files:
        name = str(file) if file.is_absolute() or file.suffix == ".yaml" else f"./{file}"
        try:
            _load(_kind_of(name), name)
            click.echo(f"{file}: ok")
        except SpecError as error:
            failed = True
            click.echo(str(error), err=True)
    return ExitCode.INVALID_SPEC if failed else ExitCode.OK


@click.command()
@click.argument("space")
@click.option("--hardware", required=True, metavar="NAME", help="A macro or system.")
@click.option(
    "--genes", metavar="GENES", help='Choice indices "0,2,1,...", or a JSON file {gene: choice}.'
)
@click.option(
    "--snr", is_flag=True, help="Also signal to noise, converter bits and clipping of each layer."
)
@json_option
def cost(space: str, hardware: str, genes: str | None, snr: bool, as_json: bool) -> None:
    """Price a network of SPACE: its uniform 8-bit baseline, or the one that --genes names."""
    from cimsearch.api import estimate, fidelity, load_space
    from cimsearch.cli.read import print_layers
    from cimsearch.spec import load_hardware

    networks, machine = load_space(space), load_hardware(hardware)
    candidate = candidate_of(networks, machine, genes)
    report = estimate(candidate, machine)
    layers = fidelity(candidate, machine) if snr else ()
    if as_json:
        found = {"fidelity": [asdict(layer) for layer in layers]} if snr else {}
        print_json(report.to_dict() | found)
        return
    which = "uniform 8 bit" if genes is None else "the given genes"
    click.echo(f"{space} ({which}) on {machine.name} in {machine.system_name}, per inference:")
    _print_totals(report, machine)
    if report.precision not in ("mixed", "float", ""):
        click.echo(
            f"  {'efficiency':12} {report.tops_per_w:.3g} TOPS/W of the system at "
            f"{report.precision}, 1 MAC = 2 OPS"
        )
    click.echo(
        f"  array calls {'calibrated' if report.calibrated else 'not calibrated'}: the macros' "
        f"{percent(1 - report.unvalidated_frac)} of the energy may be off by x or / "
        f"{report.band_factor:.2g} (80 % band{_held(report)}: {report.band_basis}); nobody "
        "validated the rest\n"
    )
    print_layers(report.to_dict())
    if layers:
        click.echo()
        print_fidelity(layers)


def _print_totals(report: "CostReport", machine: "Hardware") -> None:
    """Print the totals of a price; what only some chips have where they have it."""
    owned = machine.system.macros
    fits = owned == "enough" or report.macros <= owned
    names = ["energy_pj", "latency_ns", "area_um2"]
    if report.interval_ns != report.latency_ns:
        names.insert(2, "interval_ns")
    if fits:
        names.append("programming_pj")
    for name in names:
        once = ", once: writing all weights" if name == "programming_pj" else ""
        click.echo(f"  {quantity(name):12} {with_unit(name, float(getattr(report, name)))}{once}")
    chip = "" if owned == "enough" else f" needed, {owned} on the chip"
    if not fits:
        chip += ": weights are loaded at every inference"
    click.echo(f"  {'macros':12} {report.macros}{chip}")
    click.echo(f"  {'utilization':12} {percent(report.utilization)}")


def print_fidelity(layers: Sequence["LayerFidelity"]) -> None:
    """Print what the hardware does to each layer with weights."""
    header = ["layer", "SNR [dB]", "analog", "ADC", "ADC bits / lossless", "clips"]
    rows = [
        [
            layer.name,
            *map(_db, (layer.snr_db, layer.snr_db_analog, layer.snr_db_adc)),
            *(
                (f"{layer.adc_bits} / {layer.adc_bits_lossless}", percent(layer.adc_clip_fraction))
                if layer.adc_bits
                else ("-", "-")
            ),
        ]
        for layer in layers
    ]
    print_table(header, rows)


def _db(snr_db: float | None) -> str:
    return "lossless" if snr_db is None else f"{snr_db:.1f}"


def _held(report: Any) -> str:
    achieved = report.band_achieved_frac
    return "" if achieved is None else f", held for {percent(achieved)}"


def candidate_of(networks: Any, machine: Any, genes: str | None) -> Any:
    """Return the uniform 8-bit baseline of a space, or the candidate of genes as typed.

    Raises:
        UsageError: They are neither choice indices nor a JSON file of choices by name.
    """
    from cimsearch.search.baselines import uniform_candidate

    if genes is None:
        return uniform_candidate(networks, machine, 8)
    return networks.decode(_genes(networks, genes))


def _genes(networks: Any, text: str) -> Any:
    """Return genes from indices, or from a JSON file of choices by name."""
    if text.endswith(".json"):
        try:
            return networks.encode(json.loads(Path(text).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise UsageError(f"--genes: {text}: {error}") from error
    try:
        return [int(index) for index in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--genes: found {text!r}; allowed are {len(networks.genes)} whole numbers with "
            "commas between, or a .json file"
        ) from error
