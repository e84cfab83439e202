import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.figures.energy import energy_data, energy_figure
from cimsearch.figures.gallery import figures
from cimsearch.figures.layers import STRIPS, layers_data, layers_figure
from cimsearch.figures.parallel import MOST_OTHERS, parallel_data, parallel_figure
from cimsearch.figures.progress import (
    hypervolume_data,
    hypervolume_figure,
    hypervolume_sentences,
)
from cimsearch.figures.view import GeneAxis, LayerView, Point, StudyView
from cimsearch.figures.view_search import RandomSearch
from cimsearch.pareto import share_of
from tests.unit.figures.sample import (
    UNVALIDATED,
    components_of,
    empty_view,
    sample_view,
)

VIEW = sample_view()


def test_gallery_holds_every_figure() -> None:
    made = figures(VIEW)
    fixed = {"pareto", "pareto_3d", "hypervolume", "parallel", "energy"}
    assert set(made) == fixed | {f"layers_{point.number}" for point in VIEW.front}


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("pareto", ("xaxis", "yaxis")),
        ("pareto_3d", ("scene.xaxis", "scene.yaxis", "scene.zaxis")),
        ("hypervolume", ("yaxis",)),
        ("energy", ("xaxis", "xaxis2")),
        (f"layers_{VIEW.front[0].number}", ("yaxis2",)),
    ],
)
def test_axes_have_titles_with_units(name: str, axes: tuple[str, ...]) -> None:
    layout = json.loads(figures(VIEW)[name].to_json())["layout"]
    for axis in axes:
        *scene, last = axis.split(".")
        place = layout[scene[0]] if scene else layout
        assert re.search(r"\[(%|%.*|nJ|pJ|µs|ns)\]", place[last]["title"]["text"]), axis


def test_a_study_without_trials_has_no_figures() -> None:
    assert figures(empty_view()) == {}


def test_baselines_alone_are_drawn() -> None:
    made = figures(replace(empty_view(), baselines=VIEW.baselines))
    assert set(made) == {"pareto", "pareto_3d", "energy"}


class TestHypervolume:
    def test_comes_with_the_reference_point(self) -> None:
        view = replace(
            VIEW,
            reference_point=(0.1, 100.0, 10.0),
            hypervolume=((0, 0.0), (1, 0.5), (2, 1.0)),
        )
        data = hypervolume_data(view)
        assert data.numbers == (0, 1, 2)
        assert data.shares == pytest.approx((0.0, 0.5, 1.0))
        assert data.reference == "accuracy 10.00 %, energy 100 pJ, latency 10 ns"

    def test_never_falls_and_stays_below_the_box(self) -> None:
        shares = hypervolume_data(VIEW).shares
        assert list(shares) == sorted(shares)
        assert 0.0 < shares[-1] < 1.0

    def test_figure_states_the_reference_point(self) -> None:
        data = hypervolume_data(VIEW)
        figure = hypervolume_figure(data)
        title = re.sub(r"<.*?>", " ", figure.layout.xaxis.title.text).replace("\xa0", " ")
        assert data.reference in title
        assert figure.layout.yaxis.title.text == "hypervolume [% of the box]"

    def test_random_search_and_the_baselines_are_always_beside_it(self) -> None:
        data = hypervolume_data(VIEW)
        drawn = {trace.name: trace for trace in hypervolume_figure(data).data}
        assert list(drawn) == ["this search", "random search, 12 draws", "uniform baselines"]
        assert list(drawn["this search"].x) == list(range(1, len(data.shares) + 1))
        assert list(drawn["random search, 12 draws"].x) == list(range(1, 13))
        level = share_of([b.values for b in VIEW.baselines], VIEW.directions, VIEW.reference_point)
        assert set(drawn["uniform baselines"].y) == {100 * level}

    def test_words_say_how_far_random_search_is_known(self) -> None:
        text = hypervolume_sentences(VIEW)
        reached, early = VIEW.random_search.curve[-1][1], VIEW.hypervolume[11][1]
        assert "drawn uniformly (12)" in text
        assert f"It ends at {100 * reached:.1f} %, as nothing is known of more draws" in text
        assert f"had {100 * early:.1f} % after as many scored trials" in text
        same = RandomSearch(curve=((6, VIEW.hypervolume[5][1]),))
        text = hypervolume_sentences(replace(VIEW, random_search=same))
        assert "the search began with them and has" in text
        alone = RandomSearch(curve=VIEW.random_search.curve, is_all=True)
        text = hypervolume_sentences(replace(VIEW, random_search=alone))
        assert "all scored trials, which are drawn uniformly" in text
        assert "after as many" not in text
        none = RandomSearch(why_none="nobody drew")
        text = hypervolume_sentences(replace(VIEW, random_search=none, baselines=()))
        assert text == "There is no line of random search: nobody drew. No baseline is scored."

    def test_a_forbidden_baseline_adds_nothing(self) -> None:
        forbidden = tuple(replace(b, infeasible="area_um2 by 20 %") for b in VIEW.baselines)
        view = replace(VIEW, baselines=(VIEW.baselines[0], forbidden[1]))
        values = VIEW.baselines[0].values
        assert hypervolume_data(view).baselines == share_of(
            [values], VIEW.directions, VIEW.reference_point
        )
        assert "without uniform 4 bit, which the constraints forbid" in hypervolume_sentences(view)
        assert hypervolume_data(replace(VIEW, baselines=forbidden)).baselines == 0.0


