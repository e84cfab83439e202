"""Whether a hardware file lets a study open its fields as genes.

A field may be searched only where all that depends on it follows: energy, time and area by the
equations or the laws of ``settings.py``, and what it does to accuracy by the macro's noise. A
search finds every number that stands still.
"""

from collections.abc import Callable, Iterator

from cimsearch.errors import SpecError
from cimsearch.spec.document import Document
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.macro import Macro
from cimsearch.spec.study import StudySpec

SUPPLY_RANGE = (0.7, 1.3)
"""How far from its own a macro's supply may be: the laws of its technology hold near it."""

_OF_SYSTEM = ("macros", "clock_mhz")


def openable_faults(document: Document, spec: StudySpec, hardware: Hardware) -> list[SpecError]:
    """Return why fields that a study opens may not be genes, each at its place in the study."""
    faults = []
    for name, values in spec.genes.hardware.opened():
        for reason in _reasons(spec, hardware, name, values):
            found = f"found {name}; on {hardware.name} it cannot be a gene: {reason}"
            faults.append(document.error(("genes", "hardware", name), found))
    return faults


def _reasons(
    spec: StudySpec, hardware: Hardware, name: str, values: tuple[int | float, ...]
) -> Iterator[str]:
    """Yield what does not follow."""
    macro = hardware.macro
    if name in _OF_SYSTEM:
        if name == "macros" and hardware.system.macros == "enough":
            yield "its system has as many as a network needs; name a system with a number"
        if name == "clock_mhz" and max(values) > hardware.system.digital.clock_mhz:
            yield (
                f"digital.clock_mhz {hardware.system.digital.clock_mhz:g} is the fastest that its "
                "energies are for"
            )
        return
    if macro.array_call is not None:
        yield "array_call was simulated for one macro"
    if macro.noise.transfer is not None:
        yield "noise.transfer was measured on one macro"
    yield from _CHECKS[name](macro)
    if name == "adc_bits" and len(spec.genes.adc_bits) > 1:
        yield "genes.adc_bits searches the bits of each layer's conversions"
    if name == "supply_v":
        low, high = (share * macro.supply_v for share in SUPPLY_RANGE)
        if not low <= min(values) <= max(values) <= high:
            yield f"allowed is {low:g} to {high:g} V, around its own {macro.supply_v:g} V"
        if any(c.supply_v is not None for rung in spec.rungs for c in rung.conditions):
            yield "conditions of a rung state a supply"


def _rows(macro: Macro) -> Iterator[str]:
    yield from _line(macro, "rows", "bitline")


def _cols(macro: Macro) -> Iterator[str]:
    yield from _line(macro, "cols", "wordline")


def _line(macro: Macro, name: str, line: str) -> Iterator[str]:
    """Yield what of a line's length is not stated."""
    if getattr(macro.input, f"settle_{name}_frac") is None or macro.input.settle_ns == 0:
        yield f"state input.settle_ns above 0, and input.settle_{name}_frac, its share of {line}s"
    drop = macro.noise.ir_drop
    if macro.cell.kind == "resistive" and not (drop and getattr(drop, f"{line}_ohm")):
        yield f"state noise.ir_drop.{line}_ohm: cells of device {macro.device} conduct"


def _active_rows(macro: Macro) -> Iterator[str]:
    """Yield why sums of more rows would be read as exactly as those of fewer."""
    if macro.adc is not None and not _converts_with_noise(macro):
        yield "state noise.adc_sigma_frac: without noise of conversions, more rows cost none"
    drop = macro.noise.ir_drop
    if macro.cell.kind == "resistive" and not (drop and drop.bitline_ohm):
        yield f"state noise.ir_drop.bitline_ohm: cells of device {macro.device} conduct"


def _converts_with_noise(macro: Macro) -> bool:
    adc = macro.noise.adc
    return bool(macro.noise.adc_sigma_frac or (adc and adc.thermal_frac))


def _cell_bits(macro: Macro) -> Iterator[str]:
    if macro.cell.kind != "resistive":
        yield f"the capacitors of a {macro.cell.kind} cell are built for the bits that it holds"
    noise = macro.noise
    if not (noise.cell_sigma_frac or noise.programming or noise.device_to_device):
        yield "state noise.cell_sigma_frac or noise.programming: levels get closer"


def _dac_bits(macro: Macro) -> Iterator[str]:
    given = macro.input
    if macro.adc is None or given.drive == "pulses":
        return
    for name in ("dac_cap_ff_per_bit", "dac_area_um2_per_bit"):
        if getattr(given, name) is None:
            yield f"state input.{name}"
    yield from _active_rows(macro)
    if macro.cell.kind == "resistive" and macro.noise.iv is None:
        yield "state noise.iv: levels of a voltage meet the curve of the cells"


def _adc_bits(macro: Macro) -> Iterator[str]:
    if macro.adc is None:
        yield "it has no converter"
    elif not _converts_with_noise(macro):
        yield "state noise.adc_sigma_frac: finer steps would be read without noise"


def _columns_per_adc(macro: Macro) -> Iterator[str]:
    if macro.adc is None:
        yield "it has no converter"


def _supply_v(macro: Macro) -> Iterator[str]:
    if macro.adc is not None and not _converts_with_noise(macro):
        yield "state noise.adc_sigma_frac: a smaller swing would be read as exactly"
    currents = macro.compute_model in ("QS", "IS")
    tied = macro.input.wordline_v == macro.supply_v
    if currents and tied and not (macro.noise.sram and macro.noise.sram.vt_sigma_mv):
        yield "state noise.sram.vt_sigma_mv and overdrive_mv: cells' currents spread as it falls"


_CHECKS: dict[str, Callable[[Macro], Iterator[str]]] = {
    "rows": _rows,
    "cols": _cols,
    "active_rows": _active_rows,
    "cell_bits": _cell_bits,
    "dac_bits": _dac_bits,
    "adc_bits": _adc_bits,
    "columns_per_adc": _columns_per_adc,
    "supply_v": _supply_v,
}
