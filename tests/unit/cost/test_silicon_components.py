"""The component equations on chips: as shipped, refit, and put together with the columns."""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest

from cimsearch.cost import trust_in
from cimsearch.cost.silicon import (
    Chip,
    as_shipped,
    bands,
    combinations,
    component_scales,
    fit_scales,
    leave_one_chip_out,
    one_scale,
    point_bands,
    predict_shipped,
    predictors,
    price_row,
    record_components,
    scaled_pairs,
    scores,
    shipped,
)
from cimsearch.spec import load_hardware
from tests.unit.cost.test_silicon_macros import PLAIN


def chips(count: int, *, scale: dict[str, float], spread: float = 0.0) -> list[Chip]:
    """Return analog chips whose components are those of the equations times ``scale``."""
    generator = np.random.default_rng(5)
    made = []
    for n in range(count):
        chip = replace(
            PLAIN,
            id=f"r{n}",
            chip=f"c{n}",
            node_nm=float(generator.choice((22, 28, 65))),
            activated_rows=float(generator.choice((4, 16, 64, 256))),
            adc_bits=float(generator.integers(1, 9)),
            input_bits=float(generator.choice((1, 4))),
        )
        parts = price_row(chip).energy_fj
        plain = sum(scale.get(name, 1.0) * parts[name] for name in parts if name != "control")
        noise = exp(spread * float(generator.normal()))
        made.append(replace(chip, measured_fj=1.05 * plain * noise))
    return made


def test_as_shipped_nothing_is_fitted() -> None:
    rows = chips(4, scale={})
    for predict in (as_shipped(rows), as_shipped([])):
        assert predict(rows[0]) == pytest.approx(rows[0].measured_fj)
    (one,) = scores(leave_one_chip_out(rows, fitter=as_shipped))
    assert one.geometric_error == pytest.approx(1.0)
    assert predict_shipped(replace(PLAIN, technology="PCM")) is None


def test_one_scale_is_found_whatever_it_is() -> None:
    rows = chips(12, scale=dict.fromkeys(("cells", "drivers", "adc", "shift_add"), 20.0))
    # There is next to no prior on it: half a percent of ln 20.
    assert one_scale(rows)(rows[0]) == pytest.approx(rows[0].measured_fj, rel=0.02)


def test_component_scales_move_towards_what_the_chips_say() -> None:
    rows = chips(400, scale={"cells": 3.0, "adc": 0.4})
    assert fit_scales(rows)["analog SRAM"] == pytest.approx((3.0, 1.0, 0.4, 1.0), rel=0.15)
    few = rows[:40]
    cells, _, adc, _ = fit_scales(few)["analog SRAM"]
    assert 1.0 < cells < 3.0
    assert 0.4 < adc < 1.0
    unfitted, fitted = (
        scores(leave_one_chip_out(few, fitter=fitter))[0].geometric_error
        for fitter in (as_shipped, component_scales)
    )
    assert fitted < 1.25 < unfitted


def test_the_prior_holds_a_lone_chip_back() -> None:
    (row,) = chips(1, scale={})
    far = replace(row, measured_fj=100 * (row.measured_fj or 0.0))
    moved = component_scales([far])(row)
    assert moved is not None
    assert 1.5 < moved / (row.measured_fj or 1.0) < 10.0
    # Digital macros have no converter to learn of, so its factor stays.
    digital = replace(PLAIN, technology="digital SRAM", adc_bits=None, measured_fj=500.0)
    assert fit_scales([digital])["digital SRAM"][2] == pytest.approx(1.0)


def test_a_chip_left_out_has_no_say_in_its_own_prediction() -> None:
    rows = chips(6, scale={}, spread=0.6)
    changed = [replace(rows[0], measured_fj=1e5), *rows[1:]]
    for fitter in (one_scale, component_scales):
        before, after = (leave_one_chip_out(r, fitter=fitter) for r in (rows, changed))
        assert before[0].predicted_fj == after[0].predicted_fj
        assert before[1].predicted_fj != after[1].predicted_fj


def test_a_chip_has_one_vote_whatever_its_rows() -> None:
    rows = chips(5, scale={}, spread=0.6)
    again = [*rows, replace(rows[0], id="again")]
    assert fit_scales(again)["analog SRAM"] == pytest.approx(fit_scales(rows)["analog SRAM"])


def test_the_band_of_the_equations_holds_its_share() -> None:
    (band,) = bands(chips(60, scale={}, spread=0.8), fitter=as_shipped)
    assert band.achieved == pytest.approx(0.8, abs=0.09)
    # 80 % of a normal distribution lie within 1.28 standard deviations.
    assert log(band.factor) == pytest.approx(1.28 * 0.8, rel=0.25)


def test_what_was_recorded_predicts_the_same() -> None:
    rows = chips(6, scale={}, spread=0.6)
    recorded = record_components(rows)
    made = predictors(recorded)
    assert list(made) == list(recorded["reached"])
    for name, fitter in (("one scale", one_scale), ("component scales", component_scales)):
        assert made[name](rows[0]) == pytest.approx(fitter(rows)(rows[0]))


def test_the_choice_among_ways_is_scored_without_the_chip_left_out() -> None:
    rows = chips(10, scale={"cells": 2.0}, spread=0.1)
    found = {one.way: one for one in combinations(rows)}
    equations, chosen = found["component equations, refit"], found["chosen in the fold"]
    assert sum(one.picked or 0 for one in found.values()) == 10
    assert equations.picked == 10
    assert chosen.geometric_error == pytest.approx(equations.geometric_error)
    assert chosen.geometric_error < found["columns"].geometric_error
    assert combinations(rows[:3]) == ()


