"""The parity plot: two named models, equal decades, lines that say what they are."""

from dataclasses import replace

import pytest

from cimsearch.cost.silicon import Band, Chip, Prediction
from cimsearch.figures.parity import ParityPanel, parity_figure

CHIP = Chip(
    id="a",
    chip="<A>",
    technology="RRAM",
    node_nm=40.0,
    supply_v=1.0,
    weight_bits=1.0,
    input_bits=1.0,
    measured_fj=10.0,
)
PREDICTIONS = (
    Prediction(CHIP, 30.0),
    Prediction(replace(CHIP, id="b", technology="analog SRAM", measured_fj=2000.0), 700.0),
    Prediction(replace(CHIP, id="c", measured_fj=None), 1e9),
)
PANELS = (
    ParityPanel("first model", "left out", PREDICTIONS, (Band("RRAM", 4.56, 0.8),)),
    ParityPanel("second model", "not fitted", PREDICTIONS[:1], ()),
)


def test_each_model_is_named_and_has_its_bands() -> None:
    figure = parity_figure(PANELS).to_plotly_json()
    texts = [note["text"] for note in figure["layout"]["annotations"]]
    assert texts == [
        "first model",
        "80 % band of a chip<br>RRAM: \N{MULTIPLICATION SIGN} or \N{DIVISION SIGN} 4.6",
        "second model",
    ]
    assert figure["layout"]["title"]["text"]
    assert figure["layout"]["yaxis"]["title"]["text"] == "left out [fJ/MAC]"
    assert figure["layout"]["yaxis2"]["title"]["text"] == "not fitted [fJ/MAC]"


def test_a_decade_is_as_long_on_every_axis() -> None:
    layout = parity_figure(PANELS).to_plotly_json()["layout"]
    ranges = [layout[axis]["range"] for axis in ("xaxis", "yaxis", "xaxis2", "yaxis2")]
    assert all(found == ranges[0] for found in ranges)
    for suffix in ("", "2"):
        assert layout[f"yaxis{suffix}"]["scaleanchor"] == f"x{suffix}"
    # What was not measured has no place, and stretches nothing.
    assert ranges[0][1] < 4


def test_the_legend_says_what_lines_and_marks_are() -> None:
    traces = parity_figure(PANELS).to_plotly_json()["data"]
    named = [trace["name"] for trace in traces if trace["showlegend"]]
    assert named == ["equal", "a factor of 2 apart", "RRAM", "analog SRAM"]
    dotted = [trace for trace in traces if trace.get("line", {}).get("dash") == "dot"]
    ratios = {trace["y"][0] / trace["x"][0] for trace in dotted}
    assert ratios == {2.0, 0.5}
    marks = [trace for trace in traces if trace["mode"] == "markers" and trace["yaxis"] == "y"]
    assert [list(trace["x"]) for trace in marks] == [[10.0], [2000.0]]
    assert list(marks[0]["text"]) == ["a (&lt;A&gt;)"]


def test_a_plot_without_rows_is_drawn() -> None:
    figure = parity_figure([ParityPanel("empty", "none", (), ())]).to_plotly_json()
    assert figure["layout"]["xaxis"]["range"] == pytest.approx([-0.30103, 0.30103])
