"""The verb ``hardware validate``: the energy model against silicon it has not seen."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import json_option, print_json, writing
from cimsearch.cli.validation_text import COLUMNS_MODEL, EQUATIONS_MODEL, print_validation

if TYPE_CHECKING:
    from cimsearch.cost.silicon import Band, Chip, Prediction

_SEED = 0
_PATH = click.Path(exists=True, dir_okay=False, path_type=Path)
_UNSEEN = "chip is in the fit and cannot be left out: give FIT.csv, with other chips like it"


@click.command()
@click.argument("table", metavar="[FIT.csv]", required=False, type=_PATH)
@click.option("--score", "other", metavar="OTHER.csv", type=_PATH, help="Score these chips.")
@click.option("--plot", metavar="FILE.html", type=click.Path(path_type=Path), help="Parity plot.")
@click.option("--study", is_flag=True, help="Also show what limits the error (needs FIT.csv).")
@json_option
def validate(
    table: Path | None, other: Path | None, plot: Path | None, study: bool, as_json: bool
) -> None:
    """Predict the energy of published chips, and score it on chips not seen.

    Two models: the log-linear one of table columns, which predicts best, and the component
    equations, which price networks. Without FIT.csv the constants of the package are scored on
    OTHER.csv, or their own leave-one-chip-out figures are shown. A chip of OTHER.csv that is in
    FIT.csv too is predicted without it.
    """
    if table is None and (study or (plot is not None and other is None)):
        raise click.UsageError("--study needs FIT.csv, --plot needs FIT.csv or --score OTHER.csv")
    report, predictions, bands = _report(table, other)
    if study and table is not None:
        report["study"] = _study(table)
    if plot is not None:
        _plot(report, predictions, bands, plot)
        click.echo(f"plot: {plot}", err=True)
    if as_json:
        print_json(report)
    else:
        print_validation(report)


def _plot(
    report: dict[str, Any],
    predictions: "tuple[Prediction, ...]",
    bands: "tuple[Band, ...]",
    path: Path,
) -> None:
    from cimsearch.cost.silicon import AS_SHIPPED, predict_shipped, predicted
    from cimsearch.figures.parity import ParityPanel, write_parity

    by_equations = predicted(predict_shipped, [one.chip for one in predictions])
    reached = report["components"]["reached"][AS_SHIPPED]["bands"]
    panels = (
        ParityPanel(COLUMNS_MODEL, "predicted, chip not in the fit", predictions, bands),
        ParityPanel(
            f"{EQUATIONS_MODEL}, {AS_SHIPPED}",
            "predicted, nothing fitted",
            by_equations,
            _bands(reached),
        ),
    )
    with writing("--plot", path):
        write_parity(panels, path)


def _report(
    table: Path | None, other: Path | None
) -> tuple[dict[str, Any], "tuple[Prediction, ...]", "tuple[Band, ...]"]:
    from cimsearch.cost.silicon import read_chips, record, shipped, table_hash

    fitted = read_chips(table) if table else None
    if table is None or fitted is None:
        report = shipped()
        scored = read_chips(other) if other else ()
    else:
        report = record(fitted, sha256=table_hash(table)) | _pairs(fitted, fitted)
        scored = read_chips(other) if other else fitted
    made = _bands(report["bands"])
    predictions = _predictions(report, fitted, scored)
    if scored:
        report["rows"] = _rows(scored, predictions, made)
    if other is not None:
        report |= _scored(report, fitted, scored)
        report["scored_sha256"] = table_hash(other)
        if fitted is not None:
            report["points_scored"] = _pairs(scored, fitted)["points"]
    return report, predictions, made


def _bands(listed: list[dict[str, Any]]) -> "tuple[Band, ...]":
    from cimsearch.cost.silicon import Band

    return tuple(Band(**band) for band in listed)


def _predictions(
    report: dict[str, Any], fitted: "tuple[Chip, ...] | None", scored: "tuple[Chip, ...]"
) -> "tuple[Prediction, ...]":
    """Predict rows by the log-linear model, none by a fit to its own chip."""
    from cimsearch.cost.silicon import held_out, predict_all, shipped_model

    if fitted is not None:
        return held_out(fitted, scored)
    return predict_all(shipped_model(), _unseen(report, scored))


def _unseen(report: dict[str, Any], chips: "tuple[Chip, ...]") -> "list[Chip]":
    """Return the chips that the package's constants were not fitted to."""
    return [chip for chip in chips if chip.chip not in report["chips"]]


def _scored(
    report: dict[str, Any], fitted: "tuple[Chip, ...] | None", scored: "tuple[Chip, ...]"
) -> dict[str, Any]:
    """Return the scores on another table: of both models, and of cycle time and area."""
    from cimsearch.cost.silicon import FITTERS, held_out, predicted, predictors, time_and_area

    columns = _predictions(report, fitted, scored)
    if fitted is not None:
        equations = {n: held_out(fitted, scored, fitter=fitter) for n, fitter in FITTERS.items()}
    else:
        unseen = _unseen(report, scored)
        made = predictors(report["components"])
        equations = {name: predicted(predictor, unseen) for name, predictor in made.items()}
    reached = report["components"]["reached"]
    return {
        "scored": _scores(columns, report["bands"]),
        "scored_components": {
            name: _scores(found, reached[name]["bands"]) for name, found in equations.items()
        },
        "scored_time_and_area": [asdict(one) for one in time_and_area(scored)],
    }


def _scores(
    predictions: "tuple[Prediction, ...]", listed: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    from cimsearch.cost.silicon import coverage, scores

    made = _bands(listed)
    return [
        asdict(one) | {"coverage": coverage(predictions, made, one.technology)}
        for one in scores(predictions)
    ]


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
    chips: "tuple[Chip, ...]", predictions: "tuple[Prediction, ...]", made: "tuple[Band, ...]"
) -> dict[str, dict[str, Any]]:
    """Return what became of every row: its prediction with its band, or why it has none."""
    from cimsearch.cost.silicon import predict_shipped, skipped

    known = {one.chip.id: one.predicted_fj for one in predictions}
    factors = {band.technology: band.factor for band in made}
    reasons = skipped(chips)
    rows: dict[str, dict[str, Any]] = {}
    for chip in chips:
        row: dict[str, Any] = {"technology": chip.technology}
        if chip.id in known:
            energy, factor = known[chip.id], factors.get(chip.technology)
            row |= {
                "predicted_fj": energy,
                "band_fj": [energy / factor, energy * factor] if factor else None,
                "equations_fj": predict_shipped(chip),
                "measured_fj": chip.measured_fj,
            }
        else:
            row["skipped"] = reasons.get(chip.id, _UNSEEN)
        rows[chip.id] = row
    return rows


def _study(table: Path) -> dict[str, Any]:
    import numpy as np

    from cimsearch.cost.silicon import (
        combinations,
        freedoms,
        learning_curve,
        read_chips,
        repeats,
    )

    chips = read_chips(table)
    return {
        "freedom": [asdict(one) for one in freedoms(chips)],
        "learning_curve": [
            asdict(one) for one in learning_curve(chips, np.random.default_rng(_SEED))
        ],
        "repeats": [asdict(one) for one in repeats(chips)],
        "combinations": [asdict(one) for one in combinations(chips)],
    }