def test_rows_beyond_the_equations_are_left_to_the_columns() -> None:
    rows = [replace(chip, input_bits=32.0) for chip in chips(5, scale={}, spread=0.3)]
    assert component_scales(rows)(rows[0]) is None
    assert bands(rows, fitter=as_shipped) == ()
    assert len(bands(rows)) == 1
    assert "component equations, refit" not in {one.way for one in combinations(rows)}
    one_left = [*rows, *chips(1, scale={})]
    (band,) = bands(one_left, fitter=as_shipped)
    assert band.achieved is None


def test_an_uncalibrated_macro_has_the_wider_band_of_the_equations() -> None:
    reached = shipped()["components"]["reached"]
    ways = [reached[name]["bands"] for name in ("as shipped", "one scale")]
    wider = {
        pair[0]["technology"]: max(pair, key=lambda band: band["factor"])
        for pair in zip(*ways, strict=True)
    }
    digital = load_hardware("macros/chih_isscc_2021").macro
    resistive = load_hardware("macros/wan_nature_2022").macro
    analog = load_hardware("macros/yu_cicc_2020").macro
    for macro, name, words in (
        (analog, "analog SRAM", "each left out of the fit of one scale"),
        (digital, "digital SRAM", "default constants, none fitted"),
        (resistive, "RRAM", "each left out of the fit of one scale"),
    ):
        trust = trust_in(macro, calibrated=False)
        assert trust.factor == wider[name]["factor"]
        assert trust.achieved_coverage == wider[name]["achieved"]
        assert trust.basis.endswith(f"{name} chips, {words}")
    flash = trust_in(resistive.model_copy(update={"device": "flash"}), calibrated=False)
    assert flash.factor == max(band["factor"] for band in wider.values())
    assert flash.achieved_coverage is None


def asked_again(rows: list[Chip], *, spread: float) -> list[Chip]:
    """Return a second row of each chip, of other bits, off the equations by ``spread`` in ln."""
    generator = np.random.default_rng(6)
    made = []
    for row in rows:
        other = replace(row, id=f"{row.id}'", weight_bits=4.0, input_bits=3.0)
        known, energy = price_row(row).total_fj, price_row(other).total_fj
        off = exp(spread * float(generator.normal()))
        made.append(replace(other, measured_fj=(row.measured_fj or 0.0) * energy / known * off))
    return made


def test_equations_scaled_to_one_point_tell_another() -> None:
    given = chips(4, scale=dict.fromkeys(("cells", "drivers", "adc", "shift_add"), 9.0))
    asked = asked_again(given, spread=0.0)
    pairs = scaled_pairs([*given, *asked])
    assert [(p.given.id, p.asked.id) for p in pairs] == [(f"r{n}", f"r{n}'") for n in range(4)]
    for pair, row in zip(pairs, asked, strict=True):
        assert pair.predicted_fj == pytest.approx(row.measured_fj)
        assert pair.abs_error_frac == pytest.approx(0.0, abs=1e-9)


def test_what_the_equations_cannot_price_makes_no_pair() -> None:
    (given,) = chips(1, scale={})
    (asked,) = asked_again([given], spread=0.0)
    assert len(scaled_pairs([given, asked])) == 1
    assert scaled_pairs([given, replace(asked, input_bits=32.0)]) == ()


def test_the_band_of_one_point_given_holds_its_share() -> None:
    given = chips(60, scale={}, spread=1.0)
    found = point_bands(scaled_pairs([*given, *asked_again(given, spread=0.3)]))
    assert [(one.change, one.chips, one.pairs) for one in found] == [
        ("precision", 60, 60),
        ("all", 60, 60),
    ]
    for band in found:
        assert band.technologies == ("analog SRAM",)
        assert band.achieved == pytest.approx(0.8, abs=0.09)
        assert log(band.factor) == pytest.approx(1.28 * 0.3, rel=0.25)


def test_bands_of_one_point_given_count_chips_and_kinds_of_change() -> None:
    rows = chips(3, scale={})
    voltage = [replace(row, id=f"v{row.id}", supply_v=1.1) for row in rows[:2]]
    pairs = scaled_pairs([*rows, *asked_again(rows, spread=0.5), *voltage])
    found = {one.change: one for one in point_bands(pairs)}
    assert list(found) == ["voltage", "precision", "all"]
    # Two points of other bits and supply: the third pair of each of two chips.
    assert [(one.chips, one.pairs) for one in found.values()] == [(2, 2), (3, 3), (3, 7)]
    assert all(one.achieved is None for one in found.values())
    widest = max(abs(log(pair.predicted_fj / (pair.asked.measured_fj or 0.0))) for pair in pairs)
    assert log(found["all"].factor) == pytest.approx(widest)


def test_a_calibrated_macro_has_the_band_of_one_point_given() -> None:
    bands_of = {one["change"]: one for one in shipped()["one_point_given"]}
    assert list(bands_of) == ["voltage", "precision", "all"]
    trust = trust_in(load_hardware("macros/wan_nature_2022").macro, calibrated=True)
    assert trust.factor == bands_of["all"]["factor"]
    assert trust.achieved_coverage == bands_of["all"]["achieved"]
    assert f"of {bands_of['all']['chips']} analog SRAM and RRAM chips" in trust.basis
