"""Whether a hardware file lets a study open its fields as genes.

A field may be searched only where all that depends on it follows: energy, time and area by the
equations or the laws of ``settings.py``, and what it does to accuracy by the macro's noise. A
search finds every number that stands still.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cimsearch.errors import SpecError
from cimsearch.spec.document import Document
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.hardware_genes import Number
from cimsearch.spec.macro import Macro
from cimsearch.spec.network import AnySpaceSpec
from cimsearch.spec.study import StudySpec
from cimsearch.spec.supply import drives_from_supply

SUPPLY_RANGE = (0.7, 1.3)
"""How far a supply may be from the macro's own and from its technology's, as shares of these.

A power law of the supply stands for the delay of logic. With a threshold of 0.35 V the alpha-power
law (T. Sakurai and A. Newton, JSSC 1990) is 6 % above it at 0.7 of 0.9 V, and 23 % at 0.6.
"""

MOST_LEVEL_BITS = 4
"""Bits of a DAC of levels: up to these, energy and area in proportion to bits are near enough."""

_OF_SYSTEM = ("macros",)


@dataclass(frozen=True)
class _Asked:
    """A field that a study opens."""

    spec: StudySpec
    hardware: Hardware
    spaces: Sequence[AnySpaceSpec]
    values: tuple[Number, ...]

    @property
    def macro(self) -> Macro:
        return self.hardware.macro

    @property
    def conducts(self) -> bool:
        """Whether its cells draw a current through the wires."""
        return self.macro.cell.kind == "resistive"

    @property
    def shares_charge(self) -> bool:
        """Whether its lines sum charges, so that their length sets the swing."""
        return self.macro.compute_model in ("QS", "QR")

    @property
    def converts_exactly(self) -> bool:
        """Whether it has converters without noise."""
        adc = self.macro.noise.adc
        noisy = self.macro.noise.adc_sigma_frac or (adc and adc.thermal_frac)
        return self.macro.adc is not None and not noisy

    @property
    def has_levels(self) -> bool:
        """Whether several input bits are applied as levels of a voltage."""
        return self.macro.adc is not None and self.macro.input.drive == "levels"


def openable_faults(
    document: Document, spec: StudySpec, hardware: Hardware, spaces: Sequence[AnySpaceSpec]
) -> list[SpecError]:
    """Return why fields that a study opens may not be genes, each at its place in the study.

    Args:
        document: The study's file.
        spec: What it says.
        hardware: What it names.
        spaces: Those of its workloads, with the genes that the study opens.
    """
    fields, faults = spec.genes.hardware, []
    for name, values in fields:
        # Only a file says so: a study that a database keeps states every field.
        if name in fields.model_fields_set and not values:
            found = "found no choices; needed are 2 or more, or leave the field out"
            faults.append(document.error(("genes", "hardware", name), found))
    for name, values in fields.opened():
        for reason in _reasons(name, _Asked(spec, hardware, spaces, values)):
            found = f"found {name}; on {hardware.name} it cannot be a gene: {reason}"
            faults.append(document.error(("genes", "hardware", name), found))
    return faults


def _reasons(name: str, asked: _Asked) -> Iterator[str]:
    """Yield what does not follow."""
    if name not in _OF_SYSTEM:
        if asked.macro.array_call is not None:
            yield "array_call was simulated for one macro"
        if asked.macro.noise.transfer is not None:
            yield "noise.transfer was measured on one macro"
    yield from _CHECKS[name](asked)


def supply_limits(macro: Macro) -> tuple[float, float]:
    """Return the lowest and the highest supply that a study may choose, V; its own is between."""
    own, nominal = macro.supply_v, macro.technology.vdd_v
    least, most = SUPPLY_RANGE
    return max(least * own, min(own, least * nominal)), min(most * own, max(own, most * nominal))


def _rows(asked: _Asked) -> Iterator[str]:
    yield from _line(asked, "rows", "bitline")
    if asked.shares_charge and asked.converts_exactly:
        yield "state noise.adc_sigma_frac: the smaller swing of a longer line would be free"


def _cols(asked: _Asked) -> Iterator[str]:
    yield from _line(asked, "cols", "wordline")


def _line(asked: _Asked, name: str, line: str) -> Iterator[str]:
    """Yield what of a line's length is not stated."""
    yield from _settling(asked, name, f"its share of {line}s")
    drop = asked.macro.noise.ir_drop
    if asked.conducts and not (drop and getattr(drop, f"{line}_ohm")):
        yield f"state noise.ir_drop.{line}_ohm: cells of device {asked.macro.device} conduct"


