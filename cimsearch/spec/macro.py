"""The macro part of a hardware file: technology, cells, drivers, converters, noise, calibration.

A macro is an array with its drivers, converters and digital logic, as a paper reports it. Units
are in the names. Which equations read these numbers is in docs/cost-model.md.
"""

from collections import Counter
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from cimsearch.spec.adc import Adc, RangePolicy, check_activations
from cimsearch.spec.array import Accumulator, Array, Cell, Input, Technology
from cimsearch.spec.array_call import ArrayCall
from cimsearch.spec.base import Bits, Fraction, Positive, Spec, Volts
from cimsearch.spec.condition import Corner
from cimsearch.spec.document import FieldError
from cimsearch.spec.noise import Noise, check_effects

Device = Literal["sram", "rram", "pcm", "mram", "flash"]
ComputeModel = Literal["QS", "IS", "QR", "digital", "resistive"]
Encoding = Literal["offset", "twos_complement", "differential", "differential_digital"]
Packing = Literal["dense", "whole_kernel"]
CallComponent = Literal[
    "array_call", "cells", "drivers", "adc", "adder_tree", "shift_add", "control"
]
ConfigurableField = Literal[
    "weight_bits", "activation_bits", "adc_bits", "encoding", "range_policy"
]
NO_ADC = "found one; allowed is none where compute_model is digital"


class Weights(Spec):
    """How signed weights are stored."""

    encoding: Encoding
    max_bits: Bits


class Configurable(Spec):
    """One thing that may change per layer on this chip, and how its energy follows."""

    values: Annotated[tuple[int | str, ...], Field(min_length=1)]
    follows: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        if repeated := [value for value, n in Counter(self.values).items() if n > 1]:
            raise FieldError("values", f"found {repeated[0]} twice; allowed is once")
        return self


class CalibrationPoint(Spec):
    """One measured array call: every active row and every column in use.

    ``activation_bits`` are the bits applied in that call; ``adc_bits`` is 0 for a digital macro.
    """

    weight_bits: Bits
    activation_bits: Bits
    adc_bits: Annotated[int, Field(ge=0, le=16)]
    call_energy_pj: Positive
    call_ns: Positive | None = None


class Calibration(Spec):
    """Measured points of this chip that the constants of its file were fitted to.

    ``components`` are what the measured energy covers; ``activity_frac`` and ``density_frac`` the
    data it is taken to be for; ``tolerance_frac`` how far the model may be off at any point.
    """

    components: Annotated[
        tuple[CallComponent, ...],
        Field(min_length=1),
    ]
    activity_frac: Fraction
    density_frac: Fraction
    tolerance_frac: Annotated[float, Field(ge=0, le=0.25)]
    points: Annotated[tuple[CalibrationPoint, ...], Field(min_length=1)]


