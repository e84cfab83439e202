"""Settings of the hardware in words: the fields that a study searches, as a reader names them."""

from collections.abc import Sequence

from cimsearch.figures.view import Value
from cimsearch.units import quantity, show, unit_of

_CAPITALS = {"adc": "ADC", "dac": "DAC"}


def field_name(name: str) -> str:
    """Return a field's name without its unit: ``supply_v`` gives ``supply``.

    Bits are no unit to a reader: ``adc_bits`` gives ``ADC bits``.
    """
    stem = name.replace("_", " ") if name.endswith("_bits") else quantity(name)
    return " ".join(_CAPITALS.get(word, word) for word in stem.split())


def field_title(name: str) -> str:
    """Return a field's name for a column: ``supply_v`` gives ``supply [V]``."""
    unit = "" if name.endswith("_bits") else unit_of(name).label
    return f"{field_name(name)} [{unit}]" if unit else field_name(name)


def setting_text(name: str, value: Value) -> str:
    """Return a field with its value: ``supply 0.8 V`` or ``ADC bits 5``."""
    if name.endswith("_bits") or isinstance(value, str):
        return f"{field_name(name)} {value}"
    return f"{field_name(name)} {show(name, value)}"


def value_text(value: Value) -> str:
    """Return a setting without its unit, as short as it is."""
    return value if isinstance(value, str) else f"{value:g}"


def settings_text(settings: Sequence[tuple[str, Value]]) -> str:
    """Return settings in one line."""
    return ", ".join(setting_text(name, value) for name, value in settings)


def choices_text(fields: Sequence[tuple[str, Sequence[Value]]]) -> str:
    """Return which values each field may have, in one line."""
    parts = (
        f"{field_title(name)} {', '.join(map(value_text, values))}" for name, values in fields
    )
    return "; ".join(parts)
