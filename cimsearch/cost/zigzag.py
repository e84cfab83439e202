"""ZigZag-IMC's macro model as a preset of ours: the same macro, the same energy, clock and area.

ZigZag-IMC (J. Sun et al., KU Leuven MICAS; package zigzag-dse 3.9.1, MIT licence) prices one clock
cycle of an array of ``rows`` (its dimension D2) x ``outputs`` (D1) units in closed form. A unit
holds the bits of a weight side by side. The equations are its own, written anew from our gate
counts, and the constants are its 28 nm set.

It shares with our model: full adder, register and 1-bit multiplier gates, adder trees, place-value
adders, accumulator width, the capacitive ADC, DAC and bitline energy, the delay of adder trees.
It differs, as stated here, in:

- Peak: every row, column and bank works in every cycle, on data that switch every gate. We price
  the rows, columns and data of a layer.
- Clock: the delays of all parts add up. We let shift-and-add overlap with the next array call.
- ADC delay grows with the rows of a bitline as well as with its bits, and ADC area with bits
  alone. A hardware file of ours states both as measured for its converter.
- Digital: ``dac_bits`` of an activation have an adder tree each, at work in the same cycle and
  followed by place-value adders. We price a tree for each bit and cycle, and no place-value
  adders.
- Adder trees of a layer with fewer rows switch only where operands come in. Ours span all active
  rows.
- Accumulators are there only where activations come in more than one cycle, one an output. We
  price one always, as row groups need it too, and lay out one a converter.
- Multiplier: a gate a stored bit that half its input capacitance switches. Ours is the wordline
  load in an analog macro, and a gate of the cell in a digital one.
- Drivers, sampling, wiring, control and leakage cost nothing. In ours a hardware file states them.

Precharging local bitlines is left out, as in ZigZag-IMC's own peak figures: it is paid when the
weight in use changes, which is the mapping's doing and not the macro's.
"""

from dataclasses import astuple, dataclass
from math import log2

import numpy as np

from cimsearch.cost.logic import (
    AND_CAPS,
    CARRY_DELAYS,
    FULL_ADDER_AREAS,
    FULL_ADDER_CAPS,
    REGISTER_AREAS,
    XOR_DELAYS,
    adder_caps,
    nand_ns,
    sum_bits,
    tree_adders,
    tree_caps,
)
from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import Technology

ZIGZAG_28NM = Technology(
    node_nm=28.0,
    vdd_v=0.9,
    nand2_cap_ff=0.7,
    nand2_area_um2=0.614,
    nand2_delay_ps=47.8,
    sram_bit_area_um2=0.22,
    leakage_uw_per_mm2=0.0,
    delay_voltage_exponent=1.3,
)
"""ZigZag-IMC's gate constants; the last three fields are not in it and not used by the preset."""

BITLINE_CAP_FF = 0.35
"""Load of a unit's bit on its bitline: half a NAND input."""

DAC_CAP_FF_PER_BIT = 50.0
ADC_K1_FF = 100.0
ADC_K2_FF = 1e-3
ADC_NS_PER_BIT = 0.640
ADC_NS_PER_BIT_AND_ROW = 0.00653

ADC_AREA_SLOPE = -0.0369
ADC_AREA_LOG_UM2 = 1.206
"""An ADC of ``b`` bits covers ``10 ** (slope * b + log) * 2**b`` um2; one of 1 bit nothing."""

_PJ_PER_FJ = 1e-3


