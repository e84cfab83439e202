"""The adaptation in a report: rounds, what comes out, layers before and after; nothing without."""

from dataclasses import replace

from cimsearch.figures.adapted import (
    adaptation_figure,
    adaptation_sentence,
    adaptation_table,
    changes_table,
    one_gene_table,
)
from cimsearch.figures.report import report_html
from cimsearch.figures.scale import DASH, MINUS
from cimsearch.figures.view_adapted import (
    AdaptationView,
    AdaptedNetwork,
    AdaptedStep,
    LayerChange,
    OneGeneChange,
)
from tests.unit.figures.sample import sample_view


def step(label: str, accuracy: float, energy_pj: float, *, delivered: bool = False) -> AdaptedStep:
    return AdaptedStep(
        label=label,
        accuracy=accuracy,
        test_accuracy=accuracy - 0.01 if delivered else None,
        energy_pj=energy_pj,
        latency_ns=1e4,
        area_um2=2e6,
        utilization=0.5,
        weights=12345,
        delivered=delivered,
    )


TRIAL = AdaptedNetwork(
    name="trial 3",
    baseline=False,
    steps=(
        step("trained", 0.9, 2e5),
        step("round 1", 0.89, 1e5, delivered=True),
        step("round 2", 0.7, 0.5e5),
    ),
    layers=(
        LayerChange(name="a", channels=(16, 12), energy_pj=(1e5, 0.6e5), utilization=(0.4, 0.3)),
        LayerChange(name="b", channels=(8, 8), energy_pj=(1e5, 1e5), utilization=(0.6, 0.6)),
    ),
    ended_by="less accurate than allowed",
    changes=(
        OneGeneChange(
            gene="stage1.layer0.adc_bits",
            values=("5", "4"),
            cost=(1e5, 0.8e5),
            accuracy=(0.89, 0.885),
            chip_error=0.002,
            image_error=0.014,
        ),
        OneGeneChange(
            gene="stage0.channels",
            values=("16", "14"),
            cost=(1e5, 0.99e5),
            accuracy=(0.89, 0.8899999),
            chip_error=None,
            image_error=0.014,
        ),
    ),
)
UNIFORM = AdaptedNetwork(
    name="uniform 8 bit", baseline=True, steps=(step("trained", 0.905, 8e5, delivered=True),)
)
VIEW = AdaptationView(
    networks=(UNIFORM, TRIAL),
    level="L2",
    chips=20,
    epochs=6,
    statistic="mean",
    least_accuracy=0.895,
)


def test_every_round_is_a_row_with_its_share_of_the_energy() -> None:
    table = adaptation_table(VIEW)
    assert [row[0] for row in table.rows] == [
        "uniform 8 bit, trained *",
        "trial 3, trained",
        "trial 3, round 1 *",
        "trial 3, round 2",
    ]
    shares = table.columns.index("of what it was [%]")
    assert [row[shares] for row in table.rows] == ["100.0", "100.0", "50.0", "25.0"]
    assert "trial 3 ended: less accurate than allowed." in table.note
    assert table.rows[2][2] == "88.0"
    assert "energy [nJ]" in table.columns


def test_layers_are_shown_as_found_and_as_they_come_out() -> None:
    rows = changes_table(TRIAL).rows
    assert rows[0][1] == "16 → 12"
    assert rows[1][1] == "8"


def test_a_change_of_one_gene_is_a_row_with_what_it_saves_and_costs() -> None:
    table = one_gene_table(TRIAL, VIEW.saved)
    assert "trial 3 as it comes out (100 nJ)" in table.caption
    assert table.columns[:4] == (
        "change",
        "energy saved [nJ]",
        "of it [%]",
        "accuracy change [pp]",
    )
    saved, share, change, chips, images = table.rows[0][1:]
    assert table.rows[0][0] == "stage1.layer0: ADC bits 5 → 4"
    assert float(saved) == 20
    assert (share, change, chips, images) == ("20.0", f"{MINUS}0.5", "0.2", "1.4")
    assert table.rows[1][0] == "stage0: channels 16 → 14"
    assert table.rows[1][3:5] == ("+0.0", DASH)
    assert "Nothing was trained again" in table.note


def test_the_figure_marks_what_comes_out() -> None:
    baseline, trial = adaptation_figure(VIEW).data
    assert list(trial.marker.symbol) == ["circle-open", "diamond", "circle-open"]
    assert list(baseline.marker.symbol) == ["square"]
    assert list(trial.y) == [90.0, 89.0, 70.0]


def test_what_is_accurate_enough_is_said_once_it_is_known() -> None:
    assert "at 89.5 % or above" in adaptation_sentence(VIEW)
    open_view = replace(VIEW, least_accuracy=None)
    assert "The baselines are not all trained yet." in adaptation_sentence(open_view)


def test_the_page_has_the_section_only_where_there_is_one() -> None:
    view = sample_view()
    assert 'id="adapted"' not in report_html(view)
    page = report_html(replace(view, adaptation=VIEW))
    assert 'id="adapted"' in page
    assert 'href="#adapted"' in page
    assert "trial 3, round 1 *" in page
    assert "stage1.layer0: ADC bits 5 → 4" in page


def test_what_is_said_of_pruning_is_what_was_done() -> None:
    assert "then channels are taken away" in adaptation_sentence(VIEW)
    blocks = replace(VIEW, taken="channels and residual blocks")
    assert "then channels and residual blocks are taken away" in adaptation_sentence(blocks)
    trained = adaptation_sentence(replace(VIEW, taken=""))
    assert "nothing is pruned" in trained
    assert "taken away" not in trained
