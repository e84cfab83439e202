"""What an explanation is made of: products of terms and sums of those, counts, constants."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from cimsearch.cost.explain_expression import Term
from cimsearch.cost.layers import Layers
from cimsearch.cost.namespace import values_of
from cimsearch.spec.hardware import Hardware

Product = tuple[Term, ...]

FJ_A_PJ = Term("1000 fJ/pJ", 1000.0, "fJ/pJ")
PS_A_NS = Term("1000 ps/ns", 1000.0, "ps/ns")
MHZ_NS = Term("1000 MHz ns", 1000.0, "MHz ns")
UM2_A_MM2 = Term("1000000 um2/mm2", 1e6, "um2/mm2")
"""Factors between units, written with them."""

NOT_ON_ARRAYS = "the layer is not on arrays"
_SIMULATED = "the table array_call covers it"


@dataclass(frozen=True, slots=True)
class Equation:
    """A sum of products of terms: the energy of one component.

    Attributes:
        component: One of the model's components.
        products: The products that add up; none where the component cannot be.
        per_pj: What one pJ is in the unit of the products.
        why_zero: Why there are no products.
    """

    component: str
    products: tuple[Product, ...]
    per_pj: float = 1e3
    why_zero: str = ""

    @property
    def value_pj(self) -> float:
        """The terms multiplied out, pJ."""
        return sum_of(self.products) / self.per_pj

    @property
    def terms(self) -> tuple[Term, ...]:
        """The factors, each once."""
        return tuple(dict.fromkeys(term for product in self.products for term in product))

    @property
    def text(self) -> str:
        """The equation in symbols."""
        written = [" x ".join(term.symbol for term in product) for product in self.products]
        return self._scaled(" + ".join(written)) if written else self.why_zero

    @property
    def filled(self) -> str:
        """The equation with its numbers."""
        written = [" x ".join(term.filled for term in product) for product in self.products]
        return self._scaled(" + ".join(written)) if written else "0"

    def _scaled(self, total: str) -> str:
        if self.per_pj == 1:
            return total
        return f"({total}) / ({self.per_pj:g} fJ/pJ)"


@dataclass(frozen=True, slots=True)
class Count:
    """An integer of the mapping: its name, its value, and the arithmetic that gives it."""

    name: str
    value: int
    symbols: str
    arithmetic: str


def sum_of(products: Iterable[Product]) -> float:
    """Return products multiplied out and added."""
    return sum(prod(term.value for term in product) for product in products)


def with_inner(terms: Iterable[Term]) -> Iterator[Term]:
    """Yield terms, each before the terms of its formula; those of several come again."""
    for term in terms:
        yield term
        yield from with_inner(term.inner)


def number(array: Any) -> float:
    """Return the only entry of an array (1, 1), or a plain number."""
    return float(values_of(array)[0, 0]) if hasattr(array, "shape") else float(array)


def is_on_arrays(layers: Layers) -> bool:
    """Return whether the one layer is on arrays."""
    return bool(number(1.0 * layers.demand.cim))


def why_nothing(layers: Layers, component: str) -> str:
    """Return why a component of the macro costs nothing by its equation; empty if it does."""
    if not is_on_arrays(layers):
        return NOT_ON_ARRAYS
    return _SIMULATED if component in layers.hardware.macro.simulated else ""


def count(layers: Layers, name: str) -> Term:
    """Return an integer of the mapping as a term."""
    return Term(name, number(getattr(layers.mapping, name)))


def shape(layers: Layers, name: str) -> Term:
    """Return a size of the layer, a column of the layer table, as a term."""
    symbol = name.replace("in_", "input ").replace("out_", "output ").replace("_", " ")
    return Term("fan-in" if name == "fan_in" else symbol, number(getattr(layers.table, name)))


def constant(hardware: Hardware, path: str) -> Term:
    """Return a constant of the hardware as a term."""
    value = float(value_at(hardware, path))
    return Term(path.split(".", 1)[1], value, unit_of(path), path)


def data_term(layers: Layers, name: str) -> Term:
    """Return ``activity``, ``density`` or ``zero_planes`` as a term."""
    return Term(
        name.replace("_", " "), number(getattr(layers, name)), how="from the data statistics"
    )


def value_at(owner: Any, path: str) -> Any:
    """Return what stands at a dotted path of ``Hardware``; a tuple of it below a list."""
    found = owner
    for part in path.split("."):
        listed = isinstance(found, tuple)
        found = tuple(getattr(each, part) for each in found) if listed else getattr(found, part)
    return found


_UNITS = {
    "pj_per_bit": "pJ/bit",
    "pj_per_cell": "pJ/cell",
    "ns_per_row": "ns/row",
    "ns_per_bit": "ns/bit",
    "ff_per_cell": "fF/cell",
    "ff_per_bit": "fF/bit",
    "ff_per_mm": "fF/mm",
    "uw_per_mm2": "uW/mm2",
    "um2": "um2",
    "mm": "mm",
    "ff": "fF",
    "fj": "fJ",
    "pj": "pJ",
    "ps": "ps",
    "ns": "ns",
    "nm": "nm",
    "us": "uS",
    "kib": "KiB",
    "mhz": "MHz",
    "msps": "MS/s",
    "gbps": "Gb/s",
    "c": "C",
    "v": "V",
}


def unit_of(path: str) -> str:
    """Return the unit that the name of a constant ends in; empty for none."""
    name = path.rsplit(".", 1)[-1]
    ending = (unit for suffix, unit in _UNITS.items() if f"_{name}".endswith(f"_{suffix}"))
    return next(ending, "")
