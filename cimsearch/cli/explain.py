"""The verb ``explain``: every equation of a layer's price with its numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.catalogue import candidate_of
from cimsearch.cli.output import json_option, percent, print_json, storage_option
from cimsearch.cli.read import read_study
from cimsearch.errors import SpecError, StudyError, UsageError

if TYPE_CHECKING:
    from cimsearch.blueprint import Blueprint
    from cimsearch.cost.explain import Constant, Explanation
    from cimsearch.cost.explain_system import LatencyEquation
    from cimsearch.cost.explain_terms import Equation, Product, Term
    from cimsearch.spec import Hardware
    from cimsearch.spec.provenance import Origin
    from cimsearch.spec.study import Statistics

Priced = tuple["Blueprint", "Hardware", "Statistics", Mapping[str, "Origin"]]


@click.command()
@click.argument("target")
@click.option("--layer", required=True, metavar="LAYER", help="Name of a layer.")
@click.option("--hardware", metavar="NAME", help="A macro or system; a trial has its study's.")
@click.option(
    "--genes", metavar="GENES", help='Choice indices "0,2,1,...", or a JSON file {gene: choice}.'
)
@storage_option
@json_option
def explain(
    target: str,
    layer: str,
    hardware: str | None,
    genes: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Explain the price of one layer: every equation with its numbers and their sources.

    TARGET is STUDY/NUMBER, a trial, or a space: its uniform 8-bit baseline, or the network that
    --genes names.
    """
    from cimsearch.cost.explain import explain as explained

    study, _, number = target.rpartition("/")
    if study and number.isdecimal():
        if genes is not None:
            raise UsageError("--genes: a trial has its own genes")
        priced = _of_trial(study, int(number), hardware, storage)
    elif hardware is None:
        raise UsageError("--hardware is missing: a space alone has no price")
    else:
        priced = _of_space(target, hardware, genes)
    network, machine, data, origins = priced
    found = explained(network, machine, layer, data, origins=origins)
    if as_json:
        print_json(_plain(found))
    else:
        _print(found, target)


def _of_trial(study: str, number: int, hardware: str | None, storage: str | None) -> Priced:
    from cimsearch.spec import load_hardware
    from cimsearch.spec.provenance import load_basis

    result = read_study(study, storage)
    if number >= len(result.trials):
        raise StudyError(
            f"{study}: no trial {number}", f"it has trials 0 to {len(result.trials) - 1}"
        )
    network, data = result.trials[number].candidate.blueprint, result.study.spec.statistics
    if hardware is not None:
        return network, load_hardware(hardware), data, load_basis(hardware)
    return network, result.study.hardware, data, _origins_of(result.study)


def _origins_of(study: Any) -> Mapping[str, "Origin"]:
    """Return the origins of a study's constants; none if its files are gone or have changed."""
    from cimsearch.spec import load_hardware
    from cimsearch.spec.provenance import load_basis

    name = study.spec.hardware
    try:
        unchanged = load_hardware(name).hash == study.hardware.hash
        return load_basis(name) if unchanged else {}
    except SpecError:
        return {}


def _of_space(space: str, hardware: str, genes: str | None) -> Priced:
    from cimsearch.api import estimate, load_space
    from cimsearch.spec import load_hardware
    from cimsearch.spec.provenance import load_basis
    from cimsearch.spec.study import Statistics

    networks, machine = load_space(space), load_hardware(hardware)
    candidate = candidate_of(networks, machine, genes)
    # Refuses what `cost` refuses: a network that does not fit and may not be loaded each time.
    estimate(candidate, machine)
    return candidate.blueprint, machine, Statistics(), load_basis(hardware)


def _print(found: "Explanation", target: str) -> None:
    data = found.statistics
    click.echo(
        f"{found.layer} ({found.op}, {found.placement}) of {target} on {found.hardware}, per "
        f"inference: {found.energy_pj:.6g} pJ, {found.latency_ns:.6g} ns"
    )
    click.echo(
        f"data statistics: activity {data.activity_frac:g}, density {data.density_frac:g}, "
        f"batch {data.batch}"
    )
    if found.mapping:
        click.echo("\nMapping")
        for each in found.mapping:
            click.echo(f"  {each.name} = {each.symbols} = {each.arithmetic} = {each.value}")
    click.echo("\nEnergy")
    for equation in found.equations:
        _print_equation(equation, found)
    _print_latency(found.latency, found)
    click.echo("\nConstants")
    _print_constants(list(found.constants.values()))
    click.echo(
        f"\nvalidated: {percent(found.validated_frac)} of the energy is in components that chips "
        f"have validated; {'calibrated' if found.calibrated else 'not calibrated'}, so these may "
        f"be off by x or / {found.trust.factor:.2g} (80 % band: {found.trust.basis})"
    )


