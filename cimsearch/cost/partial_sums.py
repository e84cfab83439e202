"""The partial sums of a layer of independent bits: their planes, slices and row groups; moments.

Bits are asked ones, as the numerics apply and store them.
"""

from dataclasses import dataclass, replace

from cimsearch.cost.conversion import Sums
from cimsearch.cost.demand import DIFFERENTIAL, DIFFERENTIAL_DIGITAL
from cimsearch.cost.layers import Layers
from cimsearch.cost.mapping import full_scale
from cimsearch.cost.namespace import (
    Array,
    at_least,
    at_most,
    ceil_div,
    pow2,
)


@dataclass(frozen=True)
class _Moments:
    """Mean and mean square of independent values, and the largest of them."""

    mean: Array
    square: Array
    most: Array

    @property
    def variance(self) -> Array:
        """Mean square around the mean."""
        return at_least(self.square - self.mean**2, 0.0)


@dataclass(frozen=True)
class _Part:
    """Alike planes, or alike slices: their values, how many, and the sum of squared weights."""

    values: _Moments
    count: Array
    power: Array


@dataclass(frozen=True)
class Codes:
    """The codes of a layer.

    Attributes:
        planes: Full input planes, and the last one.
        slices: Full weight slices, and the last one.
        input_power: Mean square of an input code.
        weight_power: Variance of a weight code.
        cell_power: Variance of a weight for cells that err by their full-scale level.
        signed: 1 where the sum of a pair is converted at once.
        conversions: Conversions of one sum.
    """

    planes: tuple[_Part, _Part]
    slices: tuple[_Part, _Part]
    input_power: Array
    weight_power: Array
    cell_power: Array
    signed: Array
    conversions: Array


def _bits(bits: Array, ones: Array) -> _Moments:
    """Return the moments of numbers of ``bits`` independent bits."""
    most = pow2(bits) - 1
    spread = ones * (1 - ones) * (pow2(2 * bits) - 1) / 3
    return _Moments(ones * most, spread + (ones * most) ** 2, most)


def _split(bits: Array, at_once: int, ones: Array) -> tuple[_Part, _Part]:
    """Return the full parts of ``at_once`` bits of a code, and the last part."""
    parts = ceil_div(bits, at_once)
    before = at_once * (parts - 1)
    last = pow2(2 * before)
    full = (last - 1) / (4**at_once - 1)
    return (
        _Part(_bits(at_once + 0.0 * bits, ones), parts - 1, full),
        _Part(_bits(bits - before, ones), 1 + 0.0 * bits, last),
    )


def codes_of(layers: Layers) -> Codes:
    """Return the codes of a layer, of the bits that are asked for."""
    table, demand, macro = layers.table, layers.demand, layers.hardware.macro
    signed = 1.0 * (demand.encoding == DIFFERENTIAL)
    halves = 1.0 * (demand.encoding == DIFFERENTIAL_DIGITAL)
    pair = signed + halves
    stored = at_least(table.w_bits - pair, 1.0)
    # A magnitude is stored on one side of a pair: its bits are 1 twice as often as the pair's.
    ones = at_most(layers.density * (1 + pair), 1.0)
    inputs, weight = _bits(table.x_bits, layers.activity), _bits(stored, ones)
    slices = _split(stored, macro.array.cell_bits, ones)
    level = 2**macro.array.cell_bits - 1
    return Codes(
        planes=_split(table.x_bits, macro.input.dac_bits, layers.activity),
        slices=(
            replace(slices[0], values=_as_stored(slices[0].values, signed, halves)),
            replace(slices[1], values=_as_stored(slices[1].values, signed, halves)),
        ),
        # The bits of a signed code weigh -1 in sum: independent ones have no mean to speak of.
        input_power=layers.xp.where(table.x_signed == 1, inputs.variance, inputs.square),
        # The mean of unpaired codes is that of the bits' model, not of weights: it carries none.
        weight_power=layers.xp.where(pair > 0, weight.square, weight.variance),
        cell_power=(1 + pair) * level**2 * (slices[0].power + slices[1].power),
        signed=signed,
        conversions=1 + halves,
    )


def _as_stored(values: _Moments, signed: Array, halves: Array) -> _Moments:
    """Return the moments in a column: the sign of a pair's magnitude is either, equally often."""
    mean = values.mean * (1 - signed) * (1 - 0.5 * halves)
    return _Moments(mean, values.square * (1 - 0.5 * halves), values.most)


def range_of(layers: Layers) -> tuple[Array, Array]:
    """Return the width of the range of all active rows, and its lowest sum."""
    macro = layers.hardware.macro
    most = full_scale(
        macro.array.active_rows, macro.input.dac_bits, macro.array.cell_bits, signed=False
    )
    signed = 1.0 * (layers.demand.encoding == DIFFERENTIAL)
    return most * (1 + signed), -most * signed


def sums_of(layers: Layers, codes: Codes) -> list[Sums]:
    """Return the partial sums of a layer, by rows, planes and slices."""
    active_rows = layers.hardware.macro.array.active_rows
    found = []
    for size, groups in layers.mapping.row_group_sizes(active_rows):
        # Where there is none, one row keeps the moments finite; it counts for nothing.
        rows = at_least(size, 1.0)
        for plane in codes.planes:
            for part in codes.slices:
                x, w = plane.values, part.values
                repeats = groups * codes.conversions
                most = rows * x.most * w.most
                found.append(
                    Sums(
                        mean=rows * x.mean * w.mean,
                        variance=rows * (x.square * w.square - (x.mean * w.mean) ** 2),
                        column_variance=rows * w.square * x.variance,
                        least=-most * codes.signed,
                        most=most,
                        count=repeats * plane.count * part.count,
                        power=repeats * plane.power * part.power,
                    )
                )
    return found
