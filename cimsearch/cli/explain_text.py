"""An explanation as text: equations, the terms in them, and the constants with their sources."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import percent

if TYPE_CHECKING:
    from cimsearch.cost.explain import Constant, Explanation
    from cimsearch.cost.explain_expression import Term
    from cimsearch.cost.explain_latency import LatencyEquation
    from cimsearch.cost.explain_terms import Equation, Product


def print_explanation(found: "Explanation", target: str) -> None:
    """Print an explanation of a layer of ``target``; a term is explained where it first stands."""
    data, told = found.statistics, set[str]()
    what = ", ".join(filter(None, (found.op, found.placement)))
    on = f"on {found.hardware}"
    if found.copies > 1:
        on = f"in {found.copies} copies {on}"
    click.echo(
        f"{found.layer} ({what}) of {target} {on}, per "
        f"inference: {found.energy_pj:.6g} pJ, {found.latency_ns:.6g} ns"
    )
    zeros = f", zero planes {data.zero_plane_frac:g}" if data.zero_plane_frac else ""
    click.echo(
        f"data statistics: activity {data.activity_frac:g}, density {data.density_frac:g}{zeros}, "
        f"batch {data.batch}"
    )
    if found.mapping:
        click.echo("\nMapping")
        for each in found.mapping:
            click.echo(f"  {each.name} = {each.symbols} = {each.arithmetic} = {each.value}")
    click.echo("\nEnergy (a term is explained where it first stands)")
    for equation in found.equations:
        _print_equation(equation, found, told)
    _print_latency(found.latency, found, told)
    if found.network:
        times = ", ".join(f"{term.symbol} {term.value:.6g} ns" for term in found.network)
        click.echo(f"\nPipelined: {times}; the chip leaks for the interval")
        _print_terms(found.network, told, "  ")
    click.echo("\nConstants")
    _print_constants(list(found.constants.values()))
    click.echo(
        f"\nvalidated: {percent(found.validated_frac)} of the energy is in components that chips "
        f"have validated; {'calibrated' if found.calibrated else 'not calibrated'}, so these may "
        f"be off by x or / {found.trust.factor:.2g} (80 % band: {found.trust.basis})"
    )


def _print_equation(equation: "Equation", found: "Explanation", told: set[str]) -> None:
    from cimsearch.cost import UNVALIDATED

    share = percent(equation.value_pj / found.energy_pj)
    unvalidated = ", unvalidated" if equation.component in UNVALIDATED else ""
    click.echo(f"  {equation.component}: {equation.value_pj:.6g} pJ, {share}{unvalidated}")
    click.echo(f"    = {equation.text}")
    if equation.products:
        click.echo(f"    = {equation.filled}")
    _print_terms(equation.terms, told, "      ")


def _print_terms(terms: "Iterable[Term]", told: set[str], indent: str) -> None:
    """Print what terms are that are neither constants nor integers of the mapping, once each."""
    for term in terms:
        text = _explained(term)
        if text and text not in told:
            told.add(text)
            click.echo(indent + text)
            _print_terms(term.inner, told, indent + "  ")


def _explained(term: "Term") -> str:
    """Return how a term is computed and what it is; empty if its name says it."""
    if not term.formula and not term.how:
        return ""
    # The arithmetic of another term as it is says no more than its value.
    arithmetic = term.arithmetic if " " in term.arithmetic or "(" in term.arithmetic else ""
    parts = (term.symbol, term.formula, arithmetic, term.filled)
    text = " = ".join(part for part in parts if part)
    return f"{text}: {term.how}" if term.how else text


def _print_latency(latency: "LatencyEquation", found: "Explanation", told: set[str]) -> None:
    waiting = ", plus waiting" if latency.waiting else ""
    joined = "the longer of that and" if latency.overlaps else "plus"
    loading = f", {joined} loading weights" if latency.loading else ""
    click.echo(f"\nLatency: {found.latency_ns:.6g} ns = the slowest of these{waiting}{loading}")
    for name, products in latency.named.items():
        click.echo(f"  {name}: {_multiplied(products)}")
        _print_terms((term for product in products for term in product), told, "      ")


def _multiplied(products: "Sequence[Product]") -> str:
    from cimsearch.cost.explain_terms import sum_of

    symbols = " + ".join(" x ".join(term.symbol for term in product) for product in products)
    filled = " + ".join(" x ".join(term.filled for term in product) for product in products)
    return f"{sum_of(products):.6g} ns = {symbols} = {filled}"


def _print_constants(constants: "Sequence[Constant]") -> None:
    sources = list(dict.fromkeys(c.origin.source for c in constants if c.origin))
    header = ("path", "value", "unit", "basis", "source", "from")
    rows = [header, *_rows(constants, sources)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(f"  {'  '.join(cells)}".rstrip())
    for index, source in enumerate(sources, 1):
        click.echo(f"  [{index}] {' '.join(source.split())}")


def _rows(constants: "Sequence[Constant]", sources: Sequence[str]) -> Iterator[tuple[str, ...]]:
    missing = "assumed" if sources else "-"
    unstated = "the model's default" if sources else "the study's files are gone or have changed"
    for constant in constants:
        origin = constant.origin
        basis, source, where = missing, "-", unstated
        if origin:
            basis, source = origin.basis, f"[{sources.index(origin.source) + 1}]"
            where = f"{origin.file}:{origin.line}"
        yield constant.path, _value(constant.value), constant.unit, basis, source, where


def _value(value: Any) -> str:
    """Return a number, or those of a table, as text."""
    if isinstance(value, tuple):
        distinct = dict.fromkeys(f"{each:.10g}" for each in value)
        return ", ".join(distinct) if len(distinct) <= _LISTED else f"{len(value)} points"
    return f"{value:.10g}"


_LISTED = 6
"""A table of more different numbers is told by how many points it has."""