class Macro(Spec):
    """One array with its periphery, resolved from its file and its technology.

    ``supply_v`` feeds array, converters and the macro's own logic. ``logic_factor`` is how much
    more that logic switches than its bare full adders and registers: wiring, clock, glitches.
    ``control_frac`` is added to the dynamic energy of every node. ``packing`` says how a layer's
    rows fill an array: ``dense`` uses every row, ``whole_kernel`` as many whole kernels as fit.
    ``array_call`` is a table from circuit simulation that goes before the equations of the
    components it covers.
    ``corner`` and ``temperature_c`` change leakage and the delay of logic.
    """

    device: Device
    compute_model: ComputeModel
    technology: Technology
    supply_v: Volts
    array: Array
    cell: Cell
    weights: Weights
    input: Input
    adc: Adc | None = None
    array_call: ArrayCall | None = None
    logic_factor: Positive
    control_frac: Fraction
    packing: Packing = "dense"
    corner: Corner = "tt"
    temperature_c: Annotated[float, Field(ge=-55, le=175)] = 25.0
    noise: Noise = Noise()
    accumulator: Accumulator | None = None
    calibration: Calibration | None = None
    configurable: dict[ConfigurableField, Configurable] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        digital = self.compute_model == "digital"
        if digital and self.device != "sram":
            raise FieldError(
                "device", f"found {self.device}; allowed is sram where compute_model is digital"
            )
        if digital and self.adc is not None:
            raise FieldError("adc", NO_ADC)
        if not digital and self.adc is None:
            raise FieldError("adc", f"missing; needed where compute_model is {self.compute_model}")
        kind = "digital" if digital else "charge" if self.device == "sram" else "resistive"
        if self.cell.kind != kind:
            raise FieldError(
                "cell.kind",
                f"found {self.cell.kind}; allowed is {kind} where device is {self.device} and "
                f"compute_model is {self.compute_model}",
            )
        check_effects(self)
        check_activations(self)
        if "twos_complement" in self.choices("encoding") and self.array.cell_bits != 1:
            raise FieldError(
                "weights.encoding",
                f"found twos_complement; with array.cell_bits {self.array.cell_bits} allowed are "
                "offset, differential, differential_digital",
            )
        if self.adc and self.array.cols % self.adc.columns_per_adc:
            raise FieldError(
                "adc.columns_per_adc",
                f"found {self.adc.columns_per_adc}; allowed is a divisor of "
                f"array.cols = {self.array.cols}",
            )
        if digital and (of_adc := {"adc_bits", "range_policy"} & set(self.configurable)):
            raise FieldError(
                f"configurable.{min(of_adc)}",
                "found one; allowed is none where compute_model is digital",
            )
        return self

    @model_validator(mode="after")
    def _choices_exist(self) -> Self:
        """Check that every choice is possible and that the chip's own setting is one of them."""
        known: dict[str, tuple[int | str, ...]] = {
            "encoding": get_args(Encoding),
            "range_policy": get_args(RangePolicy),
            "weight_bits": tuple(range(1, self.weights.max_bits + 1)),
            "activation_bits": tuple(range(1, self.input.max_bits + 1)),
            "adc_bits": tuple(range(1, 17)),
        }
        for name, setting in self.configurable.items():
            for value in setting.values:
                if value not in known[name]:
                    listed = ", ".join(map(str, known[name]))
                    raise FieldError(
                        f"configurable.{name}.values", f"found {value}; allowed are {listed}"
                    )
                if name == "adc_bits" and self.adc:
                    self.adc.check_bits(int(value), f"configurable.{name}.values")
            own = self._own(name)
            if name not in ("weight_bits", "activation_bits") and own not in setting.values:
                raise FieldError(
                    f"configurable.{name}.values", f"the chip's own setting {own} is missing"
                )
        return self

    @model_validator(mode="after")
    def _options_are_priced(self) -> Self:
        """Check that what saves time or conversions states what it takes."""
        if self.adc is None:
            return self
        shared = self.adc.columns_per_adc > 1 and "column" in self.choices("range_policy")
        if shared and self.adc.range_switch_fj is None:
            raise FieldError(
                "adc.range_switch_fj",
                "missing; needed where columns with a range each share a converter",
            )
        given = self.input
        if given.dac_bits > 1 and given.drive == "levels" and given.dac_cap_ff_per_bit is None:
            raise FieldError(
                "input.dac_cap_ff_per_bit",
                f"missing; needed where dac_bits is {given.dac_bits} and drive is levels",
            )
        return self

    @model_validator(mode="after")
    def _array_call_fits(self) -> Self:
        """Check that a table of array calls has what this macro's calls are."""
        if self.array_call is None:
            return self
        absent = "adc" if self.compute_model == "digital" else "adder_tree"
        if absent in self.array_call.components:
            raise FieldError(
                "array_call.components",
                f"found {absent}; a macro of compute_model {self.compute_model} has none",
            )
        bits, rows, _ = self.array_call.axes()
        if rows[-1] > self.array.active_rows:
            raise FieldError(
                "array_call.points",
                f"found rows {rows[-1]:g}; allowed is 1 to array.active_rows = "
                f"{self.array.active_rows}",
            )
        asked: ConfigurableField = "adc_bits" if self.adc else "weight_bits"
        for choice in self.choices(asked):
            if not bits[0] <= int(choice) <= bits[-1]:
                raise FieldError(
                    "array_call.points",
                    f"found bits {bits[0]:g} to {bits[-1]:g}; needed is {asked} {choice}, "
                    "which this chip may run at",
                )
        for name in ("encoding", "range_policy"):
            if name in self.configurable:
                raise FieldError(
                    f"configurable.{name}",
                    "found one; allowed is none beside array_call, which was simulated at one",
                )
        return self

    @model_validator(mode="after")
    def _calibration_is_of_what_is_priced(self) -> Self:
        measured = self.calibration.components if self.calibration else ()
        if "array_call" in measured and self.array_call is None:
            raise FieldError(
                "calibration.components", "found array_call; this macro has no such table"
            )
        if covered := sorted(self.simulated & set(measured)):
            raise FieldError(
                "calibration.components",
                f"found {', '.join(covered)}; the table array_call covers that: name array_call",
            )
        return self

    @property
    def simulated(self) -> frozenset[str]:
        """The components that the table of array calls covers; none without a table."""
        return frozenset(self.array_call.components if self.array_call else ())

    @property
    def energy_v2(self) -> float:
        """The square of the supply that a capacitance is charged to, V^2.

        An exponent other than 2 bends it around the technology's nominal supply.
        """
        nominal = self.technology.vdd_v
        exponent = self.technology.energy_voltage_exponent
        return float(nominal**2 * (self.supply_v / nominal) ** exponent)

    @property
    def adcs(self) -> int:
        """Converters of one array; none on a digital macro."""
        return self.array.cols // self.adc.columns_per_adc if self.adc else 0

    @property
    def adc_bits(self) -> int:
        """The converter's own resolution; 0 for a digital macro, which has none."""
        return self.adc.bits if self.adc else 0

    def choices(self, field: ConfigurableField) -> tuple[int | str, ...]:
        """Return what ``field`` may be on this chip: its ``configurable`` values, or its own."""
        if field in self.configurable:
            return self.configurable[field].values
        return (self._own(field),)

    def _own(self, field: ConfigurableField) -> int | str:
        own: dict[ConfigurableField, int | str] = {
            "weight_bits": self.weights.max_bits,
            "activation_bits": self.input.max_bits,
            "adc_bits": self.adc_bits,
            "encoding": self.weights.encoding,
            "range_policy": self.adc.range_policy if self.adc else "full_scale",
        }
        return own[field]
