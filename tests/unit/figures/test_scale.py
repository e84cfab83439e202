import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.figures.scale import cost_axis, plain, round_ticks, scale_for, sequence

positive = st.floats(1e-6, 1e15)


@pytest.mark.parametrize(
    ("name", "values", "title", "text"),
    [
        ("energy_pj", [5_210.0, 6_000.0], "energy [nJ]", "5.21"),
        ("energy_pj", [0.02], "energy [fJ]", "20.0"),
        ("latency_ns", [2.5e6], "latency [ms]", "2.50"),
        ("area_um2", [4.2e6], "area [mm²]", "4.20"),
        ("accuracy", [0.9345], "accuracy [%]", "93.5"),
        ("test_accuracy", [0.5], "test accuracy [%]", "50.0"),
    ],
)
def test_scale_has_its_unit(name: str, values: list[float], title: str, text: str) -> None:
    scale = scale_for(name, values)
    assert scale.title == title
    assert scale.number(values[0]) == text


def test_axis_titles_say_what_is_meant() -> None:
    assert scale_for("energy_pj", [1.0]).axis_title == "energy per inference [pJ]"
    assert scale_for("area_um2", [1.0]).axis_title == "area [µm²]"
    assert scale_for("accuracy", [1.0]).axis_title == "validation accuracy [%]"


@given(positive)
def test_shown_numbers_are_short_and_keep_the_value(value: float) -> None:
    scale = scale_for("energy_pj", [value])
    assert float(scale.number(value).replace(",", "")) * scale.factor == pytest.approx(
        value, rel=0.01
    )


@given(positive, positive)
def test_round_ticks_lie_in_the_range(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = round_ticks(low, high)
    assert len(ticks) >= 2
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(ticks)


def test_a_cost_axis_is_logarithmic_only_where_it_helps() -> None:
    scale = scale_for("energy_pj", [2.0])
    assert cost_axis(scale, [1.0, 100.0])["type"] == "log"
    assert "type" not in cost_axis(scale, [1.0, 2.0])
    assert "type" not in cost_axis(scale, [0.0])
    assert cost_axis(scale, [1.0], title="mine")["title"] == {"text": "mine"}


def test_sequence_is_short() -> None:
    assert sequence([4, 8, 2]) == "4·8·2"
    assert sequence([100 / 3]) == "33.3"
    assert sequence([2, *range(3, 16)]) == "2 to 15 in 14 layers"
    assert sequence([8] * 20) == "8 in 20 layers"
    assert len(sequence([])) == 1


def test_plain_text_has_no_markup() -> None:
    assert plain("<b>&") == "&lt;b&gt;&amp;"
