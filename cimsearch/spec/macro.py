"""The macro part of a hardware file: technology, cells, drivers, converters, noise, calibration.

A macro is an array with its drivers, converters and digital logic, as a paper reports it. Units
are in the names. Which equations read these numbers is in docs/cost-model.md.
"""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from cimsearch.spec.base import Bits, Count, Fraction, NonNegative, Positive, Spec
from cimsearch.spec.document import FieldError

Device = Literal["sram", "rram", "pcm", "mram", "flash"]
ComputeModel = Literal["QS", "IS", "QR", "digital", "resistive"]
Encoding = Literal["offset", "twos_complement", "differential", "differential_digital"]
RangePolicy = Literal["full_scale", "layer", "column"]
Packing = Literal["dense", "whole_kernel"]
Gating = Literal["rows", "columns"]
Corner = Literal["ss", "tt", "ff"]
CallComponent = Literal["cells", "drivers", "adc", "adder_tree", "shift_add", "control"]
ConfigurableField = Literal[
    "weight_bits", "activation_bits", "adc_bits", "encoding", "range_policy"
]


class Technology(Spec):
    """Process constants of the digital logic; ``nand2_delay_ps`` holds at ``vdd_v``.

    Switching energy grows with the supply to the power of ``energy_voltage_exponent``, delay falls
    with that of ``delay_voltage_exponent``. Leakage is that at 25 C and the typical corner; it
    doubles every ``leakage_doubling_c``.
    """

    node_nm: Positive
    vdd_v: Positive
    nand2_cap_ff: Positive
    nand2_area_um2: Positive
    nand2_delay_ps: Positive
    sram_bit_area_um2: Positive
    leakage_uw_per_mm2: NonNegative
    delay_voltage_exponent: Positive
    energy_voltage_exponent: Positive = 2.0
    leakage_doubling_c: Positive = 10.0


class Array(Spec):
    """The cells: ``rows`` wordlines by ``cols`` bitlines, ``active_rows`` driven at once.

    Every cell of a used column loads its bitline by ``bitline_cap_ff_per_cell``, driven or not.
    ``gating`` says what is cut off while idle. ``columns``: wordlines end before idle ones and
    converters skip them; else a wordline spans all columns and a shared converter sweeps all of
    its. ``rows``: adders of a digital tree that no active row comes into stand still; else the
    whole tree switches.
    ``endurance_cycles`` is how often a cell can be written.
    """

    rows: Count
    cols: Count
    active_rows: Count
    cell_bits: Annotated[int, Field(ge=1, le=8)]
    cell_area_um2: Positive
    bitline_cap_ff_per_cell: NonNegative
    write_pj_per_cell: NonNegative
    write_ns_per_row: NonNegative
    gating: tuple[Gating, ...] = ()
    endurance_cycles: Positive | None = None

    @model_validator(mode="after")
    def _active_rows_exist(self) -> Self:
        if self.active_rows > self.rows:
            raise FieldError(
                "active_rows", f"found {self.active_rows}; allowed is 1 to rows = {self.rows}"
            )
        return self


class ChargeCell(Spec):
    """A cell that moves charge: ``cap_ff * supply_v**2`` when input and stored bit are 1."""

    kind: Literal["charge"]
    cap_ff: Positive


class ResistiveCell(Spec):
    """A cell that conducts: ``v_read_v**2 * conductance * t_read_ns`` when its row is driven."""

    kind: Literal["resistive"]
    v_read_v: Positive
    g_on_us: Positive
    on_off_ratio: Annotated[float, Field(gt=1)]
    t_read_ns: Positive


class DigitalCell(Spec):
    """A multiplier gate: ``gate_cap_ff * supply_v**2`` when input and stored bit are 1."""

    kind: Literal["digital"]
    gate_cap_ff: Positive


Cell = Annotated[ChargeCell | ResistiveCell | DigitalCell, Field(discriminator="kind")]


