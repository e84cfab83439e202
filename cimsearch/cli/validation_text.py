"""What ``hardware validate`` prints for people."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import click

from cimsearch.cli.output import percent, print_table

COLUMNS_MODEL = "log-linear model of table columns"
EQUATIONS_MODEL = "component equations, which price networks"
_TOO_FEW = "not validated: the table has it of fewer than two chips of any technology"
_NOTE = """
Each chip is predicted by a fit without it; "as shipped" has none. Geometric error is
exp(mean |ln(predicted/measured)|), a factor, over rows; by-chip has each chip counting once.
Energy is of the macro alone: buffers, interconnect and the rest of a system are not validated, nor
are latency and area of a network."""

_LISTED = 4
"""Rows that are skipped for one reason are listed up to so many."""

Line = dict[str, Any]


def print_validation(report: Line) -> None:
    """Print the report of ``hardware validate`` as tables."""
    click.echo(f"leave one chip out: {COLUMNS_MODEL}")
    _print_scores(_lines("", report["leave_one_chip_out"], report["bands"]))
    click.echo(f"\nleave one chip out: {EQUATIONS_MODEL}")
    reached = report["components"]["reached"]
    _print_scores(
        line
        for name, one in reached.items()
        for line in _lines(name, one["leave_one_chip_out"], one["bands"])
    )
    _print_time_and_area(report["time_and_area"], "")
    if "scored" in report:
        _print_scored(report, reached)
    for title, key in (("", "points"), (", scored chips", "points_scored")):
        if report.get(key):
            click.echo(f"\none operating point given, another predicted{title}")
            _print_points(report[key])
    _print_one_point(report["one_point_given"])
    for title, lines in report.get("study", {}).items():
        click.echo(f"\n{title.replace('_', ' ')}")
        if lines:
            print_table(list(lines[0]), [[_text(v) for v in line.values()] for line in lines])
    _print_rows(report.get("rows", {}), predictions="scored" in report)
    click.echo(_NOTE)


def _print_one_point(bands: list[Line]) -> None:
    """Print the bands of the equations once a point of the chip is given."""
    click.echo(f"\none operating point given, 80 % bands: {EQUATIONS_MODEL}")
    print_table(
        ["changed", "chips", "pairs", "band [x or /]", "achieved"],
        [
            [
                band["change"],
                str(band["chips"]),
                str(band["pairs"]),
                f"{band['factor']:.2f}",
                percent(band["achieved"]),
            ]
            for band in bands
        ],
    )


def _print_scored(report: Line, reached: Line) -> None:
    title = "scored chips (achieved: share in the band of the fit)"
    if not report["scored"] and not any(report["scored_components"].values()):
        click.echo("\nscored chips: none, as every row is skipped or not measured")
        return
    click.echo(f"\n{title}: {COLUMNS_MODEL}")
    _print_scores(_lines("", report["scored"], _held(report["scored"], report["bands"])))
    click.echo(f"\n{title}: {EQUATIONS_MODEL}")
    _print_scores(
        line
        for name, scored in report["scored_components"].items()
        for line in _lines(name, scored, _held(scored, reached[name]["bands"]))
    )
    _print_time_and_area(report["scored_time_and_area"], ", scored chips")


def _held(scored: list[Line], bands: list[Line]) -> list[Line]:
    """Return the bands of a fit with the share of the scored chips that are in them."""
    held = {one["technology"]: one["coverage"] for one in scored}
    return [band | {"achieved": held.get(band["technology"])} for band in bands]


def _lines(name: str, scores: list[Line], bands: list[Line]) -> list[Line]:
    """Return scores with the band of their technology and how they were fitted."""
    none = {"factor": None, "achieved": None}
    known = {band["technology"]: band for band in bands}
    return [none | known.get(one["technology"], {}) | one | {"constants": name} for one in scores]


def _print_scores(lines: Iterable[Line]) -> None:
    listed = list(lines)
    header = (
        "technology chips rows geo.error[x] by-chip[x] median within-2x rank 80%-band achieved"
    )
    rows = [
        [
            one["constants"],
            one["technology"],
            str(one["chips"]),
            str(one["rows"]),
            _text(one["geometric_error"]),
            _text(one["geometric_error_by_chip"]),
            percent(one["median_abs_frac"]),
            percent(one["within_2x"]),
            _text(one["rank_correlation"]),
            "x/ " + _text(one["factor"]),
            percent(one["achieved"]),
        ]
        for one in listed
    ]
    skip = 0 if any(one["constants"] for one in listed) else 1
    print_table(["constants", *header.split()][skip:], [row[skip:] for row in rows])


def _print_time_and_area(lines: list[Line], title: str) -> None:
    click.echo(
        f"\ncycle time and area of an array by the equations as shipped{title} (geometric error; "
        "that of the other chips' median beside it)"
    )
    for measure, name in (("cycle_ns", "cycle time"), ("array_mm2", "area")):
        if not any(line["measure"] == measure for line in lines):
            click.echo(f"{name}: {_TOO_FEW}")
    if lines:
        header = [*list(lines[0])[:-2], "equations [x]", "median of others [x]"]
        print_table(header, [[_text(v) for v in line.values()] for line in lines])


def _print_points(lines: list[Line]) -> None:
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


def _print_rows(rows: Line, *, predictions: bool) -> None:
    made = {id_: row for id_, row in rows.items() if "skipped" not in row}
    if predictions and made:
        click.echo("\npredictions, fJ a MAC (band and predicted: log-linear model)")
        print_table(
            ("row", "technology", "predicted", "80 % band", "equations", "measured"),
            [
                (
                    id_,
                    row["technology"],
                    f"{row['predicted_fj']:.3g}",
                    "-" if row["band_fj"] is None else "{:.3g} to {:.3g}".format(*row["band_fj"]),
                    _brief(row["equations_fj"]),
                    _brief(row["measured_fj"]),
                )
                for id_, row in made.items()
            ],
        )
    left = [
        (id_, row["technology"], row["skipped"]) for id_, row in rows.items() if id_ not in made
    ]
    left += [
        (id_, row["technology"], "predicted, not scored: empty: meas_energy_fJ_per_MAC")
        for id_, row in made.items()
        if row["measured_fj"] is None
    ]
    _print_skipped(left)


def _print_skipped(left: list[tuple[str, str, str]]) -> None:
    """Print why rows were skipped: each row, or how many where many share a reason."""
    if not left:
        return
    shared = {each: n for each, n in Counter(why for _, _, why in left).items() if n > _LISTED}
    click.echo("\nskipped")
    alone = [row for row in left if row[2] not in shared]
    if alone:
        print_table(("row", "technology", "reason"), alone)
    for reason, count in shared.items():
        names = [id_ for id_, _, why in left if why == reason]
        click.echo(f"{count} rows ({names[0]} to {names[-1]}): {reason}")


def _brief(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