def _print_equation(equation: "Equation", found: "Explanation") -> None:
    from cimsearch.cost import UNVALIDATED

    share = percent(equation.value_pj / found.energy_pj)
    unvalidated = ", unvalidated" if equation.component in UNVALIDATED else ""
    click.echo(f"  {equation.component}: {equation.value_pj:.6g} pJ, {share}{unvalidated}")
    click.echo(f"    = {equation.text}")
    if equation.products:
        click.echo(f"    = {equation.filled}")
    _print_terms(equation.terms)


def _print_terms(terms: "Iterable[Term]") -> None:
    """Print how the terms that are neither constants nor integers of the mapping are computed."""
    for term in terms:
        if term.how:
            reads = f"  [{', '.join(term.paths)}]" if term.paths else ""
            click.echo(f"      {term.symbol} = {term.filled}: {term.how}{reads}")


def _print_latency(latency: "LatencyEquation", found: "Explanation") -> None:
    joined = "the longer of" if latency.overlaps else "plus"
    loading = f", {joined} loading weights" if latency.loading else ""
    click.echo(f"\nLatency: {found.latency_ns:.6g} ns = the slowest of these{loading}")
    parts = dict(latency.parts)
    if latency.loading:
        parts["loading weights"] = latency.loading
    for name, product in parts.items():
        click.echo(f"  {name}: {_multiplied(product)}")
        _print_terms(product)


def _multiplied(product: "Product") -> str:
    from cimsearch.cost.explain_terms import product_of

    symbols = " x ".join(term.symbol for term in product)
    filled = " x ".join(term.filled for term in product)
    return f"{product_of(product):.6g} ns = {symbols} = {filled}"


def _print_constants(constants: "Sequence[Constant]") -> None:
    sources = list(dict.fromkeys(c.origin.source for c in constants if c.origin))
    header = ["path", "value", "unit", "basis", "source", "from"]
    rows = [header]
    missing = "assumed" if sources else "-"
    unstated = "the model's default" if sources else "the study's files are gone or have changed"
    for constant in constants:
        origin = constant.origin
        basis = (
            [origin.basis, f"[{sources.index(origin.source) + 1}]"] if origin else [missing, "-"]
        )
        where = f"{origin.file}:{origin.line}" if origin else unstated
        rows.append([constant.path, _value(constant.value), constant.unit, *basis, where])
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(f"  {'  '.join(cells)}".rstrip())
    for index, source in enumerate(sources, 1):
        click.echo(f"  [{index}] {' '.join(source.split())}")


def _value(value: Any) -> str:
    """Return a number, or the measured points of a converter, as text."""
    if isinstance(value, tuple):
        return f"{len(value)} points"
    return f"{value:.10g}"


def _plain(found: "Explanation") -> dict[str, Any]:
    """Return an explanation as plain data."""
    from cimsearch.cost import UNVALIDATED

    plain: dict[str, Any] = {
        "layer": found.layer,
        "op": found.op,
        "placement": found.placement,
        "hardware": found.hardware,
        "statistics": found.statistics.model_dump(mode="json"),
        "energy_pj": found.energy_pj,
        "latency_ns": found.latency_ns,
        "mapping": [asdict(each) for each in found.mapping],
        "components": [
            asdict(equation)
            | {
                "text": equation.text,
                "filled": equation.filled,
                "value_pj": equation.value_pj,
                "share": equation.value_pj / found.energy_pj,
                "validated": equation.component not in UNVALIDATED,
            }
            for equation in found.equations
        ],
        "latency": asdict(found.latency),
        "constants": [
            {
                "path": each.path,
                "value": [point.model_dump(mode="json") for point in each.value]
                if isinstance(each.value, tuple)
                else each.value,
                "unit": each.unit,
                "origin": asdict(each.origin) if each.origin else None,
            }
            for each in found.constants.values()
        ],
    }
    return plain | {
        "validated_frac": found.validated_frac,
        "calibrated": found.calibrated,
        "band_factor": found.trust.factor,
        "band_achieved_frac": found.trust.achieved_coverage,
        "band_basis": found.trust.basis,
    }
