"""Arithmetic that remembers how it was written: in symbols, in numbers, and as a value.

``(cap * volts**2).named("E", "fJ")`` is a term with the value, the text ``cap x volts^2`` and the
same with numbers put in, which gives the value again (printed to ten digits).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import ceil, exp, floor, log, log2, sqrt
from operator import add, mul, pow, sub, truediv

FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "ceil": ceil,
    "exp": exp,
    "floor": floor,
    "log": log,
    "log2": log2,
    "max": max,
    "min": min,
    "sqrt": sqrt,
}
"""What arithmetic may apply, by the name it is written with."""

_OPERATORS: Mapping[str, tuple[int, str, Callable[[float, float], float]]] = {
    "+": (1, " + ", add),
    "-": (1, " - ", sub),
    "*": (2, " x ", mul),
    "/": (2, " / ", truediv),
    "**": (3, "^", pow),
}
"""How tight each operator binds, how it is written in symbols, and what it computes."""

_ATOM = 4


class Operand(ABC):
    """What can be added, multiplied and so on: a term, or an expression of terms."""

    @property
    @abstractmethod
    def expression(self) -> "Expression":
        """The operand as an expression."""

    def __add__(self, other: "Operand | float") -> "Expression":
        return _joined(self, "+", other)

    def __radd__(self, other: float) -> "Expression":
        return _joined(other, "+", self)

    def __sub__(self, other: "Operand | float") -> "Expression":
        return _joined(self, "-", other)

    def __rsub__(self, other: float) -> "Expression":
        return _joined(other, "-", self)

    def __mul__(self, other: "Operand | float") -> "Expression":
        return _joined(self, "*", other)

    def __rmul__(self, other: float) -> "Expression":
        return _joined(other, "*", self)

    def __truediv__(self, other: "Operand | float") -> "Expression":
        return _joined(self, "/", other)

    def __rtruediv__(self, other: float) -> "Expression":
        return _joined(other, "/", self)

    def __pow__(self, other: "Operand | float") -> "Expression":
        return _joined(self, "**", other)

    def __rpow__(self, other: float) -> "Expression":
        return _joined(other, "**", self)


@dataclass(frozen=True)
class Term(Operand):
    """One factor of an equation.

    Attributes:
        symbol: Its name.
        value: Its number, in ``unit``.
        unit: Its unit; empty for a count.
        path: The constant that it is, as a path in ``Hardware``; empty if it is none.
        how: What it is, in words, where its name does not say it.
        formula: How it is computed, in symbols; empty if it is given.
        arithmetic: The same in numbers.
        inner: The terms of its formula.
    """

    symbol: str
    value: float
    unit: str = ""
    path: str = ""
    how: str = ""
    formula: str = ""
    arithmetic: str = ""
    inner: tuple["Term", ...] = ()

    @property
    def filled(self) -> str:
        """The number with its unit."""
        return f"{self.value:.10g} {self.unit}".rstrip()

    @property
    def expression(self) -> "Expression":
        """The term as an expression."""
        return Expression(self.value, self.symbol, number_text(self.value), _ATOM, (self,))


@dataclass(frozen=True)
class Expression(Operand):
    """A computed number that has no name yet.

    Attributes:
        value: The number.
        symbols: How it is computed, in symbols.
        arithmetic: The same in numbers.
        rank: How tight its outermost operator binds.
        terms: The terms in it.
    """

    value: float
    symbols: str
    arithmetic: str
    rank: int
    terms: tuple[Term, ...]

    @property
    def expression(self) -> "Expression":
        """The expression itself."""
        return self

    def named(self, symbol: str, unit: str = "", *, how: str = "") -> Term:
        """Return the expression as a term."""
        return Term(
            symbol,
            self.value,
            unit,
            how=how,
            formula=self.symbols,
            arithmetic=self.arithmetic,
            inner=tuple(dict.fromkeys(self.terms)),
        )


def applied(function: str, *operands: Operand | float) -> Expression:
    """Return one of ``FUNCTIONS`` of operands."""
    given = [_expression_of(operand) for operand in operands]
    return Expression(
        float(FUNCTIONS[function](*(each.value for each in given))),
        f"{function}({', '.join(each.symbols for each in given)})",
        f"{function}({', '.join(each.arithmetic for each in given)})",
        _ATOM,
        tuple(term for each in given for term in each.terms),
    )


def total(*operands: Operand) -> Expression:
    """Return the sum of operands, 0 of none."""
    expressions = [operand.expression for operand in operands]
    return reduce(add, expressions) if expressions else _expression_of(0.0)


def number_text(value: float) -> str:
    """Return a number as it is written in arithmetic: whole ones exact, others to ten digits."""
    text = f"{value:.0f}" if value == floor(value) and abs(value) < 2**53 else f"{value:.10g}"
    return text if value >= 0 else f"({text})"


def _expression_of(operand: Operand | float) -> Expression:
    if isinstance(operand, Operand):
        return operand.expression
    text = number_text(operand)
    return Expression(operand, text, text, _ATOM, ())


def _joined(left: Operand | float, sign: str, right: Operand | float) -> Expression:
    rank, symbol, computed = _OPERATORS[sign]
    first, second = _expression_of(left), _expression_of(right)
    # Powers bind from the right, differences and quotients from the left.
    first_apart = first.rank < rank or (first.rank == rank and sign == "**")
    second_apart = second.rank < rank or (second.rank == rank and sign in ("-", "/"))

    def written(one: str, other: str, between: str) -> str:
        one = f"({one})" if first_apart else one
        return f"{one}{between}({other})" if second_apart else f"{one}{between}{other}"

    return Expression(
        float(computed(first.value, second.value)),
        written(first.symbols, second.symbols, symbol),
        written(first.arithmetic, second.arithmetic, f" {sign} "),
        rank,
        (*first.terms, *second.terms),
    )
