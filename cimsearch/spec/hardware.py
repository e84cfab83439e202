"""The hardware file: technology, macro, system.

A macro is an array with its drivers, converters and digital logic, as a paper reports it. A
system puts macros, buffers, interconnect and weight memory around it. Units are in the names;
every number in a file has its basis there: reported, derived or assumed.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cimsearch.spec.base import (
    Bits,
    Count,
    FileSpec,
    Fraction,
    NonNegative,
    Positive,
    Spec,
    content_hash,
)
from cimsearch.spec.document import FieldError

Device = Literal["sram", "rram", "pcm", "mram", "flash"]
ComputeModel = Literal["QS", "IS", "QR", "digital", "resistive"]
Encoding = Literal["offset", "twos_complement", "differential", "differential_digital"]
RangePolicy = Literal["full_scale", "layer", "column"]
Basis = Literal["reported", "derived", "assumed"]


class Technology(Spec):
    """Process constants of the digital logic around the cells."""

    node_nm: Positive
    vdd_v: Positive
    temperature_c: float = 25.0
    nand2_cap_ff: Positive
    nand2_area_um2: Positive
    nand2_delay_ps: Positive
    leakage_uw_per_mm2: NonNegative
    energy_voltage_exponent: Positive = 2.0
    delay_voltage_exponent: Positive = 1.3


class Array(Spec):
    """The cells: ``rows`` wordlines by ``cols`` bitlines, ``active_rows`` driven at once."""

    rows: Count
    cols: Count
    active_rows: Count
    cell_bits: Annotated[int, Field(ge=1, le=8)]
    cell_area_um2: Positive

    @model_validator(mode="after")
    def _active_rows_exist(self) -> Self:
        if self.active_rows > self.rows:
            raise FieldError(
                "active_rows", f"found {self.active_rows}; allowed is 1 to rows = {self.rows}"
            )
        return self


class ChargeCell(Spec):
    """A cell that moves charge: energy per active cell is ``cap_ff * vdd_v**2``."""

    kind: Literal["charge"]
    cap_ff: Positive


class ResistiveCell(Spec):
    """A cell that conducts: energy per active cell is ``v_read_v**2 * g * t_read_ns``."""

    kind: Literal["resistive"]
    v_read_v: Positive
    g_on_us: Positive
    on_off_ratio: Annotated[float, Field(gt=1)]
    t_read_ns: Positive
    write_pj_per_cell: NonNegative
    write_ns_per_row: NonNegative


class DigitalCell(Spec):
    """A one-bit multiplier gate: energy per active cell is ``gate_cap_ff * vdd_v**2``."""

    kind: Literal["digital"]
    gate_cap_ff: Positive


Cell = Annotated[ChargeCell | ResistiveCell | DigitalCell, Field(discriminator="kind")]


class Input(Spec):
    """Wordline drivers and DACs. ``dac_bits`` are applied per cycle; 1 is bit-serial."""

    dac_bits: Annotated[int, Field(ge=1, le=8)]
    max_bits: Bits
    wordline_cap_ff_per_cell: Positive
    wordline_v: Positive
    dac_cap_ff_per_bit: NonNegative = 0.0
    settle_ns: NonNegative


class CapacitiveAdc(Spec):
    """Energy ``(k1_ff * b + k2_ff * 4**b) * vdd_v**2``, delay ``ns_per_bit * b`` (SAR-like)."""

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


AdcModel = Annotated[CapacitiveAdc | RampAdc, Field(discriminator="kind")]


class Adc(Spec):
    """The converters: ``columns_per_adc`` bitlines share one."""

    bits: Bits
    columns_per_adc: Count
    range_policy: RangePolicy
    model: AdcModel


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


ConfigurableField = Literal[
    "weight_bits", "activation_bits", "adc_bits", "encoding", "range_policy"
]


class Macro(Spec):
    """One array with its periphery, resolved from its file and its technology."""

    device: Device
    compute_model: ComputeModel
    technology: Technology
    array: Array
    cell: Cell
    weights: Weights
    input: Input
    adc: Adc | None = None
    noise: Noise = Noise()
    control_frac: Fraction
    configurable: dict[ConfigurableField, Configurable] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        digital = self.compute_model == "digital"
        if digital != (self.adc is None):
            raise FieldError("adc", "a digital macro has no adc, every other macro needs one")
        if digital != (self.cell.kind == "digital"):
            raise FieldError("cell.kind", f"{self.cell.kind} does not fit {self.compute_model}")
        if digital and self.noise != Noise():
            raise FieldError("noise", "a digital macro has no analog noise; leave it out")
        if (self.device == "sram") == (self.cell.kind == "resistive"):
            raise FieldError("cell.kind", f"{self.cell.kind} is impossible for {self.device}")
        if self.weights.encoding == "twos_complement" and self.array.cell_bits != 1:
            raise FieldError("weights.encoding", "twos_complement needs array.cell_bits 1")
        if self.adc and self.array.cols % self.adc.columns_per_adc:
            raise FieldError(
                "adc.columns_per_adc",
                f"found {self.adc.columns_per_adc}; allowed is a divisor of "
                f"array.cols = {self.array.cols}",
            )
        if digital and {"adc_bits", "range_policy"} & set(self.configurable):
            raise FieldError("configurable", "a digital macro has no adc to configure")
        return self

    @property
    def adc_bits(self) -> int:
        """The converter's own resolution; 0 for a digital macro, which has none."""
        return self.adc.bits if self.adc else 0

    def choices(self, field: ConfigurableField) -> tuple[int | str, ...]:
        """Return what ``field`` may be on this chip: its ``configurable`` values, or its own."""
        if field in self.configurable:
            return self.configurable[field].values
        own: dict[str, int | str] = {
            "weight_bits": self.weights.max_bits,
            "activation_bits": self.input.max_bits,
            "adc_bits": self.adc_bits,
            "encoding": self.weights.encoding,
            "range_policy": self.adc.range_policy if self.adc else "full_scale",
        }
        return (own[field],)


