"""What one layer computes on one macro: bits, planes, slices, row groups' size, noise. No torch.

Symbols follow the exact function of a crossbar: input planes of weight ``cb`` and weight slices of
weight ``cs`` meet in partial sums ``P``, one conversion each, and ``sum cb * cs * P`` is the
integer product (plus a digital correction for the offset encoding).
"""

from dataclasses import dataclass
from functools import cached_property
from math import hypot

from cimsearch.cim.coding import plane_weights, slice_weights, stored_offset
from cimsearch.cost.layer_integers import full_scale
from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import (
    Accumulator,
    ChargeCell,
    Drive,
    Encoding,
    Macro,
    Packing,
    RangePolicy,
    ResistiveCell,
)

MAX_BITS = 16
BOLTZMANN_J_PER_K = 1.380649e-23
ABSOLUTE_ZERO_C = -273.15


def code_limits(bits: int, *, signed: bool) -> tuple[int, int]:
    """Return the smallest and largest code of ``bits``, in two's complement if ``signed``."""
    if signed:
        half = int(2 ** (bits - 1))
        return -half, half - 1
    return 0, int(2**bits) - 1


def check_input_bits(bits: int, *, signed: bool) -> None:
    """Check that values can be quantised to ``bits``.

    Raises:
        HardwareError: The bits are out of range.
    """
    _within("x_bits", bits, 2 if signed else 1)


