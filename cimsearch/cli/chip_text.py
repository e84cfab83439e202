"""What ``hardware import`` prints of chips: measured beside model, and what was fitted."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import print_table, print_wrapped

if TYPE_CHECKING:
    from cimsearch.cost.chip import ChipFit, TableFit, Value
    from cimsearch.spec.hardware import Macro

_OF_SCALE = "of the full scale"
_UNITS = {
    "cell_sigma_frac": "of a cell's full scale",
    "adc.offset_sigma_mv": "mV",
    "adc.full_scale_mv": "mV",
    "adc.gain_sigma_frac": "of the gain",
    "pvt.gain_per_supply_frac": "of the gain a relative supply",
    "pvt.gain_per_c": "of the gain a degree",
    "pvt.process_sigma_frac": "of the gain",
    "programming.model": "",
    "programming.coefficients_us": "uS by powers of r",
    "programming.reference_us": "uS",
    "device_to_device.cell_sigma_frac": "of a conductance",
    "device_to_device.chip_sigma_frac": "of a conductance",
    "drift.model": "",
    "drift.nu_mean": "exponent",
    "drift.nu_sigma": "exponent",
    "drift.t0_s": "s",
    "drift.age_s": "s",
}
_FEW = 4
_COUNTED = {"sums": "columns", "spread": "points", "conductance": "cells"}


def print_chip(chip: "ChipFit", macro: "Macro") -> None:
    """Print the fit to each table, then what the macro's noise becomes."""
    for fit in chip.tables:
        _print_table(fit)
    click.echo("fitted:")
    header = ["noise", "before", "fitted", "std. error", "unit"]
    rows = [
        [
            path,
            _shown(_before(macro, path)),
            _shown(value),
            f"{chip.errors[path]:.2g}" if path in chip.errors else "-",
            _UNITS.get(path, _OF_SCALE),
        ]
        for path, value in chip.noise.items()
    ]
    print_table(header, rows)
    _print_notes(chip.notes)


def _print_table(fit: "TableFit") -> None:
    click.echo(f"{fit.names}: {fit.kind}, {fit.value}")
    if fit.points:
        several = any(point.series for point in fit.points)
        header = ["at", fit.at, "values", "mean measured", "mean model"]
        header += ["sigma measured", "sigma model"]
        rows = [
            [
                point.series,
                f"{point.at:.4g}",
                str(point.count),
                f"{point.mean:+.3g}",
                f"{point.model_mean:+.3g}",
                f"{point.sigma:.3g}",
                f"{point.model_sigma:.3g}",
            ]
            for point in fit.points
        ]
        skip = 0 if several else 1
        print_table(header[skip:], [row[skip:] for row in rows])
    _print_chips(fit)
    _print_notes(fit.notes)
    click.echo()


def _print_chips(fit: "TableFit") -> None:
    if not fit.chips:
        click.echo("cross-validation: none, as that takes several chips with enough data each")
        return
    click.echo("cross-validation: each chip by a fit to the others")
    counted = _COUNTED.get(fit.kind, "converters")
    header = ["chip", counted, "rms measured", "rms model", "ratio", "by chance up to", "verdict"]
    rows = [
        [
            check.chip,
            str(check.draws),
            f"{check.measured_rms:.3g}",
            f"{check.model_rms:.3g}",
            f"{check.ratio:.2f}",
            f"{check.limit:.2f}",
            check.verdict,
        ]
        for check in fit.chips
    ]
    print_table(header, rows)


def _print_notes(notes: "Sequence[str]") -> None:
    for note in notes:
        print_wrapped(f"note: {note}", hanging="      ")


def _before(macro: "Macro", path: str) -> Any:
    """Return what the macro says at a path below its noise; None where it says nothing."""
    found: Any = macro.noise
    return reduce(lambda part, key: getattr(part, key, None), path.split("."), found)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        many = len(value) > _FEW
        ends = (value[0], value[-1]) if many else value
        listed = (" to " if many else ", ").join(f"{one:.4g}" for one in ends)
        return f"{listed} ({len(value)})" if many else listed
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain_chip(chip: "ChipFit", macro: "Macro") -> dict[str, Any]:
    """Return the fits as plain data."""
    return {
        "noise": {path: _plain(value, chip, macro, path) for path, value in chip.noise.items()},
        "tables": [
            {
                "kind": fit.kind,
                "files": [{"file": str(f.path), "sha256": f.sha256} for f in fit.files],
                "at": fit.at,
                "value": fit.value,
                "points": [asdict(point) for point in fit.points],
                "cross_validation": [
                    asdict(check)
                    | {"ratio": check.ratio, "by_chance": check.limit, "verdict": check.verdict}
                    for check in fit.chips
                ],
                "notes": list(fit.notes),
            }
            for fit in chip.tables
        ],
        "notes": list(chip.notes),
    }


def _plain(value: "Value", chip: "ChipFit", macro: "Macro", path: str) -> dict[str, Any]:
    return {
        "value": list(value) if isinstance(value, tuple) else value,
        "standard_error": chip.errors.get(path),
        "before": _before(macro, path),
        "unit": _UNITS.get(path, _OF_SCALE),
    }
