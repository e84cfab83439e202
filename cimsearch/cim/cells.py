"""What the cells of one chip hold: every error between the levels stored and those multiplied.

Each effect is off unless the macro states it. In order, for the level v of one cell of ``vmax``
levels, ``g_min`` one over the on/off ratio (0 for cells that move charge)::

    target         g = g_min + (1 - g_min) v / vmax
      |  programming error, spread, SRAM mismatch, devices, stuck cells   conductance.py
      |  drift, loss of what is stored, compensation                      ageing.py
      |  leakage       g <- g + g_min (2**((T - 25) / doubling) - 1)
      |  wires         g <- g (1 - drop)                                  ir_drop.py
      |  gain          g <- k c g           k of the corner, c of the compensation
      |  off current   g <- g - g_off
    level          v' = g vmax / (1 - g_min), the difference of two cells where they are a pair
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cimsearch.cim.ageing import Aged, age_of, aged, read_variance
from cimsearch.cim.conductance import Draws, Making
from cimsearch.cim.ir_drop import with_ir_drop
from cimsearch.cim.layout import Layout
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.spec.condition import AS_STATED, Condition
from cimsearch.spec.hardware import Macro, ResistiveCell

REFERENCE_C = 25.0
"""Temperature that gain and leakage are stated at."""


@dataclass(frozen=True)
class Cells:
    """What the cells of one layer hold on one chip.

    Attributes:
        values: What inputs are multiplied by, in cell levels, (halves, slices, rows, outputs);
            signed where a pair is read as one. float32.
        read_power: Variance of fresh read noise for a unit of input squared, in cell levels
            squared, of that shape; None without read noise.
    """

    values: Tensor
    read_power: Tensor | None = None


def chip_cells(
    stored: Tensor,
    numerics: LayerNumerics,
    layout: Layout,
    generator: torch.Generator,
    chip: torch.Generator,
    condition: Condition = AS_STATED,
) -> Cells:
    """Return what the cells of a layer hold on one chip.

    Draws depend on shapes alone, never on levels, and each effect has its own: one that is
    switched on or off leaves the others' as they are.

    Args:
        stored: Ideal levels, (halves, slices, rows, outputs), float32: two halves where both are
            converted on their own, signed where a pair is read as one.
        numerics: Of the layer.
        layout: Of the layer, of these rows and outputs.
        generator: Of this layer on this chip.
        chip: Of what is one draw of the chip: in the same state for each of its layers. Two
            normal numbers are drawn: between devices, and of the process.
        condition: What the chip is read at. What the macro has no effect for changes nothing.
    """
    macro = numerics.macro
    if macro is None:
        return Cells(_spread(stored, numerics, generator))
    devices, process = torch.randn(2, generator=chip).tolist()
    making = _making(macro, numerics, layout, Draws.of(generator), devices)
    per_g = (2**numerics.cell_bits - 1) / (1 - making.g_min)
    age_s = age_of(macro.noise.drift, condition.age_s)
    levels = _cells_of(stored, numerics).double()
    cells = aged(levels / per_g + making.g_min, making, age_s)
    gain = pvt_gain(macro, condition, process)
    factor = cells.factor * gain
    g = _conducting(cells, making, condition, layout) * factor
    values = (g - _off(making, condition, layout, age_s, gain)) * per_g
    if _is_pair(numerics):
        values = values[:1] - values[1:]
    if macro.noise.read is None:
        return Cells(values.float())
    variance = read_variance(cells, macro.noise.read, age_s) * (factor * per_g) ** 2
    if _is_pair(numerics):
        variance = variance.sum(0, keepdim=True)
    return Cells(values.float(), variance.float())


def pvt_gain(macro: Macro, condition: Condition, process: float) -> float:
    """Return the gain of partial sums at a supply, a temperature and a corner.

    Args:
        macro: With its ``noise.pvt``; the gain is 1 without.
        condition: Where it is read; what it leaves open is as the macro states it.
        process: The chip's standard normal draw.
    """
    pvt = macro.noise.pvt
    if pvt is None:
        return 1.0
    supply_v = macro.supply_v if condition.supply_v is None else condition.supply_v
    corner = {"ss": pvt.slow_frac, "tt": 0.0, "ff": pvt.fast_frac}
    error = (
        pvt.gain_per_supply_frac * (supply_v / macro.supply_v - 1)
        + pvt.gain_per_c * (_temperature_c(macro, condition) - REFERENCE_C)
        + corner[condition.corner or macro.corner]
        + pvt.process_sigma_frac * process
    )
    return 1 + pvt.residual_frac * error


def leakage_growth(macro: Macro, condition: Condition) -> float:
    """Return by how much more cells leak than at 25 C: 1 where the macro does not say."""
    pvt = macro.noise.pvt
    if pvt is None or pvt.leakage_doubling_c is None:
        return 1.0
    warmer_c = _temperature_c(macro, condition) - REFERENCE_C
    return float(2 ** (warmer_c / pvt.leakage_doubling_c))


def _temperature_c(macro: Macro, condition: Condition) -> float:
    return macro.temperature_c if condition.temperature_c is None else condition.temperature_c


def _spread(stored: Tensor, numerics: LayerNumerics, generator: torch.Generator) -> Tensor:
    """Return levels with the one spread of a macro without other effects."""
    sigma = numerics.stored_sigma
    if sigma == 0:
        return stored
    drawn = torch.randn(stored.shape, generator=Draws.of(generator).stream("spread"))
    return drawn.mul_(sigma).add_(stored)


def _making(
    macro: Macro, numerics: LayerNumerics, layout: Layout, draws: Draws, devices: float
) -> Making:
    g_min = 1 / macro.cell.on_off_ratio if isinstance(macro.cell, ResistiveCell) else 0.0
    return Making(
        macro=macro,
        noise=macro.noise,
        g_min=g_min,
        spread=numerics.cell_sigma_frac * (1 - g_min),
        tiles=layout.tiles,
        draws=draws,
        chip=devices,
    )


def _is_pair(numerics: LayerNumerics) -> bool:
    """Whether a slice is the signed difference of two cells."""
    return numerics.encoding == "differential"


def _cells_of(stored: Tensor, numerics: LayerNumerics) -> Tensor:
    """Return the level of each cell, (cells a slice, slices, rows, outputs)."""
    if not _is_pair(numerics):
        return stored
    return torch.cat([stored.clamp_min(0), (-stored).clamp_min(0)])


def _conducting(
    cells: Aged, making: Making, condition: Condition, layout: Layout | None
) -> Tensor:
    """Return what cells conduct in their array; without a layout, without its wires."""
    g, macro = cells.g, making.macro
    growth = leakage_growth(macro, condition)
    if growth != 1:
        g = g + making.g_min * (growth - 1)
    ir_drop = making.noise.ir_drop
    if layout is not None and ir_drop is not None and isinstance(macro.cell, ResistiveCell):
        g = with_ir_drop(g, ir_drop, macro.cell.g_on_us, layout)
    return g


def _off(
    making: Making, condition: Condition, layout: Layout, age_s: float, gain: float
) -> Tensor | float:
    """Return what is taken off as the current of level 0 before it is converted.

    A reference column is one more column of each array whose cells were all programmed to level 0.
    They have the errors of the others, but none is stuck, and no wire is long.
    """
    off_current = making.noise.off_current
    if off_current == "digital":
        return 0.0
    if off_current == "ideal":
        return making.g_min
    columns = int(layout.arrays[-1]) + 1
    shape = (1, 1, len(layout.tiles), columns)
    column = replace(
        making,
        noise=making.noise.model_copy(update={"stuck": None}),
        draws=Draws.of(making.draws.stream("reference")),
    )
    cells = aged(torch.full(shape, making.g_min, dtype=torch.float64), column, age_s)
    g = _conducting(cells, column, condition, None) * (cells.factor * gain)
    return g[..., layout.arrays]