@dataclass(frozen=True)
class ZigZagArray:
    """The inputs of ZigZag-IMC's macro model.

    Attributes:
        analog: Whether bitlines add charge into ADCs, or adder trees add bits.
        rows: Units that one sum spans (D2); a power of two if digital.
        outputs: Units side by side, each with a result of its own (D1).
        w_bits: Bits of a weight: a power of two.
        x_bits: Bits of an activation: a power of two.
        dac_bits: Bits of an activation applied in one cycle (``bit_serial_precision``): a power
            of two, ``x_bits`` at most.
        adc_bits: Resolution of the ADCs, one a column; 0 if digital.
        banks: Arrays that work in parallel (product of D3 and above).
        depth: Weights that a unit stores, one of them in use (``cells_size / w_bits``).
        unit_area_um2: Area of the cells of a unit.

    Raises:
        HardwareError: A number that the model has no equation for.
    """

    analog: bool
    rows: int
    outputs: int
    w_bits: int
    x_bits: int
    dac_bits: int
    adc_bits: int = 0
    banks: int = 1
    depth: int = 1
    unit_area_um2: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rows", "outputs", "banks", "depth"):
            self._check(name, "at least 1", fits=getattr(self, name) >= 1)
        powers = ["w_bits", "x_bits", "dac_bits"]
        for name in powers if self.analog else [*powers, "rows"]:
            value = getattr(self, name)
            self._check(name, "a power of two", fits=value >= 1 and value & (value - 1) == 0)
        self._check("rows", "at least 2 if digital", fits=self.analog or self.rows > 1)
        self._check("dac_bits", f"1 to x_bits = {self.x_bits}", fits=self.dac_bits <= self.x_bits)
        low, high = (1, 16) if self.analog else (0, 0)
        allowed = f"{low} to {high}" if self.analog else "0 if digital"
        self._check("adc_bits", allowed, fits=low <= self.adc_bits <= high)
        self._check("unit_area_um2", "at least 0", fits=self.unit_area_um2 >= 0)

    def _check(self, name: str, allowed: str, *, fits: bool) -> None:
        if not fits:
            raise HardwareError(f"{name}: found {getattr(self, name)}; allowed is {allowed}")

    @property
    def gates(self) -> int:
        """Multipliers a stored bit, and trees an output if digital: one a bit of the input."""
        return 1 if self.analog else self.dac_bits

    @property
    def code_bits(self) -> int:
        """Bits that a bitline or an adder tree delivers."""
        return self.adc_bits if self.analog else self.w_bits + sum_bits(self.rows)

    @property
    def lines(self) -> int:
        """Codes that place-value adders put together into a result."""
        return self.w_bits if self.analog else self.dac_bits

    @property
    def accumulator_bits(self) -> int:
        """Bits of an output's accumulator; 0 where one cycle does."""
        if self.dac_bits == self.x_bits:
            return 0
        summed = self.adc_bits if self.analog else sum_bits(self.rows)
        return summed + self.x_bits + self.w_bits

    @property
    def place_adders(self) -> float:
        """Full adders of an output that add its codes, each of twice the value before."""
        if self.lines == 1:
            return 0.0
        return self.code_bits * (self.lines - 1) + self.lines * (log2(self.lines) - 0.5)


@dataclass(frozen=True)
class Parts:
    """An amount by component. ``cells`` are the bitlines in an energy, the cells in an area."""

    cells: float
    dac: float
    multiplier: float
    adc: float
    adder_tree: float
    place_adders: float
    accumulator: float

    @property
    def total(self) -> float:
        """The sum over components."""
        return float(sum(astuple(self)))


@dataclass(frozen=True)
class ZigZagCosts:
    """A macro's energy per cycle in pJ, the delays in ns that fill the cycle, and area in um2."""

    energy_pj: Parts
    delay_ns: Parts
    area_um2: Parts

    @property
    def clock_ns(self) -> float:
        """The clock period."""
        return self.delay_ns.total


def zigzag_costs(array: ZigZagArray) -> ZigZagCosts:
    """Return the peak energy per cycle, the clock and the area that ZigZag-IMC gives ``array``."""
    return ZigZagCosts(
        energy_pj=_of_banks(cycle_pj(array, rows=array.rows, outputs=array.outputs), array.banks),
        delay_ns=_delay_ns(array),
        area_um2=_of_banks(_bank_um2(array), array.banks),
    )


