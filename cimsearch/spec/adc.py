"""The converters of a hardware file: what a conversion takes, and how columns share them."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from cimsearch.spec.base import Bits, Count, NonNegative, Positive, Spec
from cimsearch.spec.document import FieldError

if TYPE_CHECKING:
    from cimsearch.spec.macro import ConfigurableField, Macro

RangePolicy = Literal["full_scale", "layer", "column"]
ConverterActivation = Literal["relu", "clipped", "hard_sigmoid"]
"""What a converter may compute by where its range ends: ``clipped`` is a ReLU with a limit."""


def check_activations(macro: "Macro") -> None:
    """Check that the ranges of a macro's converters can end where its activations do.

    Raises:
        FieldError: They cannot, or not all levels would know of it.
    """
    if macro.adc is None or not macro.adc.activation:
        return
    computed = ", ".join(macro.adc.activation)
    needed: dict[ConfigurableField, str] = {"range_policy": "column", "encoding": "differential"}
    for field, setting in needed.items():
        choices = macro.choices(field)
        if setting not in choices:
            raise FieldError(
                "adc.activation",
                f"found {computed} where {field} is {' or '.join(map(str, choices))}; allowed "
                f"where it may be {setting} (configurable.{field}, if stated, goes before the "
                "macro's own)",
            )
    if macro.noise.has_effects or macro.accumulator is not None:
        other = ", ".join(macro.noise.effects) or "an accumulator"
        raise FieldError(
            "adc.activation",
            f"found {computed} beside {other}; allowed are noise.cell_sigma_frac and "
            "adc_sigma_frac",
        )


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

    ``activation`` are the activations that they compute by where their ranges end, which a range a
    column can: of layers whose sums are made by one conversion each, with the activation right
    behind them or behind their batch norm.
    """

    bits: Bits
    columns_per_adc: Count
    range_policy: RangePolicy
    sample_cap_ff: NonNegative = 0.0
    range_frac: Annotated[float, Field(gt=0, le=1)] = 0.25
    range_switch_fj: NonNegative | None = None
    activation: tuple[ConverterActivation, ...] = ()
    model: AdcModel

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out activations where there are none: hashes are those of before there were."""
        data: dict[str, Any] = handler(self)
        return {k: v for k, v in data.items() if k != "activation" or v}

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        if len(set(self.activation)) != len(self.activation):
            found = f"found a repeated choice in {list(self.activation)}"
            raise FieldError("activation", found)
        return self

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
