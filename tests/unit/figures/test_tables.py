from dataclasses import replace

import pytest

from cimsearch.figures.baselines import baseline_table, compare, compared_on
from cimsearch.figures.describe import describe_point
from cimsearch.figures.statement import headline, rank_agreement, statements
from cimsearch.figures.tables import cost_table, front_table, gap, hardware_table
from cimsearch.figures.view import Baseline, StudyView
from tests.unit.figures.sample import empty_view, sample_view

VIEW = sample_view()


class TestTables:
    def test_front_has_both_columns_and_the_gap(self) -> None:
        table = front_table(VIEW)
        best = VIEW.front[0]
        assert best.test_accuracy is not None
        row = dict(zip(table.columns, table.rows[0], strict=True))
        assert row["trial"] == f"#{best.number}"
        assert row["validation accuracy [%]"] == f"{100 * best.values[0]:.1f}"
        assert row["test accuracy [%]"] == f"{100 * best.test_accuracy:.1f}"
        assert row["validation \N{MINUS SIGN} test [pp]"] == gap(
            best.values[0], best.test_accuracy
        )
        assert row["energy [nJ]"] == f"{best.values[1] / 1000:.2f}"
        assert "energy, own data [nJ]" in row
        assert len(table.rows) == len(VIEW.front)

    def test_gap_has_a_sign(self) -> None:
        assert gap(0.95, 0.94) == "+1.0"
        assert gap(0.94, 0.95) == "\N{MINUS SIGN}1.0"
        assert gap(0.94, None) == "\N{EN DASH}"

    def test_own_energy_is_shown_only_if_known(self) -> None:
        points = tuple(replace(point, energy_measured_pj=None) for point in VIEW.points)
        assert not any("own data" in c for c in front_table(replace(VIEW, points=points)).columns)

    def test_a_fifth_percentile_is_shown_only_of_enough_chips(self) -> None:
        assert "5th percentile [%]" not in front_table(VIEW).columns
        assert "5th percentile needs 20 chips" in describe_point(VIEW, VIEW.front[0])
        points = tuple(replace(p, accuracy_percentile_5=0.5) for p in VIEW.points)
        view = replace(VIEW, points=points, chips=25, accuracy_statistic="5th percentile")
        table = front_table(view)
        assert {row[table.columns.index("5th percentile [%]")] for row in table.rows} == {"50.0"}
        assert table.note.startswith("An accuracy is the 5th percentile of 25 chips.")
        assert "the 5th percentile of 25 chip instances" in statements(view)[0]
        assert "the 5th percentile of 25 chips" in describe_point(view, view.front[0])

    def test_a_broken_baseline_is_marked_and_not_compared(self) -> None:
        sound, broken = baseline_table(VIEW).rows
        assert "less energy" in sound[-1]
        assert broken[-1].startswith("broken: loses 6.1 pp")

    def test_a_baseline_without_an_accuracy_says_why(self) -> None:
        view = replace(VIEW, missing_baselines=(("uniform 2 bit", "not scored yet"),))
        row = baseline_table(view).rows[-1]
        assert (row[0], row[-1]) == ("uniform 2 bit", "not scored yet")
        assert set(row[1:-1]) == {"\N{EN DASH}"}
        assert len(row) == len(baseline_table(view).columns)

    def test_a_forbidden_baseline_says_what_it_misses(self) -> None:
        forbidden = tuple(replace(b, infeasible="area_um2 by 20 %") for b in VIEW.baselines)
        view = replace(VIEW, baselines=forbidden)
        assert baseline_table(view).rows[0][-1] == "infeasible: misses area_um2 by 20 %"
        assert not any(label == "less energy" for label, _, _ in headline(view))
        assert any(label == "less energy" for label, _, _ in headline(VIEW))

    def test_stale_rows_are_marked(self) -> None:
        view = replace(
            VIEW,
            points=tuple(replace(p, stale="elsewhere") for p in VIEW.points),
            baselines=(replace(VIEW.baselines[0], stale="elsewhere"), VIEW.baselines[1]),
        )
        assert all(row[0].endswith(" (stale)") for row in front_table(view).rows)
        assert [row[0] for row in baseline_table(view).rows] == [
            "uniform 8 bit (stale)",
            "uniform 4 bit",
        ]
        stale, all_ = len(view.scored) + 1, len(view.scored) + 2
        text = f"{stale} of {all_} accuracies are stale: they were found on elsewhere"
        assert any(line.startswith(text) for line in statements(view))
        assert not any("stale" in line for line in statements(VIEW))

    def test_the_hardware_of_each_has_a_column_for_each_field(self) -> None:
        assert hardware_table(VIEW).columns == ("trial",)
        settings = (("active_rows", 64), ("adc_bits", 5), ("clock_mhz", 200.0), ("supply_v", 0.8))
        own = (("active_rows", 128), ("adc_bits", 8), ("clock_mhz", 100.0), ("supply_v", 0.9))
        view = replace(
            VIEW,
            points=tuple(replace(p, settings=settings) for p in VIEW.points),
            baselines=tuple(replace(b, settings=own) for b in VIEW.baselines),
        )
        table = hardware_table(view)
        assert table.columns[1:] == ("active rows", "ADC bits", "clock [MHz]", "supply [V]")
        assert table.rows[0] == (f"#{view.front[0].number}", "64", "5", "200", "0.8")
        assert table.rows[-1] == ("uniform 4 bit", "128", "8", "100", "0.9")

    def test_comparison_uses_test_images_only_if_all_were_scored(self) -> None:
        assert compared_on(VIEW) == "test"
        points = tuple(replace(point, test_accuracy=None) for point in VIEW.points)
        assert compared_on(replace(VIEW, points=points)) == "validation"

    def test_baseline_meets_the_cheapest_point_that_is_as_accurate(self) -> None:
        easy = Baseline(name="easy", values=(0.1, 1.0, 1.0), ideal_accuracy=0.1, test_accuracy=0.1)
        view = replace(VIEW, baselines=(easy,))
        found = compare(view, easy)
        cheapest = min(view.front, key=lambda point: point.values[1])
        assert found is not None
        assert found.number == cheapest.number
        assert found.cost_ratio == pytest.approx(1.0 / cheapest.values[1])
        assert found.lost == 0.0
        assert baseline_table(view).rows[0][-1].endswith("more energy, as accurate")
        assert not any(label == "less energy" for label, _, _ in headline(view))

    def test_baseline_above_the_front_meets_the_most_accurate_point(self) -> None:
        hard = Baseline(name="hard", values=(1.0, 1e6, 1.0), ideal_accuracy=1.0, test_accuracy=1.0)
        view = replace(VIEW, baselines=(hard,))
        found = compare(view, hard)
        best = max(view.front, key=lambda point: point.test_accuracy or 0.0)
        assert found is not None
        assert found.number == best.number
        assert best.test_accuracy is not None
        assert found.lost == pytest.approx(1.0 - best.test_accuracy)
        assert "pp less accurate" in baseline_table(view).rows[0][-1]

    def test_nothing_is_compared_without_a_front_or_with_a_broken_baseline(self) -> None:
        assert compare(empty_view(), VIEW.baselines[0]) is None
        assert compare(VIEW, VIEW.baselines[1]) is None

    def test_cost_counts_every_trial(self) -> None:
        amounts = {row[0]: row[1] for row in cost_table(VIEW).rows}
        assert amounts["trials trained and scored"] == str(len(VIEW.scored))
        assert amounts["processor time"] == "0.061 CPU h"
        assert amounts["wall time"] == "97 s"


