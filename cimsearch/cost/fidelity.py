"""What the hardware does to the output of each layer before any training, in closed form.

The reference is the integer product of the layer's codes, so a digital layer is lossless. Input
and stored bits are independent, 1 with the shares ``activity_frac`` and ``density_frac``; a
partial sum is then nearly normal by the central limit theorem. Errors of cells and of conversions
are independent and add up through the weights of planes, slices and row groups. Equations,
assumptions and measured agreement are in docs/snr.md.
"""

from dataclasses import dataclass
from functools import partial
from math import log10
from operator import itemgetter

import numpy as np

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost.codes import Converted, codes_of, range_of
from cimsearch.cost.conversion import (
    Range,
    bits_for,
    clipped_share,
    full_range,
    noise_power,
    squared_error,
)
from cimsearch.cost.demand import DIFFERENTIAL, DIFFERENTIAL_DIGITAL, demand_of
from cimsearch.cost.map_table import map_table
from cimsearch.cost.mapping import COLUMN_RANGE, FULL_SCALE, LAYER_RANGE
from cimsearch.cost.namespace import Array, Mask, at_least, namespace_of
from cimsearch.cost.partial_sums import Sums, column_sums, layer_sums, limits
from cimsearch.cost.parts import NodeStatistics, named_statistics
from cimsearch.cost.ranges import fitted_range, seen_ends
from cimsearch.layer_table import layer_table
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

LOSSLESS_NOISE = 1e-8
"""A share of the output's variance that counts as no error at all: 80 dB.

What is left there are sums too rare for the model, and for a data set, to know of.
"""

_LEAST_POWER = 1e-12
"""Signal power that stands for none, so that ratios stay finite."""


@dataclass(frozen=True)
class LayerFidelity:
    """What the hardware does to one layer's output.

    Signal to noise is that of the integer product, dB; None where it is above 80 dB: lossless.

    Attributes:
        name: Of the node.
        snr_db_analog: Against cells and conversion noise alone.
        snr_db_adc: Against the converter's rounding and clipping alone.
        snr_db: Against all of them.
        adc_bits: Converter bits; 0 off the arrays and on a digital macro.
        adc_bits_lossless: Converter bits that lose nothing of a partial sum; 0 without converter.
        adc_clip_fraction: Share of conversions whose partial sum is outside the range.
    """

    name: str
    snr_db_analog: float | None
    snr_db_adc: float | None
    snr_db: float | None
    adc_bits: int
    adc_bits_lossless: int
    adc_clip_fraction: float


@dataclass(frozen=True)
class NodeFidelity:
    """The same for many nodes, arrays (n, nodes): 0 for nodes without a converter.

    Attributes:
        analog_noise: Variance of errors of cells and conversion noise, as a share of the output's.
        adc_noise: Mean square of rounding and clipping, as a share of the output's variance.
        adc_bits: Converter bits.
        adc_bits_lossless: Converter bits that lose nothing.
        adc_clip_fraction: Share of conversions that clip.
    """

    analog_noise: Array
    adc_noise: Array
    adc_bits: Array
    adc_bits_lossless: Array
    adc_clip_fraction: Array


def fidelity(
    network: Blueprint | Node,
    hardware: Hardware,
    statistics: Statistics | NodeStatistics | None = None,
) -> tuple[LayerFidelity, ...]:
    """Return what ``hardware`` does to each layer with weights, in the network's order.

    Args:
        network: The network, or a single layer.
        hardware: What it runs on.
        statistics: Data statistics of the network, or of each node (arrays that broadcast to
            (1, nodes)); those of uniform codes if left out.

    Raises:
        HardwareError: A node asks what the macro cannot do; the node is named.
    """
    if isinstance(network, Node):
        network = Blueprint(network.in_shape, network.out_shape[0], (network,))
    return tuple(layer_fidelities(network, hardware, statistics).values())


def layer_fidelities(
    network: Blueprint, hardware: Hardware, statistics: Statistics | NodeStatistics | None
) -> dict[int, LayerFidelity]:
    """Return the same by the index of each node with weights."""
    nodes = network.nodes
    converted = [
        index for index, node in enumerate(nodes) if node.placement == "cim" and hardware.macro.adc
    ]
    found: dict[int, LayerFidelity] = {}
    if converted:
        data = named_statistics(statistics, [node.name for node in nodes])
        arrays = node_fidelity(_converted(network, converted, hardware, data))
        found = {
            index: _of_layer(arrays, column, nodes[index].name)
            for column, index in enumerate(converted)
        }
    return {
        index: found.get(index, LayerFidelity(node.name, None, None, None, 0, 0, 0.0))
        for index, node in enumerate(nodes)
        if node.has_weights
    }


