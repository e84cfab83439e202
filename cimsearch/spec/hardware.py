"""The hardware file: technology, macro, system.

A system puts macros, buffers, interconnect and off-chip memory around a macro. Units are in the
names; every number in a file has its basis there: reported, derived or assumed.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cimsearch.spec.adc import (
    Adc,
    CapacitiveAdc,
    MeasuredAdc,
    MeasuredConversion,
    RampAdc,
    RangePolicy,
    SurveyAdc,
)
from cimsearch.spec.array import (
    Accumulator,
    Array,
    ChargeCell,
    DigitalCell,
    Drive,
    Input,
    ResistiveCell,
    Technology,
)
from cimsearch.spec.array_call import ArrayCall, SimulatedCall
from cimsearch.spec.base import (
    Count,
    FileSpec,
    NonNegative,
    Positive,
    Spec,
    Units,
    Volts,
    content_hash,
)
from cimsearch.spec.basis import Basis, basis_of, numbers
from cimsearch.spec.condition import AS_STATED, Condition
from cimsearch.spec.digital_unit import DigitalUnit
from cimsearch.spec.document import FieldError
from cimsearch.spec.macro import (
    Calibration,
    CalibrationPoint,
    CallComponent,
    Configurable,
    ConfigurableField,
    Encoding,
    Macro,
    Packing,
    Weights,
)
from cimsearch.spec.noise import Noise

__all__ = [
    "AS_STATED",
    "Accumulator",
    "Adc",
    "Array",
    "ArrayCall",
    "Basis",
    "BufferRead",
    "Buffers",
    "Calibration",
    "CalibrationPoint",
    "CallComponent",
    "CapacitiveAdc",
    "ChargeCell",
    "Condition",
    "Configurable",
    "ConfigurableField",
    "DigitalCell",
    "DigitalUnit",
    "Drive",
    "Encoding",
    "Execution",
    "Hardware",
    "Input",
    "Interconnect",
    "Macro",
    "MacroFile",
    "MeasuredAdc",
    "MeasuredConversion",
    "Mesh",
    "Noise",
    "OffChip",
    "Packing",
    "RampAdc",
    "RangePolicy",
    "ResistiveCell",
    "SimulatedCall",
    "SurveyAdc",
    "System",
    "SystemFile",
    "Technology",
    "TechnologyFile",
    "Weights",
    "basis_of",
    "numbers",
]


class BufferRead(Spec):
    """The energy of a read from a memory of one size, as a table of a memory compiler has it."""

    size_kib: Positive
    pj_per_bit: Positive


class Buffers(Spec):
    """The on-chip activation memory.

    A read costs what ``reads`` says at ``size_kib``, a power of the size between two of its
    sizes, at the reference node and supply; a write ``write_ratio_frac`` of that.
    """

    size_kib: Positive
    reads: Annotated[tuple[BufferRead, ...], Field(min_length=1)]
    write_ratio_frac: Positive
    reference_node_nm: Positive
    reference_vdd_v: Volts
    bandwidth_gbps: Positive

    @model_validator(mode="after")
    def _size_is_in_the_table(self) -> Self:
        sizes = [read.size_kib for read in self.reads]
        if sizes != sorted(set(sizes)):
            raise FieldError("reads", "found sizes out of order or repeated; allowed is growing")
        if not sizes[0] <= self.size_kib <= sizes[-1]:
            raise FieldError(
                "size_kib",
                f"found {self.size_kib:g}; allowed are the {sizes[0]:g} to {sizes[-1]:g} KiB "
                "of its table reads",
            )
        return self


class Mesh(Spec):
    """Tiles of macros on a square mesh, a router each; the buffer is at one of them.

    A link moves ``link_gbps`` and is ``hop_mm`` long. ``tile_barrier_ns`` is waited at every
    input vector of a layer whose rows are in several tiles.
    """

    macros_per_tile: Count
    hop_mm: Positive
    router_pj_per_bit: Positive
    router_ns: NonNegative
    link_gbps: Positive
    tile_barrier_ns: NonNegative = 0.0


class Interconnect(Spec):
    """The bus between macros and buffers; with a ``mesh`` it is the bus inside a tile.

    ``length_mm: chip_side`` is the side of a square of the whole chip's area.
    ``layer_barrier_ns`` is waited before a layer on arrays starts.
    """

    length_mm: Literal["chip_side"] | Positive
    cap_ff_per_mm: Positive
    bandwidth_gbps: Positive
    layer_barrier_ns: NonNegative = 0.0
    mesh: Mesh | None = None


class OffChip(Spec):
    """The memory off the chip, for what the chip cannot hold: weights and activations.

    ``reload`` says whether a network that does not fit may be loaded at every inference; left
    out, it may into SRAM and may not into cells that wear out. With ``ping_pong`` half of the
    macros are loaded while the others compute.
    """

    read_pj_per_bit: Positive
    bandwidth_gbps: Positive
    reload: Literal["allowed", "refused"] | None = None
    ping_pong: bool = False


Execution = Literal["layer_by_layer", "pipelined", "fused"]


class System(Spec):
    """Macros with what is around them.

    ``macros: enough`` is a chip sized to the network: as many whole macros as its weights need. A
    number is a chip that is there: all its macros cover area and leak, used or not. With
    ``duplicates: fill`` its spare macros hold copies of layers, which share a layer's input
    vectors. With ``layers_per_array: many`` the last columns of several layers share an array;
    they cannot run at once. ``execution`` is one layer after another, or all at once, each at
    another inference's data, or so in groups of layers that fit the macros, one after another.
    """

    macros: Literal["enough"] | Units
    execution: Execution = "layer_by_layer"
    duplicates: Literal["none", "fill"] = "none"
    layers_per_array: Literal["one", "many"] = "one"
    buffers: Buffers
    interconnect: Interconnect
    digital: DigitalUnit
    off_chip: OffChip

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.duplicates == "fill" and self.macros == "enough":
            raise FieldError(
                "duplicates",
                "found fill; allowed is none where macros is enough: a chip sized to the network "
                "has no spare macros",
            )
        if self.off_chip.ping_pong and self.macros == 1:
            raise FieldError(
                "off_chip.ping_pong",
                "found true; allowed is false where macros is 1: none is loaded while it computes",
            )
        if self.layers_per_array == "many" and self.execution != "layer_by_layer":
            raise FieldError(
                "layers_per_array",
                f"found many; allowed is one where execution is {self.execution}: layers that "
                "share an array cannot run at once",
            )
        return self


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
        asked, macro = self.system.off_chip.reload, self.macro
        if asked == "allowed" or (asked is None and macro.device == "sram"):
            return ""
        if asked == "refused":
            return "off_chip.reload is refused"
        cycles = macro.array.endurance_cycles
        wear = f", and its cells last {cycles:g} writes" if cycles else ""
        return (
            f"writing {macro.device} at every inference takes "
            f"{macro.array.write_ns_per_row:g} ns a row and "
            f"{macro.array.write_pj_per_cell:g} pJ a cell{wear}; "
            "to price it all the same, set off_chip.reload: allowed"
        )

    @property
    def hash(self) -> str:
        """The content hash: equal hardware has an equal hash, whatever its file is called."""
        return content_hash(self.model_dump(mode="json", include={"macro", "system"}))
