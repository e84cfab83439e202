"""The verb ``hardware import``: a macro fitted to one's own measurements."""

from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import json_option, percent, print_json, print_table, writing
from cimsearch.errors import UsageError
from cimsearch.units import show as with_unit

if TYPE_CHECKING:
    from cimsearch.cost.measured import Fit, MeasuredCheck


@click.command("import")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--macro", metavar="NAME", help="The macro that was measured, or the nearest one.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The hardware file to write; FILE.yaml."
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--template", is_flag=True, help="Print an example FILE with its columns explained.")
@json_option
def import_(
    file: Path | None,
    macro: str | None,
    out: Path | None,
    force: bool,
    template: bool,
    as_json: bool,
) -> None:
    """Fit a macro to the measured operating points of FILE (CSV) and write it as a new macro.

    Points at the macro's own supply are fitted; those at others are predicted, to show how far
    the model's voltage scaling can be trusted.
    """
    from cimsearch.cost.measured import fit
    from cimsearch.cost.measured_file import load_macro, macro_text, write_macro
    from cimsearch.cost.measured_table import TEMPLATE, read_table

    if template:
        click.echo(TEMPLATE, nl=False)
        return
    if file is None or macro is None:
        raise UsageError("FILE and --macro are needed", "--template prints an example FILE")
    target = out or file.with_suffix(".yaml")
    table = read_table(file)
    result = fit(table, load_macro(macro))
    text = macro_text(result, table, base=macro, out=target)
    with writing("--out", target):
        write_macro(text, target, force=force)
    if as_json:
        print_json(_plain(result, target, table.sha256))
    else:
        _print(result, macro)
        click.echo(f"written: {target}")


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
