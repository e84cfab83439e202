"""What time does to conductances: drift, loss of what is stored, compensation, 1/f noise.

Conductances are shares of the full-scale conductance, (cells a slice, slices, rows, outputs).
"""

from dataclasses import dataclass
from math import exp, log

import torch
from torch import Tensor

from cimsearch.cim.conductance import Draws, Making, programmed, with_stuck
from cimsearch.spec.cell_noise import (
    Compensation,
    Drift,
    PcmDrift,
    PcmReadNoise,
    ReadNoise,
    Retention,
)

LEAST_R = 1e-7
"""Conductance that PCM's exponent and noise are read at where it is less."""
HALF = 0.5


@dataclass(frozen=True)
class Aged:
    """Conductances at an age.

    Attributes:
        g: At that age.
        fresh: When they were programmed.
        restored: What the chip multiplies their sums by to make up for the loss; broadcasts to
            the shape of ``g``. None without compensation.
    """

    g: Tensor
    fresh: Tensor
    restored: Tensor | None = None

    @property
    def factor(self) -> Tensor | float:
        """What sums are multiplied by: 1 without compensation."""
        return 1.0 if self.restored is None else self.restored


def aged(target: Tensor, making: Making, age_s: float) -> Aged:
    """Return programmed conductances at an age; stuck cells keep theirs.

    Args:
        target: What the cells should have.
        making: Of the cells.
        age_s: Since programming; up to ``t0_s`` of the drift nothing changes.
    """
    drift, made = making.noise.drift, programmed(target, making)
    fresh = with_stuck(made, making)
    if drift is None or age_s <= drift.t0_s:
        return Aged(fresh, fresh)
    g = with_stuck(_drifted(target, made, drift, age_s, making.draws), making)
    return Aged(g, fresh, _restored(fresh, g, drift.compensation, making.tiles))


def age_of(drift: Drift | None, age_s: float | None) -> float:
    """Return the age in s that cells are read at: the one asked for, or the drift's own."""
    if drift is None:
        return 0.0
    return drift.age_s if age_s is None else age_s


def pcm_exponent(r: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the drift exponent of PCM at conductances ``r``.

    Nandakumar et al., ICECS 2019, as fitted in aihwkit (IBM).
    """
    ln = r.clamp_min(LEAST_R).log()
    mean = (ln * -0.0155).add_(0.0244).clamp_(0.049, 0.1)
    return mean, (ln * -0.0125).sub_(0.0059).clamp_(0.008, 0.045)


def read_variance(cells: Aged, read: ReadNoise, age_s: float) -> Tensor:
    """Return the variance of fresh read noise, of the shape of the cells.

    Args:
        cells: The cells.
        read: The noise.
        age_s: Of the cells. 1/f noise grows with it (Nandakumar et al., ICECS 2019).
    """
    if isinstance(read, PcmReadNoise):
        share = (0.0088 / cells.fresh.clamp_min(LEAST_R) ** 0.65).clamp_(max=0.2)
        # Younger than one read, there is none.
        power = max(0.0, log((age_s + read.read_s) / (2 * read.read_s)))
        return share.mul_(cells.g).square_().mul_(power)
    if read.model == "independent":
        return torch.full_like(cells.g, read.sigma_frac**2)
    return (cells.g * read.sigma_frac).square_()


def _drifted(target: Tensor, made: Tensor, drift: Drift, age_s: float, draws: Draws) -> Tensor:
    ln_age = log(age_s / drift.t0_s)
    if isinstance(drift, Retention):
        return _retained(made, drift, drift.exponent * ln_age, draws)
    nu = draws.normal("drift", made.shape)
    if isinstance(drift, PcmDrift):
        mean, sigma = pcm_exponent(target)
        nu = nu.mul_(sigma).add_(mean).abs_()
    else:
        nu = nu.mul_(drift.nu_sigma).add_(drift.nu_mean)
    return nu.mul_(-ln_age).exp_().mul_(made)


def _retained(made: Tensor, drift: Retention, ln_factor: float, draws: Draws) -> Tensor:
    factor = exp(ln_factor)
    lost = made / factor
    # Programming may have gone beyond full scale; nothing grows there, or falls back to it.
    grown = torch.maximum(made, (made * factor).clamp_max(1))
    if drift.toward == "random":
        return torch.where(draws.uniform("drift", made.shape) < HALF, grown, lost)
    return grown if drift.toward == "on" else lost


def _restored(
    fresh: Tensor, g: Tensor, compensation: Compensation, tiles: Tensor
) -> Tensor | None:
    """Return the factors that restore the sums of programmed conductances.

    As in Joshi et al., Nature Communications 11:2473 (2020): the chip measures the sum of its
    currents when it is programmed and when it is read. One factor a layer, or one a column.
    """
    if compensation == "none":
        return None
    before, after = fresh.clamp_min(0), g.clamp_min(0)
    if compensation == "chip":
        return _ratio(before.sum(), after.sum())
    shape = (*g.shape[:2], int(tiles[-1]) + 1, g.shape[3])
    empty = torch.zeros(shape, dtype=g.dtype)
    sums = (empty.index_add(2, tiles, part) for part in (before, after))
    return _ratio(*sums)[:, :, tiles]


def _ratio(before: Tensor, after: Tensor) -> Tensor:
    return torch.where(after > 0, before / after, 1.0)
