"""An array of ZigZag-IMC as a macro of ours, so that networks can be priced on it."""

from cimsearch.cost.logic import AND_CAPS, nand_ns
from cimsearch.cost.zigzag import (
    ADC_K1_FF,
    ADC_K2_FF,
    BITLINE_CAP_FF,
    DAC_CAP_FF_PER_BIT,
    ZIGZAG_28NM,
    ZigZagArray,
    adc_ns_per_bit,
    adc_um2,
)
from cimsearch.spec.hardware import (
    Adc,
    Array,
    CapacitiveAdc,
    ChargeCell,
    DigitalCell,
    Input,
    Macro,
    Weights,
)

_NEXT_TO_NOTHING = 1e-9
"""For a part that ZigZag-IMC does not have and our specification wants above zero."""


def zigzag_macro(array: ZigZagArray) -> Macro:
    """Return one bank of ``array`` as a macro of ours, to price networks on.

    With every row and column in use, activity and density 1, and activations of ``x_bits`` applied
    in more than one cycle, its energy is that of ``zigzag_costs`` but for the differences that
    this module lists. Weights are stored in two's complement, which costs nothing more.
    """
    gate_um2 = array.gates * ZIGZAG_28NM.nand2_area_um2
    multiplier_ff = AND_CAPS * ZIGZAG_28NM.nand2_cap_ff
    nand = nand_ns(ZIGZAG_28NM, ZIGZAG_28NM.vdd_v)
    return Macro(
        device="sram",
        compute_model="QS" if array.analog else "digital",
        technology=ZIGZAG_28NM,
        supply_v=ZIGZAG_28NM.vdd_v,
        array=Array(
            rows=array.rows * array.depth,
            cols=array.outputs * array.w_bits,
            active_rows=array.rows,
            cell_bits=1,
            cell_area_um2=(array.unit_area_um2 / array.w_bits + gate_um2) / array.depth,
            # The weights of a unit share its load on the bitline.
            bitline_cap_ff_per_cell=BITLINE_CAP_FF / array.depth if array.analog else 0.0,
            write_pj_per_cell=0.0,
            write_ns_per_row=0.0,
            gating=("columns",) if array.analog else ("rows", "columns"),
        ),
        cell=ChargeCell(kind="charge", cap_ff=_NEXT_TO_NOTHING)
        if array.analog
        else DigitalCell(kind="digital", gate_cap_ff=multiplier_ff * array.gates),
        weights=Weights(encoding="twos_complement", max_bits=array.w_bits),
        input=Input(
            dac_bits=array.dac_bits,
            max_bits=array.x_bits,
            wordline_cap_ff_per_cell=multiplier_ff if array.analog else _NEXT_TO_NOTHING,
            wordline_v=ZIGZAG_28NM.vdd_v,
            dac_cap_ff_per_bit=DAC_CAP_FF_PER_BIT if array.analog else 0.0,
            driver_area_um2=0.0,
            settle_ns=nand,
        ),
        adc=_adc(array) if array.analog else None,
        logic_factor=1.0,
        control_frac=0.0,
    )


def _adc(array: ZigZagArray) -> Adc:
    return Adc(
        bits=array.adc_bits,
        columns_per_adc=1,
        range_policy="full_scale",
        model=CapacitiveAdc(
            kind="capacitive",
            k1_ff=ADC_K1_FF,
            k2_ff=ADC_K2_FF,
            ns_per_bit=adc_ns_per_bit(array),
            # Our specification wants an area above zero, which a 1-bit converter has not here.
            area_um2=adc_um2(array) or _NEXT_TO_NOTHING,
        ),
    )
