"""The hardware file: technology, macro, system.

A system puts macros, buffers, interconnect and weight memory around a macro. Units are in the
names; every number in a file has its basis there: reported, derived or assumed.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from cimsearch.spec.base import Count, FileSpec, Fraction, Positive, Spec, content_hash
from cimsearch.spec.macro import (
    Adc,
    Array,
    Calibration,
    CalibrationPoint,
    CallComponent,
    CapacitiveAdc,
    ChargeCell,
    Configurable,
    ConfigurableField,
    DigitalCell,
    Encoding,
    Input,
    Macro,
    MeasuredAdc,
    MeasuredConversion,
    Noise,
    Packing,
    RampAdc,
    RangePolicy,
    ResistiveCell,
    SurveyAdc,
    Technology,
    Weights,
)

__all__ = [
    "Adc",
    "Array",
    "Basis",
    "Buffers",
    "Calibration",
    "CalibrationPoint",
    "CallComponent",
    "CapacitiveAdc",
    "ChargeCell",
    "Configurable",
    "ConfigurableField",
    "DigitalCell",
    "DigitalUnit",
    "Encoding",
    "Hardware",
    "Input",
    "Interconnect",
    "Macro",
    "MacroFile",
    "MeasuredAdc",
    "MeasuredConversion",
    "Noise",
    "Packing",
    "RampAdc",
    "RangePolicy",
    "ResistiveCell",
    "SurveyAdc",
    "System",
    "SystemFile",
    "Technology",
    "TechnologyFile",
    "WeightMemory",
    "Weights",
    "basis_of",
    "numbers",
]

Basis = Literal["reported", "derived", "assumed"]


class Buffers(Spec):
    """The on-chip activation memory.

    A read costs ``read_pj_per_bit_2kib * (size_kib / 2) ** size_exponent`` a bit at the reference
    node and supply; a write ``write_ratio_frac`` of that.
    """

    size_kib: Positive
    read_pj_per_bit_2kib: Positive
    size_exponent: Positive
    write_ratio_frac: Positive
    reference_node_nm: Positive
    reference_vdd_v: Positive
    bandwidth_gbps: Positive


class Interconnect(Spec):
    """The bus between macros and buffers."""

    length_mm: Positive
    cap_ff_per_mm: Positive
    bandwidth_gbps: Positive


class DigitalUnit(Spec):
    """The digital logic beside the macros: ``lanes`` multiply-adders of ``word_bits``.

    ``activity_frac`` is the effective share of its gates that switch, wiring included.
    """

    lanes: Count
    clock_mhz: Positive
    word_bits: Annotated[int, Field(ge=8, le=32)]
    activity_frac: Fraction


class WeightMemory(Spec):
    """Where weights come from when they do not stay in the macros.

    ``reload`` says whether a network that does not fit may be loaded at every inference; left
    out, it may into SRAM and may not into cells that wear out. With ``ping_pong`` half of the
    macros are loaded while the others compute.
    """

    read_pj_per_bit: Positive
    bandwidth_gbps: Positive
    reload: Literal["allowed", "refused"] | None = None
    ping_pong: bool = False


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
    def reload_refused(self) -> str:
        """Why networks that do not fit may not be loaded at every inference; empty if they may."""
        asked, macro = self.system.weight_memory.reload, self.macro
        if asked == "allowed" or (asked is None and macro.device == "sram"):
            return ""
        if asked == "refused":
            return "weight_memory.reload is refused"
        cycles = macro.array.endurance_cycles
        wear = f", and its cells last {cycles:g} writes" if cycles else ""
        return (
            f"writing {macro.device} at every inference takes "
            f"{macro.array.write_ns_per_row:g} ns a row and "
            f"{macro.array.write_pj_per_cell:g} pJ a cell{wear}; "
            "to price it all the same, set weight_memory.reload: allowed"
        )

    @property
    def hash(self) -> str:
        """The content hash: equal hardware has an equal hash, whatever its file is called."""
        return content_hash(self.model_dump(mode="json", include={"macro", "system"}))


def numbers(data: Any, prefix: str = "") -> list[str]:
    """Return the dotted paths of all numbers in a hardware file that need a basis.

    Numbers in a list share the path of the list.
    """
    if isinstance(data, dict):
        return [
            path
            for key, value in data.items()
            if prefix or key not in ("basis", "configurable")
            for path in numbers(value, f"{prefix}.{key}" if prefix else key)
        ]
    if isinstance(data, list):
        return list(dict.fromkeys(path for item in data for path in numbers(item, prefix)))
    return [prefix] if isinstance(data, int | float) and not isinstance(data, bool) else []


def basis_of(path: str, basis: dict[str, Basis]) -> Basis | None:
    """Return the basis of the number at ``path``: the longest entry that covers it."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if found := basis.get(".".join(parts[:end])):
            return found
    return None
