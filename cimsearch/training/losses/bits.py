"""Stored bits counted softly: how many ones a layer's weights put into its cells.

A weight w stands at ``v = clip(w / s)`` on the scale of its codes, and what is stored of it at

    u = |v|                 differential pairs: the magnitude, in one column of two
    u = v + 2**(bits - 1)   offset
    u = v                   two's complement, whose bits are those of u modulo 2**bits

Bit k of ``rint(u)`` goes over at every ``j * 2**k - 1/2``. With d_k the distance from u to the
nearest of these edges, in units of 2**k, positive where the bit is 1, it is counted as

    sigmoid(d_k / softness)

and for a small softness and whole u that is the bit itself.
"""

import torch
from torch import Tensor

from cimsearch.cim import CimLayer, LayerNumerics
from cimsearch.cim.coding import Coding
from cimsearch.networks import Network


def soft_bits(values: Tensor, bits: int, softness: float) -> Tensor:
    """Return how far each bit of ``values`` is a one, from the least: (bits, *shape), 0 to 1.

    Args:
        values: What is stored, before rounding; negative ones are in two's complement.
        bits: How many are stored.
        softness: Width of a transition, as a share of the bit plane's own.
    """
    planes = []
    for bit in range(bits):
        # 0 to 1 where the bit is 0, 1 to 2 where it is 1.
        phase = ((values + 0.5) / 2**bit).remainder(2)
        distance = 0.5 - (phase.remainder(1) - 0.5).abs()
        planes.append(torch.where(phase >= 1, distance, -distance))
    return (torch.stack(planes) / softness).sigmoid()


def soft_ones_share(steps: Tensor, numerics: Coding, softness: float) -> Tensor:
    """Return the share of stored bits that are 1, counted softly; see the module.

    Args:
        steps: Weights in units of their step, within the codes.
        numerics: Of the layer.
        softness: Of ``soft_bits``.
    """
    if numerics.encoding.startswith("differential"):
        # Of two columns one holds the magnitude and the other zeros.
        bits = numerics.w_bits - 1
        return soft_bits(steps.abs(), bits, softness).mean() / 2
    return soft_bits(steps + numerics.offset, numerics.w_bits, softness).mean()


def ones_share(layer: CimLayer, softness: float) -> Tensor:
    """Return a layer's share of stored bits that are 1, counted softly, to be minimised.

    As everywhere in training, the step follows from the weights but passes no gradient, and a
    weight that is clipped gets none.
    """
    _, _, step = layer.codes_of(layer.weight.detach())
    limit = layer.numerics.w_limit
    return soft_ones_share((layer.weight / step).clamp(-limit, limit), layer.numerics, softness)


def on_macro(network: Network) -> list[CimLayer]:
    """Return the layers whose weights lie in cells."""
    placed = {node.name for node in network.blueprint.nodes if node.placement == "cim"}
    return [layer for layer in network.cim_layers() if layer.name in placed]


def cell_energy(layer: CimLayer, network: Network) -> float:
    """Return what a layer's cells take if all store ones, in units of one pulse of a cell.

    Output positions x weights x cells a weight x pulses x share of input bits that are 1: the
    cost model charges for cells that are pulsed and hold a one.
    """
    node = next(node for node in network.blueprint.nodes if node.name == layer.name)
    positions = node.out_shape[1] * node.out_shape[2]
    cells = layer.weight.numel() * _cells(layer.numerics)
    return positions * cells * layer.numerics.pulses * layer.activity_frac


def _cells(numerics: LayerNumerics) -> int:
    pair = 2 if numerics.encoding.startswith("differential") else 1
    return pair * len(numerics.slice_weights)
