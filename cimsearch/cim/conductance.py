"""Conductances of one chip's cells as they are programmed: errors, spread between devices, faults.

Conductances g are shares of the full-scale conductance (for cells that move charge, of the
full-scale charge). Tensors are (cells a slice, slices, rows, outputs), two cells a slice where a
weight is a pair, in float64: what has no error is then a whole level in float32 again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cimsearch.spec.cell_noise import (
    DeviceToDevice,
    PolynomialProgramming,
    Programming,
    ProportionalProgramming,
    SramNoise,
)
from cimsearch.spec.hardware import ChargeCell, Macro, Noise

STREAMS = (
    "spread",
    "programming",
    "current",
    "capacitor",
    "device",
    "column",
    "stuck",
    "drift",
    "reference",
)
"""Draws of a layer's cells, a stream each. New ones go to the end: the others' draws stay."""

PUBLISHED_US: dict[str, tuple[float, tuple[float, ...]]] = {
    "pcm_nandakumar": (25.0, (0.26348, 1.9650, -1.1731)),
    # Published over G in uS; here over r = G / 25 uS.
    "pcm_joshi": (25.0, (0.28638599, 0.07585724 * 25, -0.00178767 * 25**2)),
    "rram_wan_1s": (40.0, (0.348, 16.030, -43.853, 45.393, -16.815)),
    "rram_wan_1d": (40.0, (0.701, 22.086, -50.773, 47.095, -16.458)),
    "rram_wan_2d": (40.0, (0.782, 20.274, -43.507, 37.062, -11.934)),
}
"""Full-scale conductance in uS, and the programming error in uS by powers of r from 0.

