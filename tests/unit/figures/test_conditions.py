"""Conditions and the calibration of chips in the report, and nothing of them without."""

from dataclasses import replace

from cimsearch.figures.report import report_html
from cimsearch.figures.tables import calibration_table, conditions_table, front_table
from cimsearch.figures.view import AtCondition, ChipCalibration
from tests.unit.figures.sample import sample_view

PLAIN = sample_view()
LABELS = ("as stated", "86400 s, 85 C")
ROBUST = replace(
    PLAIN,
    conditions=LABELS,
    points=tuple(
        replace(
            point,
            conditions=tuple(AtCondition(label=at, mean=0.75, worst=0.5) for at in LABELS),
            calibration=ChipCalibration(
                mean=0.75, shared_mean=0.625, shared_worst=0.25, images=1024, cpu_seconds=0.5
            ),
        )
        if point.state == "complete"
        else point
        for point in PLAIN.points
    ),
)


def test_a_condition_has_two_columns() -> None:
    table = conditions_table(ROBUST)
    assert table.columns == (
        "trial",
        "as stated: mean [%]",
        "as stated: worst [%]",
        "86400 s, 85 C: mean [%]",
        "86400 s, 85 C: worst [%]",
    )
    assert len(table.rows) == len(ROBUST.front)
    assert table.rows[0] == (f"#{ROBUST.front[0].number}", "75.0", "50.0", "75.0", "50.0")


def test_what_an_accuracy_is_of() -> None:
    assert front_table(PLAIN).note.startswith("An accuracy is the mean of 4 chips. ")
    note = front_table(ROBUST).note
    assert note.startswith("An accuracy is the mean of 4 chips, each at its worst condition. ")


def test_calibration_is_set_against_what_is_fitted_once() -> None:
    table = calibration_table(ROBUST)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["each chip: mean [%]"] == "75.0"
    assert row["once for all: mean [%]"] == "62.5"
    assert row["worst of these [%]"] == "25.0"
    assert row["training images a chip"] == "1,024"
    assert row["processor time a chip [s]"] == "0.5"


def test_the_report_shows_both_where_there_are_any() -> None:
    captions = (conditions_table(ROBUST).caption, calibration_table(ROBUST).caption)
    with_them, without = report_html(ROBUST), report_html(PLAIN)
    for caption in captions:
        assert caption in with_them
        assert caption not in without
