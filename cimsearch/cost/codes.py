"""The codes of a layer's inputs and weights: planes, slices, and moments of independent bits.

Bits are asked ones, as the numerics apply and store them.
"""

from dataclasses import dataclass, replace
from typing import Any

from cimsearch.cost.demand import DIFFERENTIAL, DIFFERENTIAL_DIGITAL, Demand
from cimsearch.cost.layer_integers import full_scale
from cimsearch.cost.mapping import Mapping
from cimsearch.cost.namespace import Array, at_least, at_most, ceil_div, namespace_of, pow2
from cimsearch.layer_table import LayerTable
from cimsearch.spec.hardware import Macro


@dataclass(frozen=True)
class Converted:
    """Nodes that are all on arrays of a macro with converters, arrays (n, nodes).

    Attributes:
        table: The nodes.
        demand: Their settings.
        mapping: Their mapping to arrays.
        macro: What they run on.
        activity: Share of input bits that are 1.
        density: Share of stored weight bits that are 1.
    """

    table: LayerTable
    demand: Demand
    mapping: Mapping
    macro: Macro
    activity: Array
    density: Array

    @property
    def xp(self) -> Any:
        """The functions that work on these arrays."""
        return namespace_of(self.table.op)


@dataclass(frozen=True)
class Moments:
    """Means of independent values, their squares, cubes and sizes, and the largest value."""

    mean: Array
    square: Array
    cube: Array
    size: Array
    most: Array

    @property
    def variance(self) -> Array:
        """Mean square around the mean."""
        return at_least(self.square - self.mean**2, 0.0)

    @property
    def third(self) -> Array:
        """Mean cube around the mean."""
        return self.cube - 3 * self.mean * self.square + 2 * self.mean**3

    def times(self, other: "Moments") -> "Moments":
        """Return the moments of products of independent values."""
        return Moments(
            self.mean * other.mean,
            self.square * other.square,
            self.cube * other.cube,
            self.size * other.size,
            self.most * other.most,
        )


@dataclass(frozen=True)
class Part:
    """Alike planes, or alike slices: their values, how many, and the sum of squared weights."""

    values: Moments
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
        halves: 1 where the two columns of a pair are converted apart, with one range.
    """

    planes: tuple[Part, Part]
    slices: tuple[Part, Part]
    input_power: Array
    weight_power: Array
    cell_power: Array
    signed: Array
    halves: Array


def _bits(bits: Array, ones: Array) -> Moments:
    """Return the moments of numbers of ``bits`` independent bits."""
    most = pow2(bits) - 1
    mean, spread = ones * most, ones * (1 - ones) * (pow2(2 * bits) - 1) / 3
    third = ones * (1 - ones) * (1 - 2 * ones) * (pow2(3 * bits) - 1) / 7
    return Moments(mean, spread + mean**2, third + 3 * mean * spread + mean**3, mean, most)


def _split(bits: Array, at_once: int, ones: Array) -> tuple[Part, Part]:
    """Return the full parts of ``at_once`` bits of a code, and the last part."""
    parts = ceil_div(bits, at_once)
    before = at_once * (parts - 1)
    last = pow2(2 * before)
    full = (last - 1) / (4**at_once - 1)
    return (
        Part(_bits(at_once + 0.0 * bits, ones), parts - 1, full),
        Part(_bits(bits - before, ones), 1 + 0.0 * bits, last),
    )


def codes_of(nodes: Converted) -> Codes:
    """Return the codes of a layer, of the bits that are asked for."""
    table, demand, macro = nodes.table, nodes.demand, nodes.macro
    signed = 1.0 * (demand.encoding == DIFFERENTIAL)
    halves = 1.0 * (demand.encoding == DIFFERENTIAL_DIGITAL)
    pair = signed + halves
    stored = at_least(table.w_bits - pair, 1.0)
    # A magnitude is stored on one side of a pair: its bits are 1 twice as often as the pair's.
    ones = at_most(nodes.density * (1 + pair), 1.0)
    inputs, weight = _bits(table.x_bits, nodes.activity), _bits(stored, ones)
    slices = _split(stored, macro.array.cell_bits, ones)
    level = 2**macro.array.cell_bits - 1
    return Codes(
        planes=_split(table.x_bits, macro.input.dac_bits, nodes.activity),
        slices=(
            replace(slices[0], values=_as_stored(slices[0].values, signed, halves)),
            replace(slices[1], values=_as_stored(slices[1].values, signed, halves)),
        ),
        # The bits of a signed code weigh -1 in sum: independent ones have no mean to speak of.
        input_power=nodes.xp.where(table.x_signed == 1, inputs.variance, inputs.square),
        # The mean of unpaired codes is that of the bits' model, not of weights: it carries none.
        weight_power=nodes.xp.where(
            pair > 0, weight.square, weight.variance * _symmetric(table.w_bits)
        ),
        cell_power=(1 + pair) * level**2 * (slices[0].power + slices[1].power),
        signed=signed,
        halves=halves,
    )


def _symmetric(bits: Array) -> Array:
    """Return the variance of uniform codes without the lowest, as a share of that with it."""
    codes = pow2(bits)
    share: Array = namespace_of(codes).where(bits > 1, codes * (codes - 2) / (codes**2 - 1), 1.0)
    return share


def _as_stored(values: Moments, signed: Array, halves: Array) -> Moments:
    """Return the moments in a column: the sign of a pair's magnitude is either, equally often."""
    side, stays = 1 - 0.5 * halves, 1 - signed
    return Moments(
        values.mean * stays * side,
        values.square * side,
        values.cube * stays * side,
        values.size * side,
        values.most,
    )


def range_of(nodes: Converted, codes: Codes) -> tuple[Array, Array]:
    """Return the width of the range of all active rows, and its lowest sum."""
    macro = nodes.macro
    most = full_scale(
        macro.array.active_rows, macro.input.dac_bits, macro.array.cell_bits, signed=False
    )
    return most * (1 + codes.signed), -most * codes.signed
