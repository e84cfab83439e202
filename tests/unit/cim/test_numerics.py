"""Numerics of a layer: what a node asks and what a macro has."""

from typing import Any

import pytest

from cimsearch.cim import LayerNumerics, numerics_of
from cimsearch.errors import HardwareError
from cimsearch.spec import load_hardware
from tests.unit.cim.builders import analog, conv_node

MACRO = load_hardware("macros/yu_cicc_2020").macro
DIGITAL = load_hardware("macros/chih_isscc_2021").macro


def test_a_float_node_has_no_numerics() -> None:
    assert numerics_of(conv_node(), MACRO) is None
    assert numerics_of(conv_node(), None) is None


def test_empty_settings_are_the_macros_own() -> None:
    found = numerics_of(conv_node(w_bits=4, x_bits=3), MACRO)
    assert MACRO.adc is not None
    assert found == LayerNumerics(
        w_bits=4,
        x_bits=3,
        analog=True,
        encoding=MACRO.weights.encoding,
        range_policy=MACRO.adc.range_policy,
        adc_bits=MACRO.adc.bits,
        dac_bits=MACRO.input.dac_bits,
        cell_bits=MACRO.array.cell_bits,
        rows=MACRO.array.rows,
        active_rows=MACRO.array.active_rows,
        cell_sigma_frac=MACRO.noise.cell_sigma_frac,
        adc_sigma_frac=MACRO.noise.adc_sigma_frac,
        cols=MACRO.array.cols,
        columns_per_adc=MACRO.adc.columns_per_adc,
    )


def test_a_node_overrides_the_macro() -> None:
    node = conv_node(w_bits=4, x_bits=4, adc_bits=3, range_policy="column", encoding="offset")
    found = numerics_of(node, MACRO)
    assert found is not None
    assert (found.adc_bits, found.range_policy, found.encoding) == (3, "column", "offset")


@pytest.mark.parametrize("macro", [MACRO, None])
def test_a_digital_layer_is_exact(macro: Any) -> None:
    found = numerics_of(conv_node(w_bits=8, x_bits=8, placement="digital"), macro)
    assert found == LayerNumerics(8, 8)
    assert not found.analog


def test_a_digital_macro_is_exact() -> None:
    found = numerics_of(conv_node(w_bits=4, x_bits=4), DIGITAL)
    assert found is not None
    assert not found.analog
    assert found.adc_sigma == found.cell_sigma == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w_bits": 1, "x_bits": 4}, "conv: w_bits: found 1; allowed is 2 to 16"),
        ({"w_bits": 33, "x_bits": 4}, "conv: w_bits: found 33; allowed is 2 to 16"),
        ({"w_bits": 4, "x_bits": 0}, "conv: x_bits: found 0; allowed is 1 to 16"),
        ({"w_bits": 4, "x_bits": 1, "x_signed": True}, "x_bits: found 1; allowed is 2 to 16"),
        ({"w_bits": 4, "x_bits": 4, "adc_bits": 17}, "adc_bits: found 17; allowed is 1 to 16"),
    ],
)
def test_bits_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(HardwareError, match=message):
        numerics_of(conv_node(**changes), MACRO)


def test_cim_needs_a_macro() -> None:
    with pytest.raises(HardwareError, match="without a macro allowed is digital"):
        numerics_of(conv_node(w_bits=4, x_bits=4), None)


def test_twos_complement_needs_cells_of_one_bit() -> None:
    macro = load_hardware("macros/wan_nature_2022").macro
    with pytest.raises(HardwareError, match="twos_complement needs cells of 1 bit"):
        numerics_of(conv_node(w_bits=4, x_bits=4, encoding="twos_complement"), macro)


def test_signed_inputs_need_a_dac_of_one_bit() -> None:
    with pytest.raises(HardwareError, match="found dac_bits 2; allowed is 1"):
        analog(x_signed=True, dac_bits=2)


def test_planes_and_slices() -> None:
    assert analog(x_bits=5, dac_bits=2).plane_weights == (1, 4, 16)
    assert analog(x_bits=4, x_signed=True).plane_weights == (1, 2, 4, -8)
    assert analog("offset", w_bits=5, cell_bits=2).slice_weights == (1, 4, 16)
    assert analog("twos_complement").slice_weights == (1, 2, 4, -8)
    assert analog("differential", cell_bits=3).slice_weights == (1,)
    assert analog("differential_digital", w_bits=8, cell_bits=3).slice_weights == (1, 8, 64)


def test_noise_in_units_of_codes() -> None:
    # One slice of 3 bits in a pair: 0.1 of 7 levels, twice.
    pair = analog("differential", cell_bits=3, cell_sigma_frac=0.1)
    assert pair.cell_sigma == pytest.approx(0.1 * 7 * 2**0.5)
    # Bits of weight 1, 2, 4, 8 with one cell each.
    bits = analog("twos_complement", cell_sigma_frac=0.1)
    assert bits.cell_sigma == pytest.approx(0.1 * (1 + 4 + 16 + 64) ** 0.5)
    # A hundredth of 64 rows, whatever the converter's bits or range.
    assert analog(adc_sigma_frac=0.01, adc_bits=3).adc_sigma == pytest.approx(0.64)
    assert analog("differential", adc_sigma_frac=0.01).adc_sigma == pytest.approx(1.28)
