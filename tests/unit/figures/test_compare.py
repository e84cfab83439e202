"""The comparison's figure: two panels that never share a unit."""

from dataclasses import replace
from pathlib import Path

import pytest

from cimsearch.cost.compare import compare_macro
from cimsearch.figures.compare import compare_figure, drawn, write_comparison
from cimsearch.spec import load_hardware

WAN = compare_macro(load_hardware("macros/wan_nature_2022"), name="<wan>")
CHIH = compare_macro(load_hardware("macros/chih_isscc_2021"), name="chih")
ROWS = (*WAN, *CHIH)


def test_native_and_normalised_have_axes_of_their_own() -> None:
    figure = compare_figure(ROWS).to_plotly_json()
    layout = figure["layout"]
    for axis in ("xaxis", "yaxis", "xaxis2", "yaxis2"):
        assert layout[axis]["type"] == "log"
        assert ("1-bit-normalised" in layout[axis]["title"]["text"]) == axis.endswith("2")
        assert ("native" in layout[axis]["title"]["text"]) != axis.endswith("2")
    for suffix, factor in (("", False), ("2", True)):
        shown = [
            y
            for trace in figure["data"]
            if trace["yaxis"] == f"y{suffix}" and trace["mode"] == "markers"
            for y in trace["y"]
        ]
        expected = []
        for row in ROWS:
            bits = row.weight_bits * row.activation_bits if factor else 1
            for value in (row.tops_per_w_native_measured, row.tops_per_w_native_model):
                assert value is not None
                expected.append(value * bits)
        assert sorted(shown) == pytest.approx(sorted(expected))


def test_a_model_that_is_right_is_a_ring_around_what_was_measured() -> None:
    traces = compare_figure(CHIH).to_plotly_json()["data"]
    marks = [trace for trace in traces if trace["mode"] == "markers"]
    assert len(marks) == 4
    for measured, model in zip(marks[::2], marks[1::2], strict=True):
        assert measured["name"].endswith("measured")
        assert model["marker"]["symbol"] == f"{measured['marker']['symbol']}-open"
        # A clear gap between the dot and its ring.
        assert model["marker"]["size"] >= 1.5 * measured["marker"]["size"]


def test_hover_says_precision_and_source() -> None:
    texts = [
        text
        for trace in compare_figure(ROWS).to_plotly_json()["data"]
        for text in trace.get("hovertext") or ()
    ]
    assert len(texts) == 4 * len(ROWS)
    assert all("precision 4b x " in text and "source: " in text for text in texts)
    assert all("(weights \N{MULTIPLICATION SIGN} activations)" in text for text in texts)
    assert any("TOPS/W at 4b x 3b" in text for text in texts)
    assert not any("<wan>" in text for text in texts)


def test_rows_without_a_density_are_not_drawn(tmp_path: Path) -> None:
    bare = replace(CHIH[0], tops_per_mm2_native_measured=None, tops_per_mm2_native_model=None)
    assert drawn([bare, *WAN]) == list(WAN)
    untimed = replace(CHIH[0], tops_per_mm2_native_measured=None)
    assert drawn([untimed]) == [untimed]
    (_, measured, model, *_) = compare_figure([untimed]).to_plotly_json()["data"]
    assert list(measured["x"]) == list(model["x"])


def test_the_file_holds_all_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "plot.html"
    write_comparison(ROWS, path)
    text = path.read_text(encoding="utf-8")
    assert "plotly.js v" in text
    assert "cdn.plot.ly" not in text.split("<body>")[0]
    assert [found.name for found in tmp_path.iterdir()] == ["plot.html"]
