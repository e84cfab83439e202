"""The array of a hardware file: technology, cells, and the drivers of its wordlines."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cimsearch.spec.base import Bits, Fraction, Lines, NonNegative, Positive, Spec, Volts
from cimsearch.spec.document import FieldError

Gating = Literal["rows", "columns"]
Drive = Literal["levels", "pulses"]


class Technology(Spec):
    """Process constants of the digital logic; ``nand2_delay_ps`` holds at ``vdd_v``.

    Switching energy grows with the supply to the power of ``energy_voltage_exponent``, delay falls
    with that of ``delay_voltage_exponent``. Leakage is that at 25 C and the typical corner; it
    doubles every ``leakage_doubling_c``.
    """

    node_nm: Annotated[float, Field(gt=0, le=10_000)]
    vdd_v: Volts
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
    With ``row_group_skipping`` a register of a bit for each row group of an array says which hold
    weights at all; the others are neither driven nor converted.
    """

    rows: Lines
    cols: Lines
    active_rows: Lines
    cell_bits: Annotated[int, Field(ge=1, le=8)]
    cell_area_um2: Positive
    bitline_cap_ff_per_cell: NonNegative
    write_pj_per_cell: NonNegative
    write_ns_per_row: NonNegative
    gating: tuple[Gating, ...] = ()
    endurance_cycles: Positive | None = None
    row_group_skipping: bool = False

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``row_group_skipping`` where there is none: the hash is that of before."""
        data: dict[str, Any] = handler(self)
        return {k: v for k, v in data.items() if v or k != "row_group_skipping"}

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
    v_read_v: Volts
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
    time, by DACs of ``dac_cap_ff_per_bit``, or as ``pulses``, one wordline pulse and one settling
    time a bit. A level shifter of
    ``level_shifter_cap_ff`` a row switches with its wordline. With ``zero_skipping: planes`` a
    detector looks at every plane of a row group; one of zeros alone is neither driven nor
    converted, and the others carry the index of their plane and row group.

    What only a macro whose fields are searched has to state: ``settle_rows_frac`` and
    ``settle_cols_frac`` are the shares of ``settle_ns`` that are proportional to ``array.rows``
    (bitlines) and ``array.cols`` (wordlines), ``dac_area_um2_per_bit`` is what each bit of a row's
    DAC of levels covers beside its driver.
    """

    dac_bits: Annotated[int, Field(ge=1, le=8)]
    drive: Drive = "levels"
    max_bits: Bits
    wordline_cap_ff_per_cell: Positive
    wordline_v: Volts
    dac_cap_ff_per_bit: NonNegative | None = None
    level_shifter_cap_ff: NonNegative = 0.0
    driver_area_um2: NonNegative
    dac_area_um2_per_bit: NonNegative | None = None
    settle_ns: NonNegative
    settle_rows_frac: Fraction | None = None
    settle_cols_frac: Fraction | None = None
    zero_skipping: Literal["none", "planes"] = "none"

    @model_validator(mode="after")
    def _shares_are_of_one_time(self) -> Self:
        rows = self.settle_rows_frac or 0.0
        if rows + (self.settle_cols_frac or 0.0) > 1:
            raise FieldError(
                "settle_cols_frac",
                f"found {self.settle_cols_frac:g}; with settle_rows_frac allowed is 1 together",
            )
        return self


class Accumulator(Spec):
    """The register that an output's shifted codes are added up in, in steps of the converter.

    ``bits`` is its width in two's complement (wide enough for any sum if left out); a sum beyond
    it stops at its end or wraps around. ``drop_bits`` low bits of the sum are cut off, or rounded
    with ties up. Its energy is priced as if it were wide enough.
    """

    bits: Annotated[int, Field(ge=2, le=48)] | None = None
    overflow: Literal["saturate", "wrap"] = "saturate"
    drop_bits: Annotated[int, Field(ge=0, le=32)] = 0
    rounding: Literal["floor", "nearest"] = "floor"

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.bits is not None and self.drop_bits >= self.bits - 1:
            raise FieldError(
                "drop_bits",
                f"found {self.drop_bits}; allowed is less than bits - 1 = {self.bits - 1}",
            )
        return self
