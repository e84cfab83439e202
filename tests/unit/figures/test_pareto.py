import re
from dataclasses import replace

import numpy as np
import pytest

from cimsearch.figures.colour import ColourBar
from cimsearch.figures.describe import describe_point
from cimsearch.figures.pareto import (
    NAMES,
    SYMBOLS,
    Kind,
    ParetoData,
    pareto_data,
    pareto_figure,
)
from cimsearch.figures.pareto_3d import pareto_3d_figure
from cimsearch.figures.scale import scale_for
from cimsearch.figures.view import Baseline, LayerView, Point, StudyView
from tests.unit.figures.sample import sample_view


def small_view() -> StudyView:
    points = (
        Point(number=0, state="complete", values=(0.90, 5_000.0, 900.0), on_front=True),
        Point(number=1, state="complete", values=(0.80, 6_000.0, 950.0)),
        Point(number=2, state="complete", values=(0.70, 1_000.0, 400.0), on_front=True),
        Point(number=3, state="complete", values=(0.68, 2_000.0, 300.0), on_front=True),
        Point(number=4, state="infeasible", values=(0.0, 9_000.0, 2_000.0), reason="too slow"),
        Point(number=5, state="failed", values=(0.0, 3_000.0, 500.0), reason="out of memory"),
    )
    baselines = (
        Baseline(name="uniform 8 bit", values=(0.89, 20_000.0, 3_000.0), ideal_accuracy=0.9),
        Baseline(
            name="uniform 4 bit", values=(0.5, 8_000.0, 2_000.0), ideal_accuracy=0.8, broken=True
        ),
    )
    return replace(sample_view(trials=0), points=points, baselines=baselines)


def test_every_kind_is_told_apart() -> None:
    data = pareto_data(small_view())
    assert {group.kind: group.labels for group in data.groups} == {
        "dominated": ("#1",),
        "front": ("#0", "#2", "#3"),
        "baseline": ("uniform 8 bit",),
        "broken": ("uniform 4 bit",),
        "infeasible": ("#4",),
        "failed": ("#5",),
    }
    assert len(set(SYMBOLS.values())) == len(NAMES)


def test_a_baseline_that_the_constraints_forbid_says_why() -> None:
    view = small_view()
    forbidden = tuple(replace(b, infeasible="area_um2 by 20 %") for b in view.baselines)
    data = pareto_data(replace(view, baselines=forbidden))
    group = data.group("forbidden")
    assert group is not None
    assert group.labels == ("uniform 8 bit", "uniform 4 bit")
    assert "infeasible: area_um2 by 20 %" in group.hovers[0]
    assert data.group("baseline") is data.group("broken") is None


def test_stale_accuracies_are_dotted_and_explained() -> None:
    view = small_view()
    assert not any("stale" in (t.name or "") for t in pareto_figure(pareto_data(view)).data)
    points = tuple(replace(p, stale="elsewhere") if p.number < 2 else p for p in view.points)
    stale = replace(view, points=points, baselines=(replace(view.baselines[0], stale="there"),))
    data = pareto_data(stale)
    symbols = {trace.name: trace.marker.symbol for trace in pareto_figure(data).data}
    assert symbols["Pareto front"] == ("diamond-dot", "diamond", "diamond")
    assert symbols["dominated"] == ("circle-open-dot",)
    assert symbols["baseline"] == ("square-dot",)
    assert "with a dot: accuracy of other hardware (stale)" in symbols
    found: tuple[tuple[Kind, str], ...] = (("front", "elsewhere"), ("baseline", "there"))
    for kind, there in found:
        group = data.group(kind)
        assert group is not None
        assert f"stale: the accuracy was found on {there}" in group.hovers[0]


def test_hover_names_the_hardware_of_a_point() -> None:
    view = small_view()
    settings = (("rows", 128), ("columns_per_adc", 4), ("supply_v", 0.8))
    text = describe_point(view, replace(view.points[0], settings=settings))
    assert text.endswith("hardware: rows 128, columns per ADC 4, supply 0.8 V")


def test_attained_is_the_front_in_accuracy_and_energy_alone() -> None:
    data = pareto_data(small_view())
    assert data.attained == ((1_000.0, 0.70), (5_000.0, 0.90))


def test_hover_states_every_objective_with_its_unit_and_the_bits() -> None:
    view = sample_view()
    group = pareto_data(view).group("front")
    assert group is not None
    for text, number in zip(group.hovers, group.numbers, strict=True):
        assert text.startswith(f"<b>#{number}</b>")
        assert re.search(r"validation accuracy [\d.]+ %, the mean of 4 chips, L1", text)
        assert re.search(r"energy [\d.]+ [np]J<br>of it the macro [\d.]+ [np]J \(80 % band", text)
        assert re.search(r"latency [\d.]+ µs", text)
        for bits in ("weight bits", "activation bits", "ADC bits", "pruned [%]"):
            assert bits in text
        assert "residual bits" not in text


