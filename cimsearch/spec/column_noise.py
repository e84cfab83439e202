"""Effects on partial sums and their conversion: saturation, converters, impulses, corners.

Shares (``_frac``) are of the full scale of the active rows. docs/non-idealities.md defines each
effect and its place in the chain.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cimsearch.spec.base import Fraction, NonNegative, Positive, Spec
from cimsearch.spec.document import FieldError


class Saturation(Spec):
    """Compression of partial sums towards S = ``at_frac`` of the largest magnitude of a sum.

    ``hyperbolic`` P / (1 + |P| / S), ``tanh`` S tanh(P / S), ``clip`` to -S..S.
    """

    shape: Literal["hyperbolic", "tanh", "clip"]
    at_frac: Positive


class AdcNoise(Spec):
    """Errors of converters, before rounding: never in LSB, so a smaller range keeps them.

    Each is a fraction of the full scale of the active rows, or in mV of the ``full_scale_mv`` that
    spans it. Offset, gain and nonlinearity are one draw a converter and chip; ``inl_sigma`` is the
    standard deviation of the nonlinearity at mid-scale, a sum of independent code widths fitted at
    its ends. The step of a fitted range is at least ``min_lsb_mv``.
    """

    full_scale_mv: Positive | None = None
    offset_sigma_frac: Fraction = 0.0
    offset_sigma_mv: NonNegative = 0.0
    thermal_sigma_mv: NonNegative = 0.0
    gain_sigma_frac: Fraction = 0.0
    inl_sigma_frac: Fraction = 0.0
    inl_sigma_mv: NonNegative = 0.0
    min_lsb_mv: NonNegative = 0.0

    @model_validator(mode="after")
    def _full_scale_is_known(self) -> Self:
        volts = ("offset_sigma_mv", "thermal_sigma_mv", "inl_sigma_mv", "min_lsb_mv")
        for name in volts:
            value_mv, span_mv = getattr(self, name), self.full_scale_mv
            if value_mv and span_mv is None:
                raise FieldError("full_scale_mv", f"missing; needed where {name} is not 0")
            if span_mv is not None and value_mv > span_mv:
                raise FieldError(
                    name, f"found {value_mv:g}; allowed is at most full_scale_mv = {span_mv:g}"
                )
        for name in ("offset_sigma", "inl_sigma"):
            if getattr(self, f"{name}_frac") and getattr(self, f"{name}_mv"):
                raise FieldError(f"{name}_mv", f"found one beside {name}_frac; allowed is one")
        return self

    @property
    def offset_frac(self) -> float:
        """Standard deviation of the offset, as a fraction of the full scale."""
        return self.offset_sigma_frac + self._of_mv(self.offset_sigma_mv)

    @property
    def inl_frac(self) -> float:
        """Standard deviation of the nonlinearity at mid-scale, as a fraction of the full scale."""
        return self.inl_sigma_frac + self._of_mv(self.inl_sigma_mv)

    @property
    def thermal_frac(self) -> float:
        """Thermal noise of a conversion, as a fraction of the full scale."""
        return self._of_mv(self.thermal_sigma_mv)

    @property
    def min_lsb_frac(self) -> float:
        """Smallest step of a fitted range, as a fraction of the full scale."""
        return self._of_mv(self.min_lsb_mv)

    def _of_mv(self, value_mv: float) -> float:
        return value_mv / self.full_scale_mv if self.full_scale_mv else 0.0


class Impulse(Spec):
    """Rare errors of codes, each conversion with ``probability``.

    ``code_bit`` flips one bit of the code, each as likely; ``codes`` adds or takes off ``codes``.
    """

    probability: Fraction
    kind: Literal["code_bit", "codes"] = "code_bit"
    codes: Annotated[int, Field(ge=1)] = 1


class Pvt(Spec):
    """How the gain of partial sums follows process, supply and temperature.

    ``k = 1 + gain_per_supply_frac * (V - V0) / V0 + gain_per_c * (T - T0) + process``, V0 the
    macro's supply, T0 25 C; process is ``slow_frac``, 0 or ``fast_frac`` at corner ss, tt or ff,
    plus a draw of ``process_sigma_frac`` a chip. ``residual_frac`` of k - 1 is left after the
    chip's own calibration. What cells conduct at level 0 doubles every ``leakage_doubling_c``, and
    does not follow the temperature if that is left out.
    """

    gain_per_supply_frac: float = 0.0
    gain_per_c: float = 0.0
    process_sigma_frac: Fraction = 0.0
    slow_frac: Annotated[float, Field(ge=-1, le=0)] = 0.0
    fast_frac: Annotated[float, Field(ge=0, le=1)] = 0.0
    residual_frac: Fraction = 1.0
    leakage_doubling_c: Positive | None = None


Share = Annotated[float, Field(ge=-1, le=1)]
"""Of the full scale, of either sign."""


class Transfer(Spec):
    """Measured mean and spread of partial sums against the ideal ones, linear between points.

    Shares are of the full scale of the active rows, so a pair that is read as one spans -0.5 to
    0.5.
    """

    ideal_frac: Annotated[tuple[Share, ...], Field(min_length=2)]
    mean_frac: Annotated[tuple[Share, ...], Field(min_length=2)]
    sigma_frac: Annotated[tuple[Fraction, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _points_fit(self) -> Self:
        for name in ("mean_frac", "sigma_frac"):
            if (found := len(getattr(self, name))) != len(self.ideal_frac):
                raise FieldError(
                    name, f"found {found} values; allowed is one a point: {len(self.ideal_frac)}"
                )
        pairs = zip(self.ideal_frac, self.ideal_frac[1:], strict=False)
        if any(after <= before for before, after in pairs):
            raise FieldError("ideal_frac", "found values that do not ascend")
        return self
