"""Effects of the cells of an array: programming, spread, faults, age, wires, currents.

Shares (``_frac``) are of a cell's full-scale conductance unless they say of what.
docs/non-idealities.md defines each effect and its place in the chain.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cimsearch.spec.base import Fraction, NonNegative, Positive, Spec
from cimsearch.spec.document import FieldError

OffCurrent = Literal["ideal", "reference_column", "digital"]
Compensation = Literal["none", "chip", "column"]


class ProportionalProgramming(Spec):
    """Programming error ``g * (1 + sigma_frac * N(0, 1))``."""

    model: Literal["proportional"]
    sigma_frac: Fraction


class PolynomialProgramming(Spec):
    """Programming error of a standard deviation that depends on the target conductance.

    ``sigma_us = sum_i coefficients_us[i] * r**i`` for ``r = G / Gmax``, measured on devices of
    ``reference_us`` and scaled in proportion to this macro's ``cell.g_on_us``.
    """

    model: Literal["polynomial"]
    coefficients_us: Annotated[tuple[float, ...], Field(min_length=1, max_length=8)]
    reference_us: Positive


class PublishedProgramming(Spec):
    """A published polynomial, times ``scale``.

    ``pcm_nandakumar`` (ICECS 2019) and ``pcm_joshi`` (Nature Communications 11:2473) need device
    pcm; ``rram_wan_1s``, ``rram_wan_1d`` and ``rram_wan_2d`` (Nature 608, 2022: after a second,
    one day, two days) need rram.
    """

    model: Literal["pcm_nandakumar", "pcm_joshi", "rram_wan_1s", "rram_wan_1d", "rram_wan_2d"]
    scale: Positive = 1.0


Programming = Annotated[
    ProportionalProgramming | PolynomialProgramming | PublishedProgramming,
    Field(discriminator="model"),
]


class DeviceToDevice(Spec):
    """Lognormal spread ``g * exp(z - s**2 / 2)``, z normal of variance s**2.

    It has a part of each cell, one of each column of an array, and one of the chip:
    ``s**2 = cell**2 + column**2 + chip**2``.
    """

    cell_sigma_frac: Fraction = 0.0
    column_sigma_frac: Fraction = 0.0
    chip_sigma_frac: Fraction = 0.0


class StuckCells(Spec):
    """Shares of cells that are stuck at the lowest and at the highest conductance."""

    off_frac: Fraction = 0.0
    on_frac: Fraction = 0.0

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.off_frac + self.on_frac > 1:
            raise FieldError(
                "on_frac", f"found {self.on_frac:g}; with off_frac allowed is 1 together"
            )
        return self


class PowerLawDrift(Spec):
    """Drift ``g * (age_s / t0_s)**-nu``, nu normal, one draw a cell."""

    model: Literal["power_law"]
    nu_mean: NonNegative
    nu_sigma: NonNegative = 0.0
    t0_s: Positive = 20.0
    age_s: Positive = 20.0
    compensation: Compensation = "none"


class PcmDrift(Spec):
    """Drift of PCM: nu depends on the conductance (Nandakumar et al., ICECS 2019)."""

    model: Literal["pcm"]
    t0_s: Positive = 20.0
    age_s: Positive = 20.0
    compensation: Compensation = "none"


class Retention(Spec):
    """Loss of charge or of a filament: ``g`` times or over ``(age_s / t0_s)**exponent``.

    ``toward: random`` draws the direction of each cell; else all go ``off`` or ``on``.
    """

    model: Literal["retention"]
    exponent: NonNegative
    toward: Literal["random", "off", "on"]
    t0_s: Positive = 1.0
    age_s: Positive = 1.0
    compensation: Compensation = "none"


Drift = Annotated[PowerLawDrift | PcmDrift | Retention, Field(discriminator="model")]


class CellReadNoise(Spec):
    """Fresh noise of every cell in every array call.

    ``proportional`` to its conductance, ``independent`` of it.
    """

    model: Literal["proportional", "independent"]
    sigma_frac: Fraction


class PcmReadNoise(Spec):
    """1/f noise of PCM, read for ``read_s`` at the age that ``drift`` states.

    ``sigma = g * min(0.0088 / r**0.65, 0.2) * sqrt(ln((age + read) / (2 read)))`` (Nandakumar et
    al., ICECS 2019).
    """

    model: Literal["pcm_1f"]
    read_s: Positive = 250e-9


ReadNoise = Annotated[CellReadNoise | PcmReadNoise, Field(discriminator="model")]


class IrDrop(Spec):
    """Resistance of wires, ohm a cell pitch, to first order.

    ``activity_frac`` is the share of driven rows that conduct on average.
    """

    wordline_ohm: NonNegative = 0.0
    bitline_ohm: NonNegative = 0.0
    activity_frac: Fraction = 0.5


class CubicIv(Spec):
    """A cell's current ``G * (V - cubic_per_v2 * V**3)``, exact at the read voltage."""

    cubic_per_v2: NonNegative


class SramNoise(Spec):
    """Effects of SRAM by compute model (Gonugondla et al., arXiv 2012.13645).

    QS and IS: a cell's current spreads by ``current_alpha * vt_sigma_mv / overdrive_mv``, and
    wordline pulses by ``pulse_jitter_frac`` of their width, one draw a row and array call.
    QR: capacitors spread by ``cap_mismatch_sqrt_ff / sqrt(cell.cap_ff)``, a sum has noise kT/C of
    the capacitors of the active rows (``ktc``), and switches inject ``charge_injection_frac`` of
    what a cell is below its full scale.
    """

    vt_sigma_mv: NonNegative = 0.0
    overdrive_mv: Positive | None = None
    current_alpha: Positive = 1.0
    pulse_jitter_frac: Fraction = 0.0
    cap_mismatch_sqrt_ff: NonNegative = 0.0
    ktc: bool = False
    charge_injection_frac: Fraction = 0.0

    @model_validator(mode="after")
    def _overdrive_is_known(self) -> Self:
        if self.vt_sigma_mv and self.overdrive_mv is None:
            raise FieldError("overdrive_mv", "missing; needed where vt_sigma_mv is not 0")
        return self