def test_hover_states_residual_bits_where_there_are_any() -> None:
    view = small_view()
    point = view.points[0]
    added = tuple(LayerView(name=f"{b}.add", op="add", x_bits=b) for b in (4, 0, 8))
    text = describe_point(view, replace(point, layers=(*point.layers, *added)))
    assert "residual bits 4·0·8" in text
    assert text.replace("<br>residual bits 4·0·8", "") == describe_point(view, point)


def test_band_is_of_the_macro_alone() -> None:
    trust = replace(sample_view().credibility, band_factor=2.0, unvalidated=("buffers",))
    point = Point(
        number=7,
        state="complete",
        values=(0.9, 30.0, 1.0),
        components={"cells": 4.0, "adc": 6.0, "buffers": 20.0},
    )
    view = replace(small_view(), credibility=trust)
    text = describe_point(view, point)
    assert "energy 30 pJ<br>of it the macro 10 pJ (80 % band 5 pJ to 20 pJ)" in text


def test_a_failed_trial_without_a_price_is_left_out() -> None:
    points = (*small_view().points, Point(number=6, state="failed", values=()))
    group = pareto_data(replace(small_view(), points=points)).group("failed")
    assert group is not None
    assert group.labels == ("#5",)


def test_hover_of_an_unscored_point_gives_its_reason_and_no_accuracy() -> None:
    group = pareto_data(small_view()).group("failed")
    assert group is not None
    assert "out of memory" in group.hovers[0]
    assert "%" not in group.hovers[0].replace("80 % band", "")


def test_axes_have_units_and_unscored_points_a_strip_of_their_own() -> None:
    figure = pareto_figure(pareto_data(small_view()))
    assert figure.layout.xaxis.title.text == "energy per inference [nJ]"
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.yaxis.title.text == "validation accuracy [%], mean of 4 chips at L1"
    strips = {trace.name: trace.yaxis for trace in figure.data if trace.name}
    assert strips["infeasible"] == strips["failed"] == "y2"
    assert strips["Pareto front"] == "y"
    front = next(trace for trace in figure.data if trace.name == "Pareto front")
    assert list(front.x) == pytest.approx([5.0, 1.0, 2.0])
    assert list(front.y) == pytest.approx([90.0, 70.0, 68.0])
    assert list(front.customdata) == [0, 2, 3]


def test_there_is_no_strip_without_unscored_points() -> None:
    view = replace(small_view(), points=small_view().points[:4])
    figure = pareto_figure(pareto_data(view))
    assert figure.layout.yaxis2.visible is False
    assert figure.layout.yaxis.domain == (0, 1)


def test_colour_is_the_third_objective() -> None:
    data = pareto_data(small_view())
    assert data.colours == ColourBar(scale_for("latency_ns", [925.0]), 300.0, 950.0)
    bar = pareto_figure(data).data[-1]
    assert bar.marker.colorbar.title.text == "latency per inference [ns]"
    front = next(t for t in pareto_figure(data).data if t.name == "Pareto front")
    assert len(set(front.marker.color)) == 3


def test_two_objectives_need_no_colour() -> None:
    view = small_view()
    points = tuple(replace(point, values=point.values[:2]) for point in view.points)
    baselines = tuple(replace(b, values=b.values[:2]) for b in view.baselines)
    data = pareto_data(
        replace(
            view,
            objectives=view.objectives[:2],
            directions=view.directions[:2],
            reference_point=view.reference_point[:2],
            points=points,
            baselines=baselines,
        )
    )
    assert data.colours is None
    assert all(not trace.marker.showscale for trace in pareto_figure(data).data)


def test_3d_leaves_out_what_has_no_accuracy() -> None:
    figure = pareto_3d_figure(pareto_data(small_view()))
    names = {trace.name for trace in figure.data if trace.name}
    assert names == {"dominated", "Pareto front", "baseline", "broken baseline"}
    scene = figure.layout.scene
    titles = [axis.title.text for axis in (scene.xaxis, scene.yaxis, scene.zaxis)]
    assert titles == ["energy [nJ]", "latency [ns]", "accuracy [%]"]


def test_only_infeasible_points_still_draw() -> None:
    points = tuple(point for point in small_view().points if point.state == "infeasible")
    data = pareto_data(replace(small_view(), points=points, baselines=()))
    assert data.attained == ()
    assert isinstance(data, ParetoData)
    assert len(pareto_figure(data).data) == 1


def test_colours_run_over_the_range_and_are_equal_for_equal_values() -> None:
    bar = ColourBar.over(scale_for("latency_ns", [1.0]), [1.0, 10.0, 100.0])
    low, middle, high = bar.colours([1.0, 10.0, 100.0])
    assert len({low, middle, high}) == 3
    assert bar.colours([0.1, 1000.0]) == [low, high]
    flat = ColourBar.over(scale_for("latency_ns", [1.0]), [5.0, 5.0])
    assert len(set(flat.colours([5.0, 5.0]))) == 1
    assert np.isfinite(flat.marker()["cmin"])