def _converted(
    network: Blueprint,
    columns: list[int],
    hardware: Hardware,
    data: Statistics | NodeStatistics | None,
) -> Converted:
    """Return the nodes of ``network`` at ``columns``."""
    nodes = network.nodes
    table = layer_table([network]).map(partial(np.asarray, dtype=np.float64))
    part = table.map(itemgetter((slice(None), columns)))
    demand = demand_of(part, hardware, lambda _, column: nodes[columns[column]].name)
    mapping = map_table(part, demand, hardware.macro)
    if data is None:
        # Of the columns of a pair one at most holds a bit of a magnitude.
        pair = np.isin(demand.encoding, (DIFFERENTIAL, DIFFERENTIAL_DIGITAL))
        return Converted(part, demand, mapping, hardware.macro, 0.5 + 0 * pair, 0.5 - 0.25 * pair)
    activity, density = (
        np.broadcast_to(np.asarray(share, dtype=np.float64), (1, len(nodes)))[:, columns]
        for share in (data.activity_frac, data.density_frac)
    )
    return Converted(part, demand, mapping, hardware.macro, activity, density)


def _of_layer(arrays: NodeFidelity, column: int, name: str) -> LayerFidelity:
    analog = float(arrays.analog_noise[0, column])
    adc = float(arrays.adc_noise[0, column])
    return LayerFidelity(
        name=name,
        snr_db_analog=_db(analog),
        snr_db_adc=_db(adc),
        snr_db=_db(analog + adc),
        adc_bits=int(arrays.adc_bits[0, column]),
        adc_bits_lossless=int(arrays.adc_bits_lossless[0, column]),
        adc_clip_fraction=float(arrays.adc_clip_fraction[0, column]),
    )


def _db(noise: float) -> float | None:
    """Return signal to noise in dB, None where there is no noise to speak of."""
    return -10 * log10(noise) if noise > LOSSLESS_NOISE else None


def node_fidelity(nodes: Converted) -> NodeFidelity:
    """Return the fidelity of nodes that are all on arrays of a macro with converters."""
    xp, bits, policy, macro = (
        nodes.xp,
        nodes.demand.adc_bits,
        nodes.demand.range_policy,
        nodes.macro,
    )
    codes = codes_of(nodes)
    scale, lowest = range_of(nodes, codes)
    noise, sums = macro.noise.adc_sigma_frac * scale, layer_sums(nodes, codes)
    converted = _Conversions(0.0 * bits, 0.0 * bits, 0.0 * bits)
    if (fixed := policy == FULL_SCALE).any():
        found = full_range(lowest, scale, bits)
        errors = squared_error(sums, found, bits)
        converted = converted.where(fixed, _conversions(sums, found, errors, bits, noise))
    for index in (LAYER_RANGE, COLUMN_RANGE):
        if (fitted := policy == index).any():
            own = sums if index == LAYER_RANGE else column_sums(nodes, codes)
            found = fitted_range(own, bits)
            errors = squared_error(own, found, bits, seen_ends(own))
            converted = converted.where(fitted, _conversions(own, found, errors, bits, noise))
    rows = nodes.mapping.read_rows
    cells = rows * codes.input_power * codes.cell_power * macro.noise.cell_sigma_frac**2
    signal = at_least(rows * codes.input_power * codes.weight_power, _LEAST_POWER)
    least, most = limits(sums)
    fixed_bits = xp.maximum(bits_for(scale), bits_for(most - lowest + 1))
    return NodeFidelity(
        analog_noise=(cells + converted.noise) / signal,
        adc_noise=converted.rounded / signal,
        adc_bits=bits,
        adc_bits_lossless=at_least(xp.where(fixed, fixed_bits, bits_for(most - least + 1)), 1.0),
        adc_clip_fraction=converted.clipped,
    )


@dataclass(frozen=True)
class _Conversions:
    """What conversions do to outputs (n, nodes): mean squares, and the share that clips."""

    rounded: Array
    clipped: Array
    noise: Array

    def where(self, chosen: Mask, new: "_Conversions") -> "_Conversions":
        """Return this, but ``new`` where ``chosen``."""
        xp = namespace_of(self.noise)
        return _Conversions(
            xp.where(chosen, new.rounded, self.rounded),
            xp.where(chosen, new.clipped, self.clipped),
            xp.where(chosen, new.noise, self.noise),
        )


def _conversions(
    sums: Sums, found: Range, errors: Array, bits: Array, noise: Array
) -> _Conversions:
    """Return what converting ``sums`` with a range does to outputs."""
    sum_of = partial(namespace_of(bits).sum, axis=(0, 1))
    clipped = sum_of(sums.count * clipped_share(sums, found, bits)) / sum_of(sums.count)
    added = sum_of(sums.power * noise_power(noise, found.lsb))
    return _Conversions(sum_of(sums.power * errors), clipped, added)
