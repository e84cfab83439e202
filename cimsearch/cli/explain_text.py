"""An explanation as text: equations, the terms in them, and the constants with their sources."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import percent, print_wrapped
from cimsearch.figures.settings import settings_text
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.cost.explain import Constant, Explanation
    from cimsearch.cost.explain_expression import Term
    from cimsearch.cost.explain_latency import LatencyEquation
    from cimsearch.cost.explain_terms import Equation, Product
    from cimsearch.spec.hardware_genes import Settings


def print_explanation(found: "Explanation", target: str, settings: "Settings") -> None:
    """Print an explanation of a layer of ``target``; a term is explained where it first stands.

    Args:
        found: What is told.
        target: What the layer is of, as it was typed.
        settings: Those of its machine, where fields of the hardware are searched.
    """
    data, told = found.statistics, set[str]()
    what = ", ".join(filter(None, (found.op, found.placement)))
    on = f"on {found.hardware}" + (f" with {settings_text(settings)}" if settings else "")
    if found.copies > 1:
        on = f"in {found.copies} copies {on}"
    energy, latency = with_unit("energy_pj", found.energy_pj), _time(found.latency_ns)
    print_wrapped(f"{found.layer} ({what}) of {target} {on}, per inference: {energy}, {latency}")
    zeros = f", zero planes {data.zero_plane_frac:g}" if data.zero_plane_frac else ""
    click.echo(
        f"data statistics: activity {data.activity_frac:g}, density {data.density_frac:g}{zeros}, "
        f"batch {data.batch}"
    )
    if found.mapping:
        click.echo("\nMapping")
        for each in found.mapping:
            # An integer that is given has no arithmetic but itself.
            computed = [each.arithmetic] * (each.arithmetic != str(each.value))
            line = " = ".join([each.name, each.symbols, *computed, str(each.value)])
            print_wrapped(line, indent="  ")
    if found.converters:
        click.echo()
        print_wrapped(f"Converters: {found.converters}")
    click.echo("\nEnergy (a term is explained where it first stands)")
    for equation in found.equations:
        _print_equation(equation, found, told)
    _print_latency(found.latency, found, told)
    if found.network:
        times = ", ".join(f"{term.symbol} {_time(term.value)}" for term in found.network)
        how = f"Fused, {found.group}{_group_times(found)}" if found.group else "Pipelined"
        click.echo()
        print_wrapped(f"{how}: {times}; the chip leaks for the interval")
        _print_terms(found.network, told, "  ")
    if found.not_pipelined:
        click.echo(f"\nNot pipelined: {found.not_pipelined}")
    click.echo("\nConstants")
    _print_constants(list(found.constants.values()))
    click.echo()
    print_wrapped(
        f"validated: {percent(found.validated_frac)} of the energy is in components that chips "
        f"have validated; {'calibrated' if found.calibrated else 'not calibrated'}, so these may "
        f"be off by x or / {found.trust.factor:.2g} (80 % band: {found.trust.basis})"
    )


def _group_times(found: "Explanation") -> str:
    """Return the times of the group that a layer is fused in, if groups run one after another."""
    from cimsearch.cost.explain_network import GROUP_TIMES

    own = [term for term in found.terms if term.symbol in GROUP_TIMES]
    return "".join(f", {term.symbol} {_time(term.value)}" for term in own)


def _print_equation(equation: "Equation", found: "Explanation", told: set[str]) -> None:
    share = percent(equation.value_pj / found.energy_pj)
    unvalidated = "" if equation.component in found.validated else ", unvalidated"
    energy = with_unit("energy_pj", equation.value_pj)
    click.echo(f"  {equation.component}: {energy}, {share}{unvalidated}")
    print_wrapped(f"= {equation.text}", indent="    ")
    if equation.products:
        print_wrapped(f"= {equation.filled}", indent="    ")
    _print_terms(equation.terms, told, "      ")


def _print_terms(terms: "Iterable[Term]", told: set[str], indent: str) -> None:
    """Print what terms are that are neither constants nor integers of the mapping, once each."""
    for term in terms:
        text = _explained(term)
        if text and text not in told:
            told.add(text)
            print_wrapped(text, indent=indent)
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
    whole = _time(found.latency_ns)
    click.echo(f"\nLatency: {whole} = the slowest of these{waiting}{loading}")
    for name, products in latency.named.items():
        print_wrapped(f"{name}: {_multiplied(products)}", indent="  ")
        _print_terms((term for product in products for term in product), told, "      ")


def _multiplied(products: "Sequence[Product]") -> str:
    from cimsearch.cost.explain_terms import sum_of

    symbols = " + ".join(" x ".join(term.symbol for term in product) for product in products)
    filled = " + ".join(" x ".join(term.filled for term in product) for product in products)
    return f"{_time(sum_of(products))} = {symbols} = {filled}"


def _time(time_ns: float) -> str:
    return with_unit("latency_ns", time_ns)


def _print_constants(constants: "Sequence[Constant]") -> None:
    sources = list(dict.fromkeys(c.origin.source for c in constants if c.origin))
    header = ("path", "value", "basis", "source", "from")
    rows = [header, *_rows(constants, sources)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    # The few values of several numbers stand out of their column.
    widths[1] = _VALUE_WIDTH
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_wrapped("  ".join(cells).rstrip(), indent="  ")
    for index, source in enumerate(sources, 1):
        print_wrapped(f"[{index}] {' '.join(source.split())}", indent="  ")
    for file in dict.fromkeys(c.origin.file for c in constants if c.origin):
        if (short := _short(file)) != file:
            print_wrapped(f"{short}: {file}", indent="  ")


def _rows(constants: "Sequence[Constant]", sources: Sequence[str]) -> Iterator[tuple[str, ...]]:
    missing = "assumed" if sources else "-"
    unstated = "the model's default" if sources else "the study's files are gone or have changed"
    for constant in constants:
        origin = constant.origin
        basis, source, where = missing, "-", unstated
        if origin:
            basis, source = origin.basis, f"[{sources.index(origin.source) + 1}]"
            where = f"{_short(origin.file)}:{origin.line}"
        value = f"{_value(constant.value)} {constant.unit}".rstrip()
        yield constant.path, value, basis, source, where


def _short(file: str) -> str:
    """Return a file with its folder, as catalogues name it."""
    return str(Path(*Path(file).parts[-2:]))


def _value(value: Any) -> str:
    """Return a number, or those of a table, as text."""
    if isinstance(value, tuple):
        distinct = dict.fromkeys(f"{each:.10g}" for each in value)
        return ", ".join(distinct) if len(distinct) <= _LISTED else f"{len(value)} points"
    return f"{value:.10g}"


_LISTED = 6
"""A table of more different numbers is told by how many points it has."""

_VALUE_WIDTH = 14
"""Characters of a number with its unit."""
