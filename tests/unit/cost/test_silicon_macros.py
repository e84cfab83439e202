"""Rows of a table as macros: what their columns say, and what the equations make of it.

Where an equation changes and these energies with it, the bands and scores in constants.json are of
the equation as it was: they have to be recorded again.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.cost.silicon import (
    Chip,
    hardware_of,
    price_row,
    reason_not_priced,
    technology_at,
)
from cimsearch.errors import HardwareError
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import CapacitiveAdc, ResistiveCell

PLAIN = Chip(
    id="plain",
    chip="plain",
    technology="analog SRAM",
    node_nm=28,
    supply_v=1.0,
    weight_bits=1,
    input_bits=1,
    measured_fj=None,
    rows=256,
    cols=64,
    activated_rows=64,
    cell_bits=1,
    adc_bits=6,
    dac_bits=1,
)
# Structure of H. Wang et al., VLSI 2022, and of I. A. Papistas et al., CICC 2021, as the UIUC
# in-memory-computing benchmark lists it; the catalogue has both chips.
WANG = replace(
    PLAIN,
    node_nm=22,
    supply_v=0.7,
    weight_bits=8,
    input_bits=8,
    rows=512,
    cols=128,
    cols_per_adc=8,
    adc_bits=8,
    dac_bits=8,
)
PAPISTAS = replace(
    PLAIN,
    node_nm=22,
    supply_v=0.8,
    weight_bits=1.5,
    input_bits=7,
    rows=1024,
    cols=1024,
    activated_rows=1024,
    cols_per_adc=2,
    dac_bits=7,
)


def test_energies_of_an_analog_row_by_hand() -> None:
    energy = price_row(PLAIN).energy_fj
    line_ff = 0.35
    assert energy["cells"] == pytest.approx(line_ff * 0.25 + 256 / 64 * line_ff)
    assert energy["drivers"] == pytest.approx(line_ff * 0.5)
    assert energy["adc"] == pytest.approx((100 * 6 + 0.001 * 4**6) / 64)
    assert energy["adder_tree"] == 0
    five = sum(value for name, value in energy.items() if name != "control")
    assert energy["control"] == pytest.approx(0.05 * five)


def test_energies_of_a_digital_row_by_hand() -> None:
    chip = replace(PLAIN, technology="digital SRAM", adc_bits=None, weight_bits=4, rows=64)
    energy = price_row(chip).energy_fj
    adders = 64 * 5 - (4 + 6 + 1)
    assert energy["adder_tree"] == pytest.approx(adders * 6 * 0.7 * 1.76 * 0.25 / 64)
    assert energy["cells"] == pytest.approx(4 * 0.35 * 0.25)
    assert energy["adc"] == 0


def test_resistive_cells_take_their_current_for_a_pulse_at_any_node() -> None:
    chip = replace(PLAIN, technology="RRAM", rows=64)
    dense, sparse = (
        price_row(replace(chip, node_nm=node)).energy_fj["cells"] for node in (28, 40)
    )
    conducted = 0.5**2 * 3.16 * 0.5 * 100 * (0.5 + 0.5 / 17)
    assert dense == pytest.approx(conducted + 0.35 * 0.25)
    assert sparse == pytest.approx(conducted + 0.5 * 0.25)
    assert isinstance(hardware_of(chip).macro.cell, ResistiveCell)


@pytest.mark.parametrize(
    ("row", "name"), [(WANG, "wang_vlsi_2022"), (PAPISTAS, "papistas_cicc_2021")]
)
def test_bits_that_share_a_converter_lie_as_in_the_catalogue(row: Chip, name: str) -> None:
    made, known = hardware_of(row).macro, load_hardware(f"macros/{name}").macro
    for field in ("rows", "cols", "active_rows", "cell_bits"):
        assert getattr(made.array, field) == getattr(known.array, field), field
    assert made.input.wordline_cap_ff_per_cell == known.input.wordline_cap_ff_per_cell
    assert made.input.dac_bits == known.input.dac_bits
    assert made.weights.encoding == known.weights.encoding == "differential"
    assert made.adc is not None
    assert known.adc is not None
    assert made.adc.columns_per_adc == known.adc.columns_per_adc
    assert isinstance(made.adc.model, CapacitiveAdc)


def test_bits_with_a_converter_each_stay_in_columns_of_a_bit() -> None:
    macro = hardware_of(replace(PLAIN, weight_bits=4)).macro
    assert (macro.array.cell_bits, macro.weights.encoding) == (1, "twos_complement")
    assert macro.array.cols == 64
    many = hardware_of(replace(PLAIN, technology="RRAM", weight_bits=4, cell_bits=4)).macro
    assert (many.array.cell_bits, many.weights.encoding) == (3, "differential")


def test_a_sum_longer_than_the_rows_runs_along_them() -> None:
    array = hardware_of(replace(PLAIN, rows=32, cols=288, dot_length=288)).macro.array
    assert (array.rows, array.active_rows, array.cols) == (288, 288, 32)


def test_shared_converters_are_told_by_either_column() -> None:
    for chip in (replace(PLAIN, cols_per_adc=16), replace(PLAIN, adc_count=4)):
        adc = hardware_of(chip).macro.adc
        assert adc is not None
        assert adc.columns_per_adc == 16
    # They change area and not energy: every column is converted either way.
    shared, own = (price_row(replace(PLAIN, cols_per_adc=n)) for n in (16, 1))
    assert shared.energy_fj == own.energy_fj
    assert shared.cycle_ns == own.cycle_ns == pytest.approx(6 * (0.640 + 0.00653 * 64))
    assert shared.array_mm2 < own.array_mm2


def test_larger_cells_cover_more() -> None:
    six, eight = (price_row(replace(PLAIN, cell=name)).array_mm2 for name in ("6T", "8T1C"))
    assert eight - six == pytest.approx(256 * 64 * 0.22 / 3 / 1e6)
    assert price_row(replace(PLAIN, cell="T?")).array_mm2 == six


def test_technologies_are_the_shipped_ones_and_scale_with_the_node() -> None:
    assert technology_at(28) == load_hardware("macros/guo_isscc_2023").macro.technology
    wide = technology_at(180)
    assert wide.nand2_cap_ff == pytest.approx(3.25 * 180 / 130)
    assert wide.sram_bit_area_um2 == pytest.approx(4.73 * (180 / 130) ** 2)
    assert technology_at(14).nand2_delay_ps == pytest.approx(27.3 * 14 / 16)


@pytest.mark.parametrize(
    ("chip", "reason"),
    [
        (replace(PLAIN, supply_v=None), "empty: vdd_V"),
        (replace(PLAIN, technology="PCM"), "not validated"),
        (replace(PLAIN, input_bits=32, adc_bits=20), "over 16: input_bits, adc_bits"),
    ],
)
def test_rows_that_the_equations_cannot_price(chip: Chip, reason: str) -> None:
    assert reason_not_priced(chip) == reason
    with pytest.raises(HardwareError, match=f"plain: {reason}"):
        price_row(chip)


@given(
    technology=st.sampled_from(("analog SRAM", "RRAM", "digital SRAM")),
    node_nm=st.floats(3, 200),
    weight_bits=st.floats(1, 16),
    input_bits=st.floats(1, 16),
    adc_bits=st.floats(1, 16),
    dac_bits=st.none() | st.floats(1, 16),
    cell_bits=st.none() | st.floats(1, 16),
    rows=st.none() | st.floats(1, 2048),
    cols=st.none() | st.floats(1, 512),
    cols_per_adc=st.none() | st.floats(1, 512),
    activated_rows=st.floats(1, 4096),
)
def test_every_row_that_says_enough_has_a_price(**columns: Any) -> None:
    price = price_row(replace(PLAIN, **columns))
    assert 0 < price.total_fj < float("inf")
    assert price.cycle_ns > 0
    assert price.array_mm2 > 0
