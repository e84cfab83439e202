"""What of a hardware description an accuracy depends on: the rest only changes prices.

Training and scoring see a macro through ``cim.numerics_of``: how weights and inputs are cut up,
what a converter makes of a sum, and the noise. Where the noise has effects of single devices, they
also read the cell, the supply, the corner and the temperature. Technology, drivers, timing, logic
and the system around the macro are never read.
"""

from collections.abc import Iterator
from typing import Any

from cimsearch.spec.adc import Adc
from cimsearch.spec.hardware import ConfigurableField, Hardware, Macro, Noise


def scored_part(hardware: Hardware) -> dict[str, Any]:
    """Return what an accuracy depends on, as plain data: equal parts give equal scores.

    It errs on the side of more: a field that matters to some layers is in it for all of them. A
    digital macro without noise computes exactly, whatever its array is.
    """
    macro = hardware.macro
    if macro.adc is None and macro.noise == Noise():
        return {"computes": "exactly"}
    part = {
        "computes": macro.compute_model,
        "device": macro.device,
        "noise": macro.noise.model_dump(mode="json"),
        "weights": {"encoding": macro.weights.encoding},
        "input": {"dac_bits": macro.input.dac_bits},
        "packing": macro.packing,
        "array": macro.array.model_dump(include={"rows", "cols", "active_rows", "cell_bits"}),
        "accumulator": macro.accumulator.model_dump(mode="json") if macro.accumulator else None,
        "adc": macro.adc.model_dump(include={"bits", "columns_per_adc", "range_policy"})
        if macro.adc
        else None,
    }
    if macro.adc is not None and macro.adc.activation:
        part |= _of_activations(macro, macro.adc)
    return part | (_of_devices(macro) if macro.noise.has_effects else {})


def _of_activations(macro: Macro, adc: Adc) -> dict[str, Any]:
    """Return what decides which activations converters compute: bits are rounded up to these."""
    fields: tuple[ConfigurableField, ...] = ("weight_bits", "activation_bits")
    return {
        "activations": list(adc.activation),
        "settings": {field: list(macro.choices(field)) for field in fields},
    }


def _of_devices(macro: Macro) -> dict[str, Any]:
    """Return what only the effects of single devices read."""
    return {
        "cell": macro.cell.model_dump(mode="json"),
        "supply_v": macro.supply_v,
        "corner": macro.corner,
        "temperature_c": macro.temperature_c,
    }


def scored_differences(before: Hardware, after: Hardware) -> tuple[str, ...]:
    """Return what an accuracy depends on and differs, a line each: ``path: before -> after``."""
    return tuple(_differences(scored_part(before), scored_part(after), ""))


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            inner = f"{path}.{key}" if path else key
            yield from _differences(before.get(key), after.get(key), inner)
    elif before != after:
        yield f"{path}: {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "stated"
    return "none" if value is None else str(value)