class TestStatements:
    def test_calibrated_model_gives_its_achieved_coverage(self) -> None:
        trust = replace(VIEW.credibility, calibrated=True, achieved_coverage=0.78)
        text = " ".join(statements(replace(VIEW, credibility=trust)))
        assert "an array call meets measured points of this macro" in text
        assert "it held for 78 % of the chips" in text

    def test_mixed_workers_are_named(self) -> None:
        assert not any("different kinds" in line for line in statements(VIEW))
        mixed = statements(replace(VIEW, machines_mixed=True))
        assert any("different kinds" in line for line in mixed)

    def test_nothing_is_claimed_of_what_is_not_known_yet(self) -> None:
        trust = replace(VIEW.credibility, band_factor=1.0, unvalidated_frac=0.0)
        text = " ".join(statements(replace(empty_view(), images=0, credibility=trust)))
        assert "band" not in text
        assert "images" not in text.replace("test images", "")

    def test_rank_agreement_is_of_the_order_alone(self) -> None:
        def with_measured(factor: float) -> StudyView:
            points = tuple(
                replace(p, energy_measured_pj=p.values[1] ** factor) for p in VIEW.points
            )
            return replace(VIEW, points=points)

        assert rank_agreement(with_measured(0.5)) == pytest.approx(1.0)
        assert rank_agreement(with_measured(-1.0)) == pytest.approx(-1.0)
        assert rank_agreement(empty_view()) is None

    def test_headline_has_units(self) -> None:
        tiles = {label: value for label, value, _ in headline(VIEW)}
        assert tiles["most accurate"].endswith(" %")
        assert tiles["least energy"].endswith("J")
        assert tiles["processor time"].endswith(" h")
        assert {label for label, _, _ in headline(empty_view())} == {
            "front",
            "processor time",
        }