def _settling(asked: _Asked, name: str, what: str) -> Iterator[str]:
    given = asked.macro.input
    if getattr(given, f"settle_{name}_frac") is None or given.settle_ns == 0:
        yield f"state input.settle_ns above 0, and input.settle_{name}_frac, {what}"


def _active_rows(asked: _Asked) -> Iterator[str]:
    """Yield why sums of more rows would be read as exactly as those of fewer."""
    if asked.converts_exactly:
        yield "state noise.adc_sigma_frac: without noise of conversions, more rows cost none"
    drop = asked.macro.noise.ir_drop
    if asked.conducts and not (drop and drop.bitline_ohm):
        yield f"state noise.ir_drop.bitline_ohm: cells of device {asked.macro.device} conduct"


def _cell_bits(asked: _Asked) -> Iterator[str]:
    if not asked.conducts:
        kind = asked.macro.cell.kind
        yield f"a {kind} cell is built for the bits that it holds"
        return
    noise = asked.macro.noise
    if not (noise.cell_sigma_frac or noise.programming or noise.device_to_device):
        yield "state noise.cell_sigma_frac or noise.programming: levels get closer"


def _dac_bits(asked: _Asked) -> Iterator[str]:
    for space in asked.spaces:
        if space.first_layer.placement == "cim":
            yield f"the first layer of {space.name} is on arrays, and its signed inputs need 1"
    if asked.converts_exactly:
        yield "state noise.adc_sigma_frac: without noise of conversions, more levels cost none"
    if not asked.has_levels:
        return
    given = asked.macro.input
    for name in ("dac_cap_ff_per_bit", "dac_area_um2_per_bit"):
        if getattr(given, name) is None:
            yield f"state input.{name}"
    yield from _settling(asked, "cols", "the share of wordlines: levels settle for longer")
    if asked.conducts and asked.macro.noise.iv is None:
        yield "state noise.iv: levels of a voltage meet the curve of the cells"
    if max(asked.values) > MOST_LEVEL_BITS:
        yield f"allowed is 1 to {MOST_LEVEL_BITS} where drive is levels"


def _adc_bits(asked: _Asked) -> Iterator[str]:
    if asked.macro.adc is None:
        yield "it has no converter"
        return
    if asked.converts_exactly:
        yield "state noise.adc_sigma_frac: finer steps would be read without noise"
    yield from _settling(asked, "rows", "the share of bitlines: finer steps settle for longer")
    if asked.spec.genes.adc_bits or any(space.genes.adc_bits for space in asked.spaces):
        yield "genes.adc_bits sets the bits of each layer's conversions"


def _columns_per_adc(asked: _Asked) -> Iterator[str]:
    if asked.macro.adc is None:
        yield "it has no converter"
    elif asked.macro.adc.sample_cap_ff:
        yield "its converters' area has the sampling capacitors of their lines (adc.sample_cap_ff)"


def _supply_v(asked: _Asked) -> Iterator[str]:
    macro = asked.macro
    if asked.converts_exactly:
        yield "state noise.adc_sigma_frac: a smaller swing would be read as exactly"
    follow = macro.compute_model in ("QS", "IS") and drives_from_supply(macro)
    if follow and not (macro.noise.sram and macro.noise.sram.vt_sigma_mv):
        yield "state noise.sram.vt_sigma_mv and overdrive_mv: cells' currents spread as it falls"
    low, high = supply_limits(macro)
    if not low <= min(asked.values) <= max(asked.values) <= high:
        yield (
            f"allowed is {low:g} to {high:g} V, around its own {macro.supply_v:g} V and the "
            f"{macro.technology.vdd_v:g} V of its technology"
        )
    if any(c.supply_v is not None for rung in asked.spec.rungs for c in rung.conditions):
        yield "conditions of a rung state a supply"


def _macros(asked: _Asked) -> Iterator[str]:
    if asked.hardware.system.macros == "enough":
        yield "its system has as many as a network needs; name a system with a number"


_CHECKS: dict[str, Callable[[_Asked], Iterator[str]]] = {
    "rows": _rows,
    "cols": _cols,
    "active_rows": _active_rows,
    "cell_bits": _cell_bits,
    "dac_bits": _dac_bits,
    "adc_bits": _adc_bits,
    "columns_per_adc": _columns_per_adc,
    "supply_v": _supply_v,
    "macros": _macros,
}