class Buffers(Spec):
    """The on-chip activation memory. Energy per bit grows as a power of its size."""

    size_kib: Positive
    read_pj_per_bit_2kib: Positive
    size_exponent: Positive
    write_ratio_frac: Positive
    reference_node_nm: Positive
    bandwidth_gbps: Positive


class Interconnect(Spec):
    """The bus between macros and buffers."""

    length_mm: Positive
    cap_ff_per_mm: Positive
    bandwidth_gbps: Positive


class DigitalUnit(Spec):
    """The digital logic beside the macros: full adders and registers of the technology."""

    lanes: Count
    clock_mhz: Positive
    activity_frac: Fraction


class WeightMemory(Spec):
    """Where weights come from when they do not stay in the macros."""

    read_pj_per_bit: Positive
    bandwidth_gbps: Positive
    write_pj_per_bit: NonNegative
    write_ns_per_row: NonNegative


class System(Spec):
    """Macros with what is around them. ``macros: enough`` holds every weight of the network."""

    macros: Literal["enough"] | Count
    buffers: Buffers
    interconnect: Interconnect
    digital: DigitalUnit
    weight_memory: WeightMemory


class TechnologyFile(FileSpec):
    """A file of ``hardware/technologies``."""

    schema_: Annotated[Literal["cimsearch/hardware/1"], Field(alias="schema")]
    kind: Literal["technology"]
    technology: Technology
    basis: dict[str, Basis]


class MacroFile(FileSpec, Macro):
    """A file of ``hardware/macros``."""

    schema_: Annotated[Literal["cimsearch/hardware/1"], Field(alias="schema")]
    kind: Literal["macro"]
    basis: dict[str, Basis]


class SystemFile(FileSpec, System):
    """A file of ``hardware/systems``: a system with its macro, or to be put around any macro."""

    schema_: Annotated[Literal["cimsearch/hardware/1"], Field(alias="schema")]
    kind: Literal["system"]
    macro: str | None = None
    basis: dict[str, Basis]


class Hardware(Spec):
    """A macro in its system, resolved: what ``load_hardware`` returns and every price is for."""

    name: str
    summary: str
    source: str
    macro: Macro
    system_name: str
    system: System

    @property
    def hash(self) -> str:
        """The content hash: equal hardware has an equal hash, whatever its file is called."""
        return content_hash(self.model_dump(mode="json", include={"macro", "system"}))


def numbers(data: Any, prefix: str = "") -> list[str]:
    """Return the dotted paths of all numbers in a hardware file that need a basis."""
    if isinstance(data, dict):
        return [
            path
            for key, value in data.items()
            if prefix or key not in ("basis", "configurable")
            for path in numbers(value, f"{prefix}.{key}" if prefix else key)
        ]
    return [prefix] if isinstance(data, int | float) and not isinstance(data, bool) else []


def basis_of(path: str, basis: dict[str, Basis]) -> Basis | None:
    """Return the basis of the number at ``path``: the longest entry that covers it."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if found := basis.get(".".join(parts[:end])):
            return found
    return None