@dataclass(frozen=True)
class LayerNumerics:
    """Resolved numerics of one quantised layer.

    Attributes:
        w_bits: Weight bits; codes are -(2**(w_bits-1) - 1) to 2**(w_bits-1) - 1.
        x_bits: Bits of the input codes.
        x_signed: Two's complement inputs; else 0 to 2**x_bits - 1.
        analog: Whether partial sums pass a converter; if not, the layer is exact in integers.
        encoding: How signed weights are stored.
        range_policy: How the converter's range is chosen.
        adc_bits: Converter bits.
        dac_bits: Input bits applied at once.
        cell_bits: Bits of one cell.
        rows: Wordlines of an array.
        active_rows: Wordlines driven at once: the rows of one conversion.
        packing: Whether a tile uses every row of an array or as many whole kernels as fit.
        cell_sigma_frac: Spread of a cell, as a fraction of its full-scale level.
        adc_sigma_frac: Noise of a conversion, as a fraction of the full scale of the active rows.
        cols: Bitlines of an array.
        columns_per_adc: Bitlines that share a converter.
        accumulator: The register of the sums; None if it is wide enough.
        drive: How planes of several bits are applied: as levels, or as one pulse a bit.
        macro: Where the macro's noise has more than these two: the macro, with all its effects.
        row_sparsity_ppm: Share of row groups without weights, in millionths.
    """

    w_bits: int
    x_bits: int
    x_signed: bool = False
    analog: bool = False
    encoding: Encoding = "twos_complement"
    range_policy: RangePolicy = "full_scale"
    adc_bits: int = 0
    dac_bits: int = 1
    cell_bits: int = 1
    rows: int = 1
    active_rows: int = 1
    packing: Packing = "dense"
    cell_sigma_frac: float = 0.0
    adc_sigma_frac: float = 0.0
    cols: int = 1
    columns_per_adc: int = 1
    accumulator: Accumulator | None = None
    drive: Drive = "levels"
    macro: Macro | None = None
    row_sparsity_ppm: int = 0

    def __post_init__(self) -> None:
        _within("w_bits", self.w_bits, 2)
        check_input_bits(self.x_bits, signed=self.x_signed)
        if self.analog:
            _within("adc_bits", self.adc_bits, 1)
            if self.x_signed and self.dac_bits > 1:
                raise HardwareError(
                    f"signed inputs: found dac_bits {self.dac_bits}; allowed is 1, as the sign "
                    "bit is a plane of its own"
                )
            if self.accumulator and self.range_policy == "column":
                raise HardwareError(
                    "accumulator: found one beside range_policy column; allowed is full_scale or "
                    "layer, as codes of several steps do not add up in one register"
                )

    @property
    def x_limits(self) -> tuple[int, int]:
        """Smallest and largest input code."""
        return code_limits(self.x_bits, signed=self.x_signed)

    @property
    def w_limit(self) -> int:
        """Largest weight code; the smallest is its negative."""
        return int(2 ** (self.w_bits - 1)) - 1

    @property
    def offset(self) -> int:
        """What is added to a weight code before it is stored."""
        return stored_offset(self.w_bits, self.encoding)

    @cached_property
    def plane_weights(self) -> tuple[int, ...]:
        """``cb`` of each input plane, from the least significant."""
        return plane_weights(self.x_bits, self.dac_bits, signed=self.x_signed)

    @property
    def pulses(self) -> int:
        """Times that a wordline is pulsed for one activation, as the cost model counts them."""
        by_bit = self.drive == "pulses" or not self.analog
        return self.x_bits if by_bit else len(self.plane_weights)

    @cached_property
    def slice_weights(self) -> tuple[int, ...]:
        """``cs`` of each weight slice, from the least significant."""
        return slice_weights(self.w_bits, self.cell_bits, self.encoding)

    @property
    def plane_power(self) -> int:
        """``sum cb**2``: how the error of one plane's conversion adds up over planes."""
        return sum(cb * cb for cb in self.plane_weights)

    @property
    def conversions(self) -> int:
        """Conversions of one partial sum: 2 where two halves are subtracted digitally."""
        return 2 if self.encoding == "differential_digital" else 1

    @property
    def full_scale(self) -> int:
        """Span of a partial sum of all active rows, in units of a cell level times a DAC step.

        Inputs of fewer bits than the DAC's use a part of it: their signal shrinks, the noise of a
        conversion does not.
        """
        signed = self.encoding == "differential"
        return full_scale(self.active_rows, self.dac_bits, self.cell_bits, signed=signed)

    @property
    def lowest_sum(self) -> int:
        """Smallest partial sum of all active rows."""
        return -self.full_scale // 2 if self.encoding == "differential" else 0

    @property
    def largest_sum(self) -> float:
        """Largest magnitude of a partial sum of all active rows."""
        return self.full_scale / 2 if self.encoding == "differential" else float(self.full_scale)

    @property
    def adc_sigma(self) -> float:
        """Fresh noise of one conversion in units of a partial sum, of all kinds together."""
        shares = [self.adc_sigma_frac]
        if self.macro is not None:
            noise = self.macro.noise
            shares += [noise.adc.thermal_frac] if noise.adc else []
            if noise.sram and noise.sram.ktc:
                # The columns of a pair have half the span of their difference, and noise each.
                pair = 2**0.5 if self.encoding == "differential" else 1.0
                shares.append(_ktc_frac(self.macro) / pair)
        return hypot(*shares) * self.full_scale

    @property
    def equivalent_sigma(self) -> float:
        """That noise, with a converter's offset and nonlinearity as if they were fresh."""
        adc = self.macro.noise.adc if self.macro else None
        static = hypot(adc.offset_frac, adc.inl_frac) * self.full_scale if adc else 0.0
        return hypot(self.adc_sigma, static)

    @property
    def least_lsb(self) -> float:
        """Smallest step of a fitted range, in units of a partial sum."""
        adc = self.macro.noise.adc if self.macro else None
        return max(1.0, adc.min_lsb_frac * self.full_scale if adc else 0.0)

    @property
    def leakage(self) -> float:
        """What a cell adds at level 0 for each unit of input, in levels, taken off digitally."""
        if self.macro is None or self.macro.noise.off_current != "digital":
            return 0.0
        if not isinstance(self.macro.cell, ResistiveCell):
            return 0.0
        return float(2**self.cell_bits - 1) / (self.macro.cell.on_off_ratio - 1)

    @property
    def correction(self) -> float:
        """What is taken off the product for each unit of input, in units of a weight code."""
        return self.offset + self.leakage * sum(self.slice_weights)

    @property
    def stored_sigma(self) -> float:
        """Spread of one stored slice, a cell or a pair that is read as one, in cell levels."""
        pair = 2 if self.encoding == "differential" else 1
        return float(self.cell_sigma_frac * (2**self.cell_bits - 1) * pair**0.5)

    @property
    def cell_sigma(self) -> float:
        """Spread of one weight in units of its code.

        Each slice is a cell of its own (two for a differential pair), and an error of the cell's
        full-scale level ``2**cell_bits - 1`` weighs ``cs``.
        """
        pair = 2 if self.encoding.startswith("differential") else 1
        power = pair * sum(cs * cs for cs in self.slice_weights)
        return float(self.cell_sigma_frac * (2**self.cell_bits - 1) * power**0.5)


def _ktc_frac(macro: Macro) -> float:
    """Return thermal noise of the charge of all active rows, as a fraction of the supply.

    sqrt(k T / C) of the capacitors together (Gonugondla et al., arXiv 2012.13645).
    """
    if not isinstance(macro.cell, ChargeCell):
        return 0.0
    farad = macro.array.active_rows * macro.cell.cap_ff * 1e-15
    kelvin = macro.temperature_c - ABSOLUTE_ZERO_C
    return float((BOLTZMANN_J_PER_K * kelvin / farad) ** 0.5 / macro.supply_v)


def _within(name: str, bits: int, least: int) -> None:
    if not least <= bits <= MAX_BITS:
        raise HardwareError(f"{name}: found {bits}; allowed is {least} to {MAX_BITS}")
