"""What an explanation is made of: terms with values, their products, and sums of those."""

from dataclasses import dataclass
from math import prod
from typing import Any

from cimsearch.cost.layers import Layers
from cimsearch.cost.namespace import values_of


@dataclass(frozen=True, slots=True)
class Term:
    """One factor of an equation.

    Attributes:
        symbol: Its name.
        value: Its number, in ``unit``.
        unit: Its unit; empty for a count.
        paths: The constants that it is, or is computed from, as paths in ``Hardware``.
        how: How it is computed, if it is neither a constant nor an integer of the mapping.
    """

    symbol: str
    value: float
    unit: str = ""
    paths: tuple[str, ...] = ()
    how: str = ""

    @property
    def filled(self) -> str:
        """The number with its unit."""
        return f"{self.value:.10g} {self.unit}".rstrip()


Product = tuple[Term, ...]


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
        return sum(product_of(product) for product in self.products) / self.per_pj

    @property
    def terms(self) -> tuple[Term, ...]:
        """All terms, each once."""
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
        return f"({total}) / {self.per_pj:g}"


@dataclass(frozen=True, slots=True)
class Count:
    """An integer of the mapping: its name, its value, and the arithmetic that gives it."""

    name: str
    value: int
    symbols: str
    arithmetic: str


def product_of(product: Product) -> float:
    """Return the terms of a product multiplied."""
    return prod(term.value for term in product)


def number(array: Any) -> float:
    """Return the only entry of an array (1, 1), or a plain number."""
    return float(values_of(array)[0, 0]) if hasattr(array, "shape") else float(array)


def count(layers: Layers, name: str) -> Term:
    """Return an integer of the mapping as a term."""
    return Term(name, number(getattr(layers.mapping, name)))


def constant(layers: Layers, path: str, *, symbol: str = "") -> Term:
    """Return a constant of the hardware as a term."""
    value = float(value_at(layers.hardware, path))
    return Term(symbol or path.split(".", 1)[1], value, unit_of(path), (path,))


def data_term(layers: Layers, name: str) -> Term:
    """Return ``activity`` or ``density`` as a term."""
    return Term(name, number(getattr(layers, name)), how="data statistics")


def value_at(owner: Any, path: str) -> Any:
    """Return what stands at a dotted path of ``Hardware``."""
    found = owner
    for part in path.split("."):
        found = getattr(found, part)
    return found


_UNITS = {
    "pj_per_bit_2kib": "pJ/bit",
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
    ending = (unit for suffix, unit in _UNITS.items() if path.endswith(f"_{suffix}"))
    return next(ending, "")
