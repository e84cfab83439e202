"""A study of several rungs in a report."""

from dataclasses import replace

from cimsearch.figures.report import report_html
from cimsearch.figures.rungs import rungs_table
from cimsearch.figures.statement import statements
from cimsearch.figures.view_search import RungView
from tests.unit.figures.sample import sample_view

SAID = "rungs 0 and 1: Kendall's tau 0.31 over 14 candidates, below 0.4: rung 0 does not rank"
RUNGS = (
    RungView(epochs=0, level="L1", chips=2, images=100, scored=1042, agreement=SAID),
    RungView(epochs=8, level="L2", chips=5, images="all", scored=14),
)
ONE = sample_view()
TWO = replace(ONE, rungs=RUNGS)


def test_a_study_of_one_rung_has_no_word_of_rungs() -> None:
    assert not any("rungs" in sentence for sentence in statements(ONE))
    assert "Rungs:" not in report_html(ONE)


def test_a_rung_that_does_not_rank_is_told_first_and_in_a_table() -> None:
    sentences = [sentence for sentence in statements(TWO) if "rungs" in sentence]
    assert len(sentences) == 1
    assert "is of the last of 2 rungs" in sentences[0]
    assert sentences[0].endswith(f"{SAID[:1].upper()}{SAID[1:]}.")
    table = rungs_table(TWO)
    assert table.rows == (
        ("0", "0", "L1", "2", "100", "1,042", SAID),
        ("1", "8", "L2", "5", "all", "14", "\N{EN DASH}"),
    )
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert "does not rank" in report_html(TWO)