def cycle_pj(array: ZigZagArray, *, rows: int, outputs: float) -> Parts:
    """Return the energy of a cycle in which ``rows`` x ``outputs`` units of one bank work.

    The multipliers of a driven row switch in all columns, and the bitline of a used column along
    all rows. Digital multipliers switch everywhere; adder trees where operands come in.
    """
    columns = outputs * array.w_bits if array.analog else 0.0
    cap_pj = ZIGZAG_28NM.vdd_v**2 * _PJ_PER_FJ
    nand_pj = ZIGZAG_28NM.nand2_cap_ff * cap_pj
    multiplying = rows if array.analog else array.rows
    multipliers = multiplying * array.outputs * array.w_bits * array.gates
    dac_ff = DAC_CAP_FF_PER_BIT * array.dac_bits if array.analog and array.dac_bits > 1 else 0.0
    adc_ff = ADC_K1_FF * array.adc_bits + ADC_K2_FF * 4**array.adc_bits
    tree = 0.0 if array.analog else array.gates * _tree_caps(rows, array)
    return Parts(
        cells=columns * array.rows * BITLINE_CAP_FF * cap_pj,
        dac=rows * dac_ff * cap_pj,
        multiplier=multipliers * AND_CAPS * nand_pj,
        adc=columns * adc_ff * cap_pj,
        adder_tree=outputs * tree * nand_pj,
        place_adders=outputs * array.place_adders * FULL_ADDER_CAPS * nand_pj,
        accumulator=outputs * adder_caps(array.accumulator_bits) * nand_pj,
    )


def _tree_caps(rows: int, array: ZigZagArray) -> float:
    operands, bits = np.array([[rows], [array.w_bits]], dtype=float)
    return float(tree_caps(operands, bits, array.rows)[0])


def adc_ns_per_bit(array: ZigZagArray) -> float:
    """Return the time an ADC of ``array`` takes for a bit: its bitline is as long as its rows."""
    return ADC_NS_PER_BIT + ADC_NS_PER_BIT_AND_ROW * array.rows


def adc_um2(array: ZigZagArray) -> float:
    """Return the area of one ADC of ``array``: a law fitted by its authors to three papers."""
    bits = array.adc_bits
    return float(10 ** (ADC_AREA_SLOPE * bits + ADC_AREA_LOG_UM2) * 2**bits) if bits > 1 else 0.0


def _delay_ns(array: ZigZagArray) -> Parts:
    nand = nand_ns(ZIGZAG_28NM, ZIGZAG_28NM.vdd_v)
    levels = sum_bits(array.rows)
    tree = 0.0 if array.analog else _ripple(levels, array.w_bits + levels - 2)
    several = array.lines > 1
    place = _ripple(log2(array.lines), array.lines - 1) if several else 0.0
    placed_bits = array.code_bits + (array.lines if several else 0)
    width = array.accumulator_bits
    return Parts(
        cells=0.0,
        dac=0.0,
        multiplier=nand,
        adc=array.adc_bits * adc_ns_per_bit(array),
        adder_tree=tree * nand,
        place_adders=place * nand,
        accumulator=_ripple(1, width - placed_bits - 1) * nand if width else 0.0,
    )


def _bank_um2(array: ZigZagArray) -> Parts:
    nand, units = ZIGZAG_28NM.nand2_area_um2, array.rows * array.outputs
    adders = array.outputs * FULL_ADDER_AREAS * nand
    tree = 0.0 if array.analog else array.gates * tree_adders(array.rows, array.w_bits)
    width = array.outputs * array.accumulator_bits
    return Parts(
        cells=units * array.unit_area_um2,
        dac=0.0,
        multiplier=units * array.w_bits * array.gates * nand,
        adc=array.outputs * array.w_bits * adc_um2(array),
        adder_tree=tree * adders,
        place_adders=array.place_adders * adders,
        accumulator=width * (FULL_ADDER_AREAS + REGISTER_AREAS) * nand,
    )


def _of_banks(parts: Parts, banks: int) -> Parts:
    return Parts(*(part * banks for part in astuple(parts)))


def _ripple(levels: float, carries: int) -> float:
    """Return the NAND delays of ``levels`` ripple-carry adders, then ``carries`` of the last."""
    return (levels - 1) * 2 * XOR_DELAYS + XOR_DELAYS + CARRY_DELAYS + carries * CARRY_DELAYS
