from dataclasses import replace

from cimsearch.figures.describe import describe_baseline, describe_point
from cimsearch.figures.report import report_html
from cimsearch.figures.statement import statements
from cimsearch.figures.workloads import workloads_table
from tests.unit.figures.sample import sample_view

ONE = sample_view()
OF_EACH = (("digits", 0.91), ("faces", 0.87))
TWO = replace(
    ONE,
    workloads=("digits", "faces"),
    over_workloads="worst",
    points=tuple(replace(point, workloads=OF_EACH) for point in ONE.points),
    baselines=tuple(replace(baseline, workloads=OF_EACH) for baseline in ONE.baselines),
)


def test_a_report_says_what_an_accuracy_over_workloads_is() -> None:
    said = " ".join(statements(TWO))
    assert "One chip runs 2 workloads (digits, faces)" in said
    assert "Its accuracy is the worst of theirs" in said
    assert "workloads" not in " ".join(statements(ONE))


def test_front_and_baselines_have_the_accuracy_of_each() -> None:
    table = workloads_table(TWO)
    assert table.columns == ("trial", "digits [%]", "faces [%]")
    assert [row[0] for row in table.rows] == [
        *(f"#{point.number}" for point in TWO.front),
        "uniform 8 bit",
        "uniform 4 bit",
    ]
    assert {row[1:] for row in table.rows} == {("91.0", "87.0")}
    assert table.caption in report_html(TWO)
    assert table.caption not in report_html(ONE)


def test_so_has_the_hover_text() -> None:
    for text in (describe_point(TWO, TWO.front[0]), describe_baseline(TWO, TWO.baselines[0])):
        assert "<br>digits 91.00 %<br>faces 87.00 %" in text