class TestParallel:
    def test_front_comes_last_and_objectives_first(self) -> None:
        data = parallel_data(VIEW)
        assert list(data.on_front) == sorted(data.on_front)
        assert sum(data.on_front) == len(VIEW.front)
        titles = [dimension.title for dimension in data.dimensions]
        assert titles[:3] == ["accuracy [%]", "energy [nJ]", "latency [µs]"]
        assert "stage0 width" in titles
        assert "mean weight bits" in titles
        for dimension in data.dimensions:
            assert len(dimension.places) == len(data.numbers)
            assert min(dimension.places) >= 0.0
            assert max(dimension.places) <= 1.0

    def test_others_are_sampled(self) -> None:
        many = tuple(
            Point(number=n, state="complete", values=(0.5, 100.0 + n, 10.0)) for n in range(500)
        )
        data = parallel_data(replace(VIEW, points=(*many, VIEW.front[0])))
        assert len(data.numbers) == MOST_OTHERS + 1
        assert data.numbers[0] == 0
        assert data.numbers[-2] == 499

    def test_a_missing_gene_crosses_at_the_bottom(self) -> None:
        genes = (GeneAxis(name="stage1.layer1.encoding", choices=("a", "b"), ordered=False),)
        points = tuple(
            Point(number=n, state="complete", values=(0.5, 100.0, 10.0), genes=chosen)
            for n, chosen in enumerate(({}, {genes[0].name: "a"}, {genes[0].name: "b"}))
        )
        dimension = parallel_data(replace(VIEW, points=points, genes=genes)).dimensions[3]
        assert dimension.title == "stage1 layer1 encoding"
        assert dimension.places[0] < dimension.places[1] < dimension.places[2]
        assert dimension.labels[1:] == ("a", "b")

    def test_a_field_of_the_hardware_is_no_gene_of_a_layer(self) -> None:
        layers = tuple(GeneAxis(name=f"l{n}.adc_bits", choices=(4, 8)) for n in range(4))
        genes = (*layers, GeneAxis(name="hardware.adc_bits", choices=(4, 6)))
        genes += (GeneAxis(name="hardware.supply_v", choices=(0.7, 0.9)),)
        chosen = {gene.name: gene.choices[0] for gene in genes}
        points = (Point(number=0, state="complete", values=(0.5, 100.0, 10.0), genes=chosen),)
        titles = [
            d.title for d in parallel_data(replace(VIEW, points=points, genes=genes)).dimensions
        ]
        assert titles[3:] == ["mean ADC bits", "ADC bits", "supply [V]"]

    def test_a_mean_gene_is_the_mean_over_active_layers(self) -> None:
        genes = tuple(GeneAxis(name=f"l{n}.weight_bits", choices=(2, 8)) for n in range(4))
        points = tuple(
            Point(number=n, state="complete", values=(0.5, 100.0, 10.0), genes=chosen)
            for n, chosen in enumerate(
                ({"l0.weight_bits": 2, "l1.weight_bits": 8}, {"l0.weight_bits": 8})
            )
        )
        dimension = parallel_data(replace(VIEW, points=points, genes=genes)).dimensions[3]
        assert dimension.title == "mean weight bits"
        assert dimension.places == pytest.approx((0.5, 1.0))

    def test_an_unordered_gene_of_many_layers_is_a_share(self) -> None:
        genes = tuple(
            GeneAxis(name=f"l{n}.range_policy", choices=("full_scale", "layer"), ordered=False)
            for n in range(4)
        )
        points = tuple(
            Point(number=n, state="complete", values=(0.5, 100.0, 10.0), genes=chosen)
            for n, chosen in enumerate(
                (
                    {"l0.range_policy": "layer", "l1.range_policy": "full_scale"},
                    {"l0.range_policy": "layer"},
                    {},
                )
            )
        )
        *_, share = parallel_data(replace(VIEW, points=points, genes=genes)).dimensions
        assert share.title == "range policy<br>layer [% of layers]"
        assert share.places == pytest.approx((0.5, 1.0, 0.0))

    def test_figure_has_a_line_a_trial(self) -> None:
        data = parallel_data(VIEW)
        figure = parallel_figure(data)
        assert len(figure.data) == len(data.numbers) + 1
        last = figure.data[len(data.numbers) - 1]
        assert set(last.customdata) == {data.numbers[-1]}
        assert last.line.width > figure.data[0].line.width


