"""The verb ``hardware compare``: macros side by side."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import json_option, print_json, print_table, writing
from cimsearch.errors import UsageError

if TYPE_CHECKING:
    from cimsearch.cost.compare import Comparison

_NOTE = """
Precisions are weights x activations. Native figures are at each row's own, 1 MAC = 2 OPS: compare
them between rows of equal precision only. 1b-norm. is native times weight bits times activation
bits. TOPS/mm2 takes the modelled area of an array; error is modelled over measured energy."""


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--macro", metavar="NAME", help="The macro that the CSV files among NAMEs measured.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a plot: one HTML file.")
@json_option
def compare(names: tuple[str, ...], macro: str | None, plot: Path | None, as_json: bool) -> None:
    """Set macros side by side: each NAME is a macro, or a CSV file as `hardware import` takes."""
    if macro and not any(map(_is_table, names)):
        raise UsageError("--macro: found no CSV file among the NAMEs that it could be for")
    rows = [row for name in names for row in _rows(name, macro)]
    if plot is not None:
        _plot(rows, plot)
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    _print_macros(rows)
    _print_points(rows)
    click.echo(_NOTE)


def _plot(rows: "Sequence[Comparison]", path: Path) -> None:
    from cimsearch.figures.compare import drawn, write_comparison

    missing = len(rows) - len(drawn(rows))
    if missing == len(rows):
        raise UsageError("--plot: no row has a TOPS/mm2", "--macro NAME says what was measured")
    with writing("--plot", path):
        write_comparison(rows, path)
    click.echo(f"plot: {path}", err=True)
    if missing:
        click.echo(f"not in the plot: {missing} rows without TOPS/mm2", err=True)


def _rows(name: str, macro: str | None) -> "Sequence[Comparison]":
    from cimsearch.cost.compare import compare_macro, compare_table
    from cimsearch.cost.measured_file import load_macro
    from cimsearch.cost.measured_table import read_table

    if _is_table(name):
        return compare_table(read_table(Path(name)), load_macro(macro) if macro else None)
    return compare_macro(load_macro(name), name=name)


def _is_table(name: str) -> bool:
    return name.lower().endswith(".csv")


def _print_macros(rows: "Sequence[Comparison]") -> None:
    """Print what each macro is, a line each."""
    header = ["macro", "device", "compute model", "node", "rows x cols", "active rows"]
    lines = []
    for name, row in {row.name: row for row in rows}.items():
        facts = row.macro
        what = ["-"] * (len(header) - 1)
        if facts:
            size = f"{facts.rows} x {facts.cols}"
            what = [facts.device, facts.compute_model, f"{facts.node_nm:g} nm", size]
            what.append(str(facts.active_rows))
        calibrated = {True: "yes", False: "no", None: "no measured points"}[row.calibrated]
        lines.append([name, *what, calibrated])
    print_table([*header, "calibrated"], lines)
    click.echo()


def _print_points(rows: "Sequence[Comparison]") -> None:
    """Print the operating points, a line each; native and normalised figures stand apart."""
    header = ["", "", "precision", "", "", "", "native", "native", "", "1b-norm.", "1b-norm."]
    header += ["native", "native"]
    units = ["", "", "weights x", "ADC", "", "", "TOPS/W", "TOPS/W", "energy", "TOPS/W", "TOPS/W"]
    units += ["TOPS/mm2", "TOPS/mm2"]
    kinds = ["macro", "supply", "activations", "bits", "activity", "density", "measured", "model"]
    kinds += ["error", "measured", "model", "measured", "model"]
    print_table(header, [units, kinds, *(_cells(row) for row in rows)])


def _cells(row: "Comparison") -> list[str]:
    error = row.error_frac
    return [
        row.name,
        "-" if row.supply_v is None else f"{row.supply_v:g} V",
        row.precision,
        str(row.adc_bits or "-"),
        f"{row.activity_frac:g}",
        f"{row.density_frac:g}",
        _number(row.tops_per_w_native_measured),
        _number(row.tops_per_w_native_model),
        "-" if error is None else f"{100 * error:+.1f} %",
        _number(row.tops_per_w_1b_measured),
        _number(row.tops_per_w_1b_model),
        _number(row.tops_per_mm2_native_measured),
        _number(row.tops_per_mm2_native_model),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _plain(row: "Comparison") -> dict[str, Any]:
    return asdict(row) | {
        "precision": row.precision,
        "tops_per_w_1b_measured": row.tops_per_w_1b_measured,
        "tops_per_w_1b_model": row.tops_per_w_1b_model,
        "error_frac": row.error_frac,
    }
