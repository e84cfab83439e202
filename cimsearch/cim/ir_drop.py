"""Voltage lost in the wires of an array, to first order in their resistance.

A wordline is driven at the side of bitline 0; a bitline ends in its converter, a virtual ground,
at the side of wordline 0. A wire has one segment between two cells, and one before the first. To
first order every cell's current is that without wires, so the voltage that the cell at wordline k
and bitline n loses is, as a share of the read voltage,

    r_wl Gmax sum_n' (min(n, n') + 1) g(k, n')  +  r_bl Gmax a sum_k' (min(k, k') + 1) g(k', n)

over the cells of its wordline, whose row is driven, and over those of its bitline in the rows that
are active at once, a share a of which conducts.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from cimsearch.cim.layout import Layout
from cimsearch.spec.cell_noise import IrDrop

SIEMENS_PER_US = 1e-6


def with_ir_drop(g: Tensor, ir_drop: IrDrop, g_on_us: float, layout: Layout) -> Tensor:
    """Return what cells conduct for the voltage at the ends of their wires.

    Args:
        g: Conductances as shares of the full-scale conductance, (cells a slice, slices, rows,
            outputs), float64.
        ir_drop: The wires.
        g_on_us: Full-scale conductance.
        layout: Where the cells are; bitlines that are not used conduct nothing.

    Returns:
        Conductances of that shape; a cell that would lose more than its voltage has 0.
    """
    drop = torch.zeros(g.shape, dtype=torch.float64)
    if ir_drop.wordline_ohm:
        share = ir_drop.wordline_ohm * g_on_us * SIEMENS_PER_US
        drop.add_(_along_wordlines(g, layout), alpha=share)
    if ir_drop.bitline_ohm:
        share = ir_drop.bitline_ohm * g_on_us * SIEMENS_PER_US * ir_drop.activity_frac
        drop.add_(_along_bitlines(g, layout), alpha=share)
    return g * drop.neg_().add_(1).clamp_min_(0)


def _along_wordlines(g: Tensor, layout: Layout) -> Tensor:
    arrays = layout.arrays.expand(layout.bitlines.shape).flatten()
    bitlines = layout.bitlines.flatten()
    order = torch.argsort(arrays * (bitlines.max() + 1) + bitlines)
    arrays = arrays[order]
    first, stop = (torch.searchsorted(arrays, arrays, right=right) for right in (False, True))
    rows = g.permute(2, 0, 1, 3)
    lines = rows.flatten(1)[:, order]
    loads = torch.empty(lines.shape, dtype=torch.float64)
    loads[:, order] = _loads(lines, bitlines[order], first, stop)
    return loads.view(rows.shape).permute(1, 2, 0, 3)


def _along_bitlines(g: Tensor, layout: Layout) -> Tensor:
    groups = torch.tensor(layout.row_groups)
    first, stop = groups.repeat_interleave(groups[:, 1] - groups[:, 0], dim=0).T
    return _loads(g.transpose(2, 3), layout.wordlines, first, stop).transpose(2, 3)


def _loads(g: Tensor, places: Tensor, first: Tensor, stop: Tensor) -> Tensor:
    """Return the sum of (min(place, place') + 1) g' over the cells of each cell's wire.

    Args:
        g: Cells along wires, (..., cells), in ascending order of place in each wire.
        places: Place on its wire of each cell, (cells,).
        first: First cell of its wire of each cell, (cells,).
        stop: One past the last one, (cells,).
    """
    own = torch.arange(1, g.shape[-1] + 1)
    distance = (places + 1).double()
    total = pad(g.cumsum(-1), (1, 0))
    moment = pad((g * distance).cumsum(-1), (1, 0))
    beyond = total[..., stop] - total[..., own]
    return moment[..., own] - moment[..., first] + distance * beyond