PCM: Nandakumar et al., ICECS 2019; Joshi et al., Nature Communications 11:2473 (2020), as fitted
in CrossSim (Sandia). RRAM: Wan et al., Nature 608 (2022), as fitted in aihwkit (IBM).
"""


@dataclass(frozen=True)
class Draws:
    """Random numbers of the cells of one layer on one chip, a stream for each effect.

    A stream begins anew at each call, and none depends on another: an effect that is switched on
    or off leaves the others' draws as they are.

    Attributes:
        seeds: Of each stream.
    """

    seeds: dict[str, int]

    @classmethod
    def of(cls, generator: torch.Generator) -> "Draws":
        """Return the streams that a generator gives; it moves on by as much whatever is used."""
        seeds = torch.randint(2**62, (len(STREAMS),), generator=generator)
        return cls(dict(zip(STREAMS, seeds.tolist(), strict=True)))

    def stream(self, effect: str) -> torch.Generator:
        """Return the generator of an effect, one of ``STREAMS``, at its beginning."""
        return torch.Generator().manual_seed(self.seeds[effect])

    def normal(self, effect: str, shape: Sequence[int]) -> Tensor:
        """Return standard normal numbers, float64 (drawn in float32, which is faster)."""
        return torch.randn(tuple(shape), generator=self.stream(effect)).double()

    def uniform(self, effect: str, shape: Sequence[int]) -> Tensor:
        """Return uniform numbers from 0 to 1."""
        return torch.rand(tuple(shape), generator=self.stream(effect))


@dataclass(frozen=True)
class Making:
    """What makes the conductances of some cells differ from their targets.

    Attributes:
        macro: Where they are.
        noise: Its effects on them.
        g_min: Conductance of level 0.
        spread: Standard deviation of the spread that does not depend on the level.
        tiles: Row tile of each row, (rows,): a column of cells is in one array.
        draws: Of these cells.
        chip: The chip's standard normal draw, the same for all its cells.
    """

    macro: Macro
    noise: Noise
    g_min: float
    spread: float
    tiles: Tensor
    draws: Draws
    chip: float


def programmed(target: Tensor, making: Making) -> Tensor:
    """Return conductances after programming, of cells that are not stuck.

    In order: programming error, cut off at 0; the spread that does not depend on the level; an
    SRAM cell's mismatch; the spread between devices.

    Args:
        target: What the cells should have.
        making: Of the cells.
    """
    g, noise, draws = target, making.noise, making.draws
    if noise.programming is not None:
        sigma = programming_sigma(target, noise.programming)
        g = draws.normal("programming", g.shape).mul_(sigma).add_(g).clamp_min_(0)
    if making.spread:
        g = draws.normal("spread", g.shape).mul_(making.spread).add_(g)
    if noise.sram is not None:
        g = _mismatched(g, noise.sram, making)
    if noise.device_to_device is not None:
        g = g * _device_factor(noise.device_to_device, g.shape, making)
    return g


def programming_sigma(r: Tensor, programming: Programming) -> Tensor:
    """Return the standard deviation of the programming error at target conductances ``r``.

    Both are shares of the full-scale conductance: an error in uS scales with ``cell.g_on_us``.
    """
    if isinstance(programming, ProportionalProgramming):
        return r * programming.sigma_frac
    if isinstance(programming, PolynomialProgramming):
        scale, reference_us = 1.0, programming.reference_us
        coefficients_us = programming.coefficients_us
    else:
        scale = programming.scale
        reference_us, coefficients_us = PUBLISHED_US[programming.model]
    sigma_us = torch.zeros_like(r)
    for coefficient in reversed(coefficients_us):
        sigma_us.mul_(r).add_(coefficient)
    return sigma_us.mul_(scale / reference_us).clamp_min_(0)


def with_stuck(g: Tensor, making: Making) -> Tensor:
    """Return conductances with those of stuck cells, the same cells at each call.

    A cell is stuck by itself: one slice of a weight, or one cell of a pair.
    """
    stuck = making.noise.stuck
    if stuck is None or stuck.off_frac == stuck.on_frac == 0:
        return g
    u = making.draws.uniform("stuck", g.shape)
    g = torch.where(u < stuck.off_frac, making.g_min, g)
    return torch.where(u >= 1 - stuck.on_frac, 1.0, g)


def _mismatched(g: Tensor, sram: SramNoise, making: Making) -> Tensor:
    """Return what SRAM cells do with mismatch and injected charge.

    Gonugondla et al., "Fundamental limits on energy-delay-accuracy of in-memory architectures",
    arXiv 2012.13645 (2020): currents spread with the threshold voltage, capacitors with the
    inverse root of their size.
    """
    if sram.vt_sigma_mv and sram.overdrive_mv is not None:
        sigma = sram.current_alpha * sram.vt_sigma_mv / sram.overdrive_mv
        g = making.draws.normal("current", g.shape).mul_(sigma).add_(1).mul_(g)
    cell = making.macro.cell
    if sram.cap_mismatch_sqrt_ff and isinstance(cell, ChargeCell):
        sigma = sram.cap_mismatch_sqrt_ff / cell.cap_ff**0.5
        g = making.draws.normal("capacitor", g.shape).mul_(sigma).add_(1).mul_(g)
    if sram.charge_injection_frac:
        g = g + sram.charge_injection_frac * (1 - g)
    return g


def _device_factor(spread: DeviceToDevice, shape: torch.Size, making: Making) -> Tensor:
    """Return the lognormal factor of each cell, of mean 1 over chips."""
    cell, column, chip = (
        spread.cell_sigma_frac,
        spread.column_sigma_frac,
        spread.chip_sigma_frac,
    )
    z = torch.zeros(shape, dtype=torch.float64)
    if cell:
        z.add_(making.draws.normal("device", shape), alpha=cell)
    if column:
        columns = (*shape[:2], int(making.tiles[-1]) + 1, shape[3])
        z.add_(making.draws.normal("column", columns)[:, :, making.tiles], alpha=column)
    return z.add_(chip * making.chip - (cell**2 + column**2 + chip**2) / 2).exp_()
