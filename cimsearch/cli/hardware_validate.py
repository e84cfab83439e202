"""The verb ``hardware validate``: the energy model against silicon it has not seen."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import json_option, percent, print_json, print_table

if TYPE_CHECKING:
    from cimsearch.cost.silicon import Band, Chip, Prediction

_SEED = 0
_PATH = click.Path(exists=True, dir_okay=False, path_type=Path)
_UNSEEN = "chip is in the fit and cannot be left out: give FIT.csv, with other chips like it"
_NOTE = """
Each chip is predicted by a fit without it. Geometric error is exp(mean |ln(predicted/measured)|)
over rows, by chip with each chip counting once. Energy of the macro alone: latency, area, buffers
and interconnect are not validated."""


@click.command()
@click.argument("table", metavar="[FIT.csv]", required=False, type=_PATH)
@click.option("--score", "other", metavar="OTHER.csv", type=_PATH, help="Score these chips.")
@click.option("--plot", metavar="FILE.html", type=click.Path(path_type=Path), help="Parity plot.")
@click.option("--study", is_flag=True, help="Also show what limits the error (needs FIT.csv).")
@json_option
def validate(
    table: Path | None, other: Path | None, plot: Path | None, study: bool, as_json: bool
) -> None:
    """Fit the energy model to published chips and score it on chips it has not seen.

    Without FIT.csv the constants of the package are scored on OTHER.csv, or their own
    leave-one-chip-out figures are shown. A chip of OTHER.csv that is in FIT.csv too is predicted
    without it.
    """
    if table is None and (study or (plot is not None and other is None)):
        raise click.UsageError("--study needs FIT.csv, --plot needs FIT.csv or --score OTHER.csv")
    report, predictions, bands = _report(table, other)
    if study and table is not None:
        report["study"] = _study(table)
    if plot is not None:
        from cimsearch.figures.parity import write_parity

        write_parity(predictions, bands, plot)
        click.echo(f"plot: {plot}", err=True)
    if as_json:
        print_json(report)
    else:
        _print(report)


def _report(
    table: Path | None, other: Path | None
) -> tuple[dict[str, Any], "tuple[Prediction, ...]", "tuple[Band, ...]"]:
    from cimsearch.cost.silicon import (
        Band,
        bands,
        coverage,
        held_out,
        predict_all,
        read_chips,
        record,
        scores,
        shipped,
        shipped_model,
        table_hash,
    )

    if table is None:
        report = shipped()
        made = tuple(Band(**band) for band in report["bands"])
        if other is None:
            return report, (), made
        scored = read_chips(other)
        seen = set(report["chips"])
        predictions = predict_all(shipped_model(), [c for c in scored if c.chip not in seen])
    else:
        fitted = read_chips(table)
        report = record(fitted, sha256=table_hash(table)) | _pairs(fitted, fitted)
        made = bands(fitted)
        scored = read_chips(other) if other else fitted
        predictions = held_out(fitted, scored)
        if other is not None:
            report["points_scored"] = _pairs(scored, fitted)["points"]
    report |= {"rows": _rows(scored, predictions)}
    if other is not None:
        report["scored_sha256"] = table_hash(other)
        report["scored"] = [
            asdict(one) | {"coverage": coverage(predictions, made, one.technology)}
            for one in scores(predictions)
        ]
    return report, predictions, made


def _pairs(chips: "tuple[Chip, ...]", fitted: "tuple[Chip, ...]") -> dict[str, Any]:
    import numpy as np

    from cimsearch.cost.silicon import calibrated_pairs, pair_scores

    pairs = calibrated_pairs(chips, fitted=fitted)
    listed = [
        {
            "change": pair.change,
            "given": pair.given.id,
            "predicted": pair.asked.id,
            "abs_error_frac": pair.abs_error_frac,
        }
        for pair in pairs
    ]
    found = pair_scores(pairs, np.random.default_rng(_SEED))
    return {"points": [asdict(one) for one in found], "pairs": listed}


def _rows(
    chips: "tuple[Chip, ...]", predictions: "tuple[Prediction, ...]"
) -> dict[str, dict[str, Any]]:
    """Return what became of every row: its prediction, or why it has none."""
    from cimsearch.cost.silicon import skipped

    known = {one.chip.id: one for one in predictions}
    reasons = skipped(chips)
    rows: dict[str, dict[str, Any]] = {}
    for chip in chips:
        if chip.id in known:
            rows[chip.id] = {
                "technology": chip.technology,
                "predicted_fj": known[chip.id].predicted_fj,
                "measured_fj": chip.measured_fj,
            }
        else:
            reason = reasons.get(chip.id, _UNSEEN)
            rows[chip.id] = {"technology": chip.technology, "skipped": reason}
    return rows


def _study(table: Path) -> dict[str, Any]:
    import numpy as np

    from cimsearch.cost.silicon import cycle_times, freedoms, learning_curve, read_chips, repeats

    chips = read_chips(table)
    return {
        "freedom": [asdict(one) for one in freedoms(chips)],
        "learning_curve": [
            asdict(one) for one in learning_curve(chips, np.random.default_rng(_SEED))
        ],
        "repeats": [asdict(one) for one in repeats(chips)],
        "cycle_ns": [asdict(one) for one in cycle_times(chips)],
    }


def _print(report: dict[str, Any]) -> None:
    bands = {band["technology"]: band for band in report["bands"]}
    click.echo("leave one chip out")
    _print_scores(report["leave_one_chip_out"], bands)
    if "scored" in report:
        click.echo("\nscored chips (achieved: share in the band of the fit)")
        made = {
            one["technology"]: {
                "factor": bands[one["technology"]]["factor"]
                if one["technology"] in bands
                else None,
                "achieved": one["coverage"],
            }
            for one in report["scored"]
        }
        _print_scores(report["scored"], made)
    for title, key in (("", "points"), (", scored chips", "points_scored")):
        if report.get(key):
            click.echo(f"\none operating point given, another predicted{title}")
            _print_points(report[key])
    for title, lines in report.get("study", {}).items():
        click.echo(f"\n{title.replace('_', ' ')}")
        if lines:
            print_table(list(lines[0]), [[_text(v) for v in line.values()] for line in lines])
    left = {id_: row for id_, row in report.get("rows", {}).items() if "skipped" in row}
    if left:
        click.echo("\nskipped")
        print_table(
            ("row", "technology", "reason"),
            [(id_, row["technology"], row["skipped"]) for id_, row in left.items()],
        )
    click.echo(_NOTE)


def _print_scores(lines: list[dict[str, Any]], bands: dict[str, dict[str, Any]]) -> None:
    header = "technology chips rows geo.error by-chip median within-2x rank 80%-band achieved"
    rows = []
    for one in lines:
        band = bands.get(one["technology"], {"factor": None, "achieved": None})
        rows.append(
            (
                one["technology"],
                str(one["chips"]),
                str(one["rows"]),
                _text(one["geometric_error"]),
                _text(one["geometric_error_by_chip"]),
                percent(one["median_abs_frac"]),
                percent(one["within_2x"]),
                _text(one["rank_correlation"]),
                "x/ " + _text(band["factor"]),
                percent(band["achieved"]),
            )
        )
    print_table(header.split(), rows)


def _print_points(lines: list[dict[str, Any]]) -> None:
    print_table(
        ("change", "chips", "pairs", "median error", "95 % interval"),
        [
            (
                one["change"],
                str(one["chips"]),
                str(one["pairs"]),
                percent(one["median_abs_frac"]),
                f"{percent(one['low_frac'])} to {percent(one['high_frac'])}",
            )
            for one in lines
        ],
    )


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
