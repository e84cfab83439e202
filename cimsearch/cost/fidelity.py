"""What the hardware does to the output of each layer before any training, in closed form.

The reference is the integer product of the layer's codes, so a digital layer is lossless. Input
and stored bits are independent, 1 with the shares ``activity_frac`` and ``density_frac``; a
partial sum is then normal by the central limit theorem. Errors of cells and of conversions are
independent and add up through the weights of planes, slices and row groups. Equations,
assumptions and measured agreement are in docs/snr.md.
"""

from dataclasses import dataclass
from functools import partial
from math import log10
from operator import itemgetter

import numpy as np

from cimsearch.blueprint import Blueprint, Node, layer_table
from cimsearch.cost.conversion import (
    bits_for,
    column_error,
    full_range,
    layer_errors,
    limits,
    noise_power,
    range_error,
)
from cimsearch.cost.demand import demand_of
from cimsearch.cost.layers import Layers
from cimsearch.cost.mapping import COLUMN_RANGE, FULL_SCALE, map_table
from cimsearch.cost.model import NodeStatistics
from cimsearch.cost.namespace import Array, at_least, summed
from cimsearch.cost.partial_sums import codes_of, range_of, sums_of
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

LOSSLESS_NOISE = 1e-12
"""A share of the output's variance that counts as no error at all: 120 dB."""

_LEAST_POWER = 1e-12
"""Signal power that stands for none, so that ratios stay finite."""


@dataclass(frozen=True)
class LayerFidelity:
    """What the hardware does to one layer's output.

    Signal to noise is that of the integer product, dB; None where it is above 120 dB: lossless.

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
            (1, nodes)); the defaults if left out.

    Raises:
        HardwareError: A node asks what the macro cannot do; the node is named.
    """
    nodes = (network,) if isinstance(network, Node) else network.nodes
    blueprint = Blueprint(nodes[0].in_shape, nodes[-1].out_shape[0], nodes)
    converted = [
        index for index, node in enumerate(nodes) if node.placement == "cim" and hardware.macro.adc
    ]
    found: dict[int, LayerFidelity] = {}
    if converted:
        layers = _layers(blueprint, converted, hardware, statistics or Statistics())
        arrays = node_fidelity(layers)
        found = {
            index: _of_layer(arrays, column, nodes[index].name)
            for column, index in enumerate(converted)
        }
    return tuple(
        found.get(index, LayerFidelity(node.name, None, None, None, 0, 0, 0.0))
        for index, node in enumerate(nodes)
        if node.has_weights
    )


def _layers(
    network: Blueprint,
    columns: list[int],
    hardware: Hardware,
    data: Statistics | NodeStatistics,
) -> Layers:
    """Return the nodes of ``network`` at ``columns``."""
    nodes = network.nodes
    table = layer_table([network]).map(partial(np.asarray, dtype=np.float64))
    part = table.map(itemgetter((slice(None), columns)))
    demand = demand_of(part, hardware, lambda _, column: nodes[columns[column]].name)
    activity, density = (
        np.broadcast_to(np.asarray(share, dtype=np.float64), (1, len(nodes)))[:, columns]
        for share in (data.activity_frac, data.density_frac)
    )
    mapping = map_table(part, demand, hardware.macro)
    resident = np.ones((1, 1), dtype=np.bool_)
    return Layers(part, demand, mapping, hardware, activity, density, resident, data.batch)


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


def node_fidelity(layers: Layers) -> NodeFidelity:
    """Return the fidelity of nodes that are all on arrays of a macro with converters."""
    xp, demand, noise = layers.xp, layers.demand, layers.hardware.macro.noise
    codes, bits, policy = codes_of(layers), demand.adc_bits, demand.range_policy
    scale, lowest = range_of(layers)
    sums = sums_of(layers, codes)
    fixed = full_range(lowest, scale, bits)
    by_layer = layer_errors(sums, bits)
    errors = []
    for s, shared in zip(sums, by_layer, strict=True):
        full, own = range_error(s, s.variance, fixed, bits), column_error(s, bits)
        errors.append(
            tuple(
                xp.where(policy == FULL_SCALE, a, xp.where(policy == COLUMN_RANGE, b, c))
                for a, b, c in zip(full, own, shared, strict=True)
            )
        )
    step = xp.where(policy == FULL_SCALE, fixed.lsb, 1.0)
    conversion = noise_power(noise.adc_sigma_frac * scale, step)
    power = summed(s.power for s in sums)
    count = summed(s.count for s in sums)
    adc = summed(s.power * error for s, (error, _) in zip(sums, errors, strict=True))
    clipped = summed(s.count * share for s, (_, share) in zip(sums, errors, strict=True))
    rows = layers.mapping.rows
    cells = rows * codes.input_power * codes.cell_power * noise.cell_sigma_frac**2
    signal = at_least(rows * codes.input_power * codes.weight_power, _LEAST_POWER)
    least, most = limits(sums)
    fixed_bits = xp.maximum(bits_for(scale), bits_for(most - lowest + 1))
    return NodeFidelity(
        analog_noise=(cells + power * conversion) / signal,
        adc_noise=adc / signal,
        adc_bits=bits,
        adc_bits_lossless=at_least(
            xp.where(policy == FULL_SCALE, fixed_bits, bits_for(most - least + 1)), 1.0
        ),
        adc_clip_fraction=clipped / count,
    )