class TestLayers:
    def test_energies_sum_to_the_total(self) -> None:
        for point in VIEW.front:
            data = layers_data(VIEW, point)
            total = sum(sum(parts) for parts in data.energy_pj.values())
            assert total == pytest.approx(point.values[1])
            assert sum(data.latency_ns) == pytest.approx(point.values[2])

    def test_strips_are_blank_where_they_do_not_apply(self) -> None:
        layers = (
            LayerView(
                name="first", op="conv", placement="digital", kernel=(3, 3), w_bits=8, x_bits=8,
                prune_ratio=0.5, energy_pj=3.0, components={"digital": 3.0},
            ),
            LayerView(
                name="second", op="conv", placement="cim", kernel=(3, 3), w_bits=4, x_bits=2,
                adc_bits=5, utilization=0.25, energy_pj=7.0, components={"cells": 4.0, "adc": 3.0},
            ),
            LayerView(name="relu", op="relu", energy_pj=1.0, components={"digital": 1.0}),
        )  # fmt: skip
        point = Point(number=9, state="complete", values=(0.9, 11.0, 1.0), layers=layers)
        data = layers_data(VIEW, point)
        assert data.layers[:2] == ("first", "second")
        assert data.strips == {
            "weight bits": (8, 4, None),
            "activation bits": (8, 2, None),
            "ADC bits": (None, 5, None),
            "pruned [%]": (50.0, None, None),
            "utilization [%]": (None, 25.0, None),
        }
        assert list(data.energy_pj) == ["cells", "adc", "digital"]
        assert data.energy_pj["digital"] == (3.0, 0.0, 1.0)

    def test_a_network_of_layers_with_weights_alone_has_no_rest(self) -> None:
        layer = LayerView(name="only", op="linear", w_bits=8, x_bits=8)
        point = Point(number=1, state="complete", values=(0.9, 1.0, 1.0), layers=(layer,))
        assert layers_data(VIEW, point).layers == ("only",)

    def test_figure_stacks_strips_over_energy(self) -> None:
        data = layers_data(VIEW, VIEW.front[0])
        figure = layers_figure(data)
        assert tuple(figure.layout.yaxis.ticktext) == STRIPS
        assert figure.layout.yaxis2.title.text == "energy per inference [nJ]"
        assert figure.layout.barmode == "stack"
        assert sum(trace.type == "heatmap" for trace in figure.data) == len(STRIPS)


class TestEnergy:
    def test_components_sum_to_the_objective(self) -> None:
        data = energy_data(VIEW)
        bars = list(zip(*data.energy_pj.values(), strict=True))
        expected = [point.values[1] for point in VIEW.front]
        expected += [baseline.values[1] for baseline in VIEW.baselines]
        assert [sum(bar) for bar in bars] == pytest.approx(expected)
        assert data.labels[0] == f"#{VIEW.front[0].number}"
        assert data.labels[-1] == VIEW.baselines[-1].name

    def test_shares_are_of_the_whole_and_unvalidated_parts_are_hatched(self) -> None:
        figure = energy_figure(energy_data(VIEW))
        shares = [trace for trace in figure.data if trace.xaxis == "x2"]
        sums = [sum(bar) for bar in zip(*(trace.x for trace in shares), strict=True)]
        assert sums == pytest.approx([100.0] * len(sums))
        hatched = {trace.name for trace in shares if trace.marker.pattern.shape == "/"}
        assert hatched == {f"{name} (not validated)" for name in UNVALIDATED}

    def test_a_component_has_one_colour_in_every_figure(self) -> None:
        def colours(made: Any) -> dict[str, str]:
            return {t.name: t.marker.color for t in made.data if t.type == "bar"}

        whole = colours(energy_figure(energy_data(VIEW)))
        for point in VIEW.front:
            one = colours(layers_figure(layers_data(VIEW, point)))
            assert one.items() <= whole.items()


@settings(max_examples=20, deadline=None)
@given(trials=st.integers(0, 12), seed=st.integers(0, 1_000))
def test_any_study_draws(trials: int, seed: int) -> None:
    view: StudyView = sample_view(trials=trials, seed=seed)
    for figure in figures(view).values():
        assert "NaN" not in figure.to_json()
    for point in view.front:
        assert sum(components_of(point.layers).values()) == pytest.approx(point.values[1])
