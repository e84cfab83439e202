"""The verb ``hardware import``: a macro fitted to one's own measurements."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.chip_text import plain_chip, print_chip
from cimsearch.cli.output import json_option, percent, print_json, print_table, writing
from cimsearch.errors import SpecError, UsageError
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.cost.chip import ChipFit, ChipTable, Kind
    from cimsearch.cost.measured import Fit, MeasuredCheck
    from cimsearch.cost.measured_table import MeasuredTable
    from cimsearch.spec.hardware import Macro


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--macro", metavar="NAME", help="The macro that was measured, or the nearest one.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The hardware file to write; the first FILE's name with .yaml.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option(
    "--html",
    metavar="F.html",
    type=click.Path(path_type=Path),
    help="Draw chips measured and modelled: one HTML file.",
)
@click.option(
    "--template",
    is_flag=False,
    flag_value="operating",
    type=click.Choice(["operating", "sums", "spread", "conductance", "converter"]),
    help="Print an example FILE of a kind with its columns explained; operating if none is named.",
)
@json_option
def import_(
    files: tuple[Path, ...],
    macro: str | None,
    out: Path | None,
    force: bool,
    html: Path | None,
    template: "Kind | None",
    as_json: bool,
) -> None:
    """Fit a macro to measurements in CSV files and write it as a new macro.

    A FILE is told by its header. Operating points give energies: those at the macro's own supply
    are fitted, others are predicted, to show how far the model's voltage scaling can be trusted.
    Sums, spreads, conductances and converters of chips give the macro's noise. Several FILEs make
    one macro.
    """
    from cimsearch.cost.chip import fit_chip
    from cimsearch.cost.chip import template as example
    from cimsearch.cost.measured import fit
    from cimsearch.cost.measured_file import load_macro, write_macro

    if template is not None:
        click.echo(example(template), nl=False)
        return
    if not files or macro is None:
        raise UsageError("FILE and --macro are needed", "--template prints an example FILE")
    target = out or files[0].with_suffix(".yaml")
    table, tables = _read(files)
    if html is not None and not tables:
        raise UsageError("--html: found operating points alone; allowed is with tables of chips")
    hardware = load_macro(macro)
    operating = (fit(table, hardware), table) if table else None
    chip = fit_chip(tables, hardware.macro) if tables else None
    text = _text(operating, chip, hardware.macro, base=macro, out=target)
    with writing("--out", target):
        write_macro(text, target, force=force)
    if html is not None and chip is not None:
        _draw(chip, html, title=f"{target.stem}: chips measured and modelled")
    if as_json:
        print_json(_data(operating, chip, hardware.macro, target))
        return
    if operating:
        _print(operating[0], macro)
    if chip:
        print_chip(chip, hardware.macro)
    click.echo(f"written: {target}")


def _read(files: "Sequence[Path]") -> "tuple[MeasuredTable | None, list[ChipTable]]":
    """Return the table of operating points, if there is one, and those of chips.

    Raises:
        UsageError: Files that cannot be read, one twice, or several tables of operating points.
        SpecError: What is wrong in any of them.
    """
    from cimsearch.cost.chip import kind_of, read_chip_table
    from cimsearch.cost.measured_table import read_table

    if repeated := [str(file) for file in files if files.count(file) > 1]:
        raise UsageError(f"FILE: found {repeated[0]} twice; allowed is once")
    operating: list[MeasuredTable] = []
    tables: list[ChipTable] = []
    refused: list[SpecError] = []
    for file in files:
        try:
            if kind_of(file) == "operating":
                operating.append(read_table(file))
            else:
                tables.append(read_chip_table(file))
        except SpecError as error:
            refused.append(error)
    if refused:
        raise SpecError("\n".join(error.message for error in refused), refused[0].hint)
    if len(operating) > 1:
        listed = ", ".join(str(table.path) for table in operating)
        raise UsageError(f"FILE: found operating points in {listed}; allowed is one such file")
    return (operating[0] if operating else None), tables


def _text(
    operating: "tuple[Fit, MeasuredTable] | None",
    chip: "ChipFit | None",
    macro: "Macro",
    *,
    base: str,
    out: Path,
) -> str:
    """Return the hardware file of what was fitted."""
    from cimsearch.cost.chip import chip_text
    from cimsearch.cost.measured_file import macro_text

    if chip is not None:
        return chip_text(chip, macro, base=base, out=out, operating=operating)
    if operating is None:
        raise UsageError("FILE is needed")
    return macro_text(*operating, base=base, out=out)


def _draw(chip: "ChipFit", path: Path, *, title: str) -> None:
    from cimsearch.figures.chip_fit import write_chip_fit

    with writing("--html", path):
        write_chip_fit(chip, path, title=title)
    click.echo(f"plot: {path}", err=True)


def _data(
    operating: "tuple[Fit, MeasuredTable] | None",
    chip: "ChipFit | None",
    macro: "Macro",
    target: Path,
) -> dict[str, Any]:
    """Return what was fitted as plain data."""
    points = _plain(operating[0], target, operating[1].sha256) if operating else {}
    if chip is None:
        return points
    whole = {"operating": points} if points else {}
    return {"file": str(target)} | plain_chip(chip, macro) | whole


def _print(result: "Fit", macro: str) -> None:
    """Print measured beside modelled energies of array calls, and what was fitted."""
    header = ["line", "weights x activations", "ADC bits", "supply", "activity", "density"]
    header += [
        "measured",
        "model before",
        "model after",
        "error",
        "call measured",
        "call model",
        "used as",
    ]
    print_table(header, [_cells(check) for check in result.checks])
    scaled = ", ".join(result.constants)
    click.echo(f"{macro} times {result.factor:.4g}: {scaled}")
    tolerance = percent(result.calibration.tolerance_frac)
    worst = percent(max(abs(check.error_frac) for check in result.checks if check.calibrates))
    met = "calibrated" if result.calibrated else "not calibrated"
    click.echo(f"{met}: the fitted points are off by {worst} at most, allowed is {tolerance}")
    predicted = [abs(check.error_frac) for check in result.checks if not check.calibrates]
    if predicted:
        click.echo(
            f"predicted: points at other supplies or data ({len(predicted)}) are off by "
            f"{percent(median(predicted))} in the median, {percent(max(predicted))} at most"
        )


def _cells(check: "MeasuredCheck") -> list[str]:
    measured = check.measured
    point = measured.point
    return [
        str(measured.line),
        f"{point.weight_bits}b x {point.activation_bits}b",
        str(point.adc_bits or "-"),
        with_unit("supply_v", measured.supply_v),
        f"{measured.activity_frac:g}",
        f"{measured.density_frac:g}",
        with_unit("call_energy_pj", point.call_energy_pj),
        with_unit("call_energy_pj", check.before_pj),
        with_unit("call_energy_pj", check.after_pj),
        f"{100 * check.error_frac:+.1f} %",
        with_unit("call_ns", point.call_ns) if point.call_ns else "-",
        with_unit("call_ns", check.after_ns),
        "fitted" if check.calibrates else "predicted",
    ]


def _plain(result: "Fit", target: Path, sha256: str) -> dict[str, Any]:
    return {
        "file": str(target),
        "sha256": sha256,
        "factor": result.factor,
        "constants": dict(result.constants),
        "calibrated": result.calibrated,
        "points": [
            asdict(check.measured)
            | {"point": check.measured.point.model_dump(mode="json")}
            | {
                "model_before_pj": check.before_pj,
                "model_after_pj": check.after_pj,
                "error_frac": check.error_frac,
                "model_call_ns": check.after_ns,
                "calibrates": check.calibrates,
            }
            for check in result.checks
        ],
    }
