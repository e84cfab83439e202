"""The converters of a hardware file: what a conversion takes, and how columns share them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cimsearch.spec.base import Bits, Count, NonNegative, Positive, Spec
from cimsearch.spec.document import FieldError

RangePolicy = Literal["full_scale", "layer", "column"]


class CapacitiveAdc(Spec):
    """Energy ``(k1_ff * b + k2_ff * 4**b) * supply_v**2``, delay ``ns_per_bit * b`` (SAR-like)."""

    kind: Literal["capacitive"]
    k1_ff: Positive
    k2_ff: NonNegative
    ns_per_bit: Positive
    area_um2: Positive


class RampAdc(Spec):
    """A counting converter: energy and delay grow with its ``2**b - 1`` steps."""

    kind: Literal["ramp"]
    step_fj: Positive
    step_ns: Positive
    area_um2: Positive


class SurveyAdc(Spec):
    """What a good published converter of these bits, node and rate takes, times a factor."""

    kind: Literal["survey"]
    sample_rate_msps: Positive
    energy_factor: Positive = 1.0
    area_um2: Positive


class MeasuredConversion(Spec):
    """One measured conversion."""

    bits: Bits
    energy_fj: Positive
    conversion_ns: Positive


class MeasuredAdc(Spec):
    """Measured conversions at the macro's own supply, by bits; refused outside their range.

    ``energy_factor`` scales all of them, where a whole macro is calibrated.
    """

    kind: Literal["measured"]
    points: Annotated[tuple[MeasuredConversion, ...], Field(min_length=1)]
    energy_factor: Positive = 1.0
    area_um2: Positive


AdcModel = Annotated[
    CapacitiveAdc | RampAdc | SurveyAdc | MeasuredAdc, Field(discriminator="kind")
]


class Adc(Spec):
    """The converters: ``columns_per_adc`` bitlines share one.

    ``sample_cap_ff`` is charged on every line at every wordline pulse (sample and hold,
    integrator). ``range_frac`` is the share of the full scale that the ranges ``layer`` and
    ``column`` are expected to span: on a chip whose own range is ``full_scale``, what limits noise
    is priced for it. A converter that several
    columns with a range each share switches its reference before every conversion, at
    ``range_switch_fj``, which such a macro must state.
    """

    bits: Bits
    columns_per_adc: Count
    range_policy: RangePolicy
    sample_cap_ff: NonNegative = 0.0
    range_frac: Annotated[float, Field(gt=0, le=1)] = 0.25
    range_switch_fj: NonNegative | None = None
    model: AdcModel

    @model_validator(mode="after")
    def _bits_are_measured(self) -> Self:
        if isinstance(self.model, MeasuredAdc):
            known = [point.bits for point in self.model.points]
            if len(set(known)) != len(known):
                raise FieldError("model.points", "found bits that are listed twice")
            self.check_bits(self.bits, "bits")
        return self

    def check_bits(self, bits: int, field: str) -> None:
        """Raise if ``bits`` are outside what was measured."""
        if isinstance(self.model, MeasuredAdc):
            known = [point.bits for point in self.model.points]
            if not min(known) <= bits <= max(known):
                raise FieldError(
                    field,
                    f"found {bits}; allowed are the measured {min(known)} to {max(known)} bits",
                )