class Input(Spec):
    """Wordline drivers and DACs. ``dac_bits`` are applied in one array call; 1 is bit-serial.

    ``drive`` says how more than one bit is applied: as ``levels`` of a voltage, in one settling
    time, or as ``pulses``, one wordline pulse and one settling time a bit. A level shifter of
    ``level_shifter_cap_ff`` a row switches with its wordline.
    """

    dac_bits: Annotated[int, Field(ge=1, le=8)]
    drive: Literal["levels", "pulses"] = "levels"
    max_bits: Bits
    wordline_cap_ff_per_cell: Positive
    wordline_v: Positive
    dac_cap_ff_per_bit: NonNegative = 0.0
    level_shifter_cap_ff: NonNegative = 0.0
    driver_area_um2: NonNegative
    settle_ns: NonNegative


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
    ``range_switch_fj``.
    """

    bits: Bits
    columns_per_adc: Count
    range_policy: RangePolicy
    sample_cap_ff: NonNegative = 0.0
    range_frac: Annotated[float, Field(gt=0, le=1)] = 0.25
    range_switch_fj: NonNegative = 0.0
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


class Weights(Spec):
    """How signed weights are stored."""

    encoding: Encoding
    max_bits: Bits


class Noise(Spec):
    """What the analog part does to a result; all zero for a digital macro.

    ``cell_sigma_frac`` is the spread of one cell as a fraction of its full-scale level, drawn once
    per chip. ``adc_sigma_frac`` is the noise of one conversion as a fraction of the full scale of
    the active rows (never in LSB, so that a smaller range does not shrink it).
    """

    cell_sigma_frac: NonNegative = 0.0
    adc_sigma_frac: NonNegative = 0.0


class Configurable(Spec):
    """One thing that may change per layer on this chip, and how its energy follows."""

    values: Annotated[tuple[int | str, ...], Field(min_length=1)]
    follows: Annotated[str, Field(min_length=1)]


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
    tolerance_frac: Fraction
    points: Annotated[tuple[CalibrationPoint, ...], Field(min_length=1)]


class Macro(Spec):
    """One array with its periphery, resolved from its file and its technology.

    ``supply_v`` feeds array, converters and the macro's own logic. ``logic_factor`` is how much
    more that logic switches than its bare full adders and registers: wiring, clock, glitches.
    ``control_frac`` is added to the dynamic energy of every node. ``packing`` says how a layer's
    rows fill an array: ``dense`` uses every row, ``whole_kernel`` as many whole kernels as fit.
    ``corner`` and ``temperature_c`` change leakage and the delay of logic.
    """

    device: Device
    compute_model: ComputeModel
    technology: Technology
    supply_v: Positive
    array: Array
    cell: Cell
    weights: Weights
    input: Input
    adc: Adc | None = None
    logic_factor: Positive
    control_frac: Fraction
    packing: Packing = "dense"
    corner: Corner = "tt"
    temperature_c: Annotated[float, Field(ge=-55, le=175)] = 25.0
    noise: Noise = Noise()
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
            raise FieldError("adc", "found one; allowed is none where compute_model is digital")
        if not digital and self.adc is None:
            raise FieldError("adc", f"missing; needed where compute_model is {self.compute_model}")
        kind = "digital" if digital else "charge" if self.device == "sram" else "resistive"
        if self.cell.kind != kind:
            raise FieldError(
                "cell.kind",
                f"found {self.cell.kind}; allowed is {kind} where device is {self.device} and "
                f"compute_model is {self.compute_model}",
            )
        if digital and self.noise != Noise():
            raise FieldError("noise", "found some; allowed is none where compute_model is digital")
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

    @property
    def energy_v2(self) -> float:
        """The square of the supply that a capacitance is charged to, V^2.

        An exponent other than 2 bends it around the technology's nominal supply.
        """
        nominal = self.technology.vdd_v
        exponent = self.technology.energy_voltage_exponent
        return float(nominal**2 * (self.supply_v / nominal) ** exponent)

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
