"""Arithmetic that remembers how it was written: its text gives its value, and reads as math."""

from collections.abc import Callable
from operator import add, mul, sub

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.cost.explain_expression import (
    FUNCTIONS,
    Expression,
    Operand,
    Term,
    applied,
    total,
)

A, B, C = Term("a", 3.0, "V"), Term("b", -2.0), Term("c", 0.5)


def quotient(over: Operand, below: Operand) -> Expression:
    """Return a quotient whose divisor is not 0."""
    return over / (below if abs(below.expression.value) > 1e-3 else C)


def raised(base: Operand, exponent: Operand) -> Expression:
    """Return a power where it is real and small; else a sum."""
    small = 0.1 < base.expression.value < 3 and abs(exponent.expression.value) < 3
    return base**exponent if small else base + exponent


OPERATORS: tuple[Callable[[Operand, Operand], Operand], ...] = (
    *(add, sub, mul, quotient, raised),
    lambda one, other: applied("max", one, other),
)
LEAVES: st.SearchStrategy[Operand] = st.builds(
    lambda value: Term("t", float(value)), st.sampled_from([1, 2, 3, -1, -2, 0.5, 1.5])
)


def joined(parts: st.SearchStrategy[Operand]) -> st.SearchStrategy[Operand]:
    return st.builds(lambda join, a, b: join(a, b), st.sampled_from(OPERATORS), parts, parts)


@given(st.recursive(LEAVES, joined, max_leaves=8))
def test_the_arithmetic_gives_the_value(operand: Operand) -> None:
    expression = operand.expression
    found = eval(expression.arithmetic, {"__builtins__": {}, **FUNCTIONS})
    assert found == pytest.approx(expression.value, rel=1e-6, abs=1e-6)


def test_it_reads_as_it_is_written() -> None:
    assert (A * (B + 1) - C / (2 * A)).symbols == "a x (b + 1) - c / (2 x a)"
    assert ((A + B) ** 2 / C).arithmetic == "(3 + (-2)) ** 2 / 0.5"
    assert (2 ** (A - 1)).symbols == "2^(a - 1)"
    assert ((A**2) ** C).symbols == "(a^2)^c"
    assert (A - (B - C)).symbols == "a - (b - c)"
    assert total(A, B, C).symbols == "a + b + c"
    assert (total().value, total().arithmetic, total(A).symbols) == (0.0, "0", "a")
    assert applied("ceil", A / C).arithmetic == "ceil(3 / 0.5)"


def test_a_named_expression_is_a_term_of_its_terms() -> None:
    energy = (A * C * C).named("E", "fJ", how="once")
    assert (energy.value, energy.filled) == (0.75, "0.75 fJ")
    assert (energy.formula, energy.arithmetic) == ("a x c x c", "3 * 0.5 * 0.5")
    assert energy.inner == (A, C)
    assert (2 * energy).symbols == "2 x E"
