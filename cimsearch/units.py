"""Units: a number's unit is the suffix of its name, and this file says how it is shown."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """How a quantity is shown: its label and the steps it may be scaled by."""

    label: str
    steps: tuple[tuple[float, str], ...] = ()


_ENERGY = ((1e-3, "fJ"), (1.0, "pJ"), (1e3, "nJ"), (1e6, "µJ"), (1e9, "mJ"))
_TIME = ((1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s"))
_AREA = ((1.0, "µm²"), (1e6, "mm²"))

UNITS: dict[str, Unit] = {
    "pj": Unit("pJ", _ENERGY),
    "fj": Unit("fJ"),
    "ns": Unit("ns", _TIME),
    "ps": Unit("ps"),
    "um2": Unit("µm²", _AREA),
    "um": Unit("µm"),
    "mm": Unit("mm"),
    "nm": Unit("nm"),
    "v": Unit("V"),
    "mv": Unit("mV"),
    "ff": Unit("fF"),
    "us": Unit("µS"),
    "mw": Unit("mW"),
    "uw": Unit("µW"),
    "c": Unit("°C"),
    "kib": Unit("KiB"),
    "bits": Unit("bit"),
    "frac": Unit("fraction"),
    "s": Unit("s"),
    "hours": Unit("h"),
    "gbps": Unit("Gb/s"),
    "mhz": Unit("MHz"),
    "ppm": Unit("ppm"),
}

MILLION = 1_000_000


def millionths(share: float) -> int:
    """Return a share in whole millionths: what is counted with it is then exact."""
    return round(share * MILLION)


def unit_of(name: str) -> Unit:
    """Return the unit of a quantity by its name's suffix; a name without one is dimensionless."""
    return UNITS.get(name.rsplit("_", 1)[-1], Unit("")) if "_" in name else Unit("")


def quantity(name: str) -> str:
    """Return a name without its unit: ``energy_measured_pj`` gives ``energy measured``."""
    bare = name.rsplit("_", 1)[0] if unit_of(name).label else name
    return bare.replace("_", " ")


def label(name: str) -> str:
    """Return an axis or column label: ``energy_pj`` gives ``energy [pJ]``."""
    unit = unit_of(name).label
    return f"{quantity(name)} [{unit}]" if unit else quantity(name)


def show(name: str, value: float) -> str:
    """Return a value with its unit, scaled: ``show("energy_pj", 5210)`` is ``5.21 nJ``."""
    unit = unit_of(name)
    if name == "accuracy" or name.endswith("_accuracy"):
        return f"{100 * value:.2f} %"
    factor, text = 1.0, unit.label
    for step, step_label in unit.steps:
        if abs(value) >= step:
            factor, text = step, step_label
    return f"{value / factor:.4g} {text}".rstrip()
