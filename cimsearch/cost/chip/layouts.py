"""The columns of each kind of table."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

Kind = Literal["operating", "sums", "spread", "conductance", "converter"]


@dataclass(frozen=True)
class Column:
    """A column: a label, or a number that ``accept`` takes; ``allowed`` says which."""

    name: str
    allowed: str = "a number"
    accept: Callable[[float], bool] = isfinite
    needed: bool = True
    label: bool = False


def _label(name: str, *, needed: bool = True) -> Column:
    return Column(name, "a name", needed=needed, label=True)


def _above_0(name: str, *, needed: bool = True) -> Column:
    return Column(name, "a number above 0", lambda value: value > 0, needed=needed)


def _from_0(name: str) -> Column:
    return Column(name, "a number from 0", lambda value: value >= 0)


def _code(name: str) -> Column:
    return Column(name, "a whole number from 0", lambda value: value >= 0 and value.is_integer())


def _celsius(value: float) -> bool:
    return -55 <= value <= 175


_CHIP = _label("chip", needed=False)
LAYOUTS: tuple[tuple[Kind, tuple[Column, ...]], ...] = (
    (
        "sums",
        (
            _label("chip"),
            _label("column"),
            _above_0("supply_v", needed=False),
            Column("temperature_c", "a number from -55 to 175", _celsius, needed=False),
            Column("ideal_sum"),
            _code("code"),
            _above_0("lsb", needed=False),
            Column("lo", needed=False),
        ),
    ),
    ("spread", (_CHIP, Column("ideal_sum"), Column("mean_sum"), _from_0("sigma_sum"))),
    ("spread", (_CHIP, Column("ideal_frac"), Column("mean_frac"), _from_0("sigma_frac"))),
    (
        "conductance",
        (
            _label("chip"),
            _label("cell", needed=False),
            _from_0("target_us"),
            _above_0("time_s"),
            Column("conductance_us"),
        ),
    ),
    (
        "converter",
        (
            _label("chip"),
            _label("converter"),
            _code("code"),
            Column("inl_lsb", needed=False),
            Column("dnl_lsb", needed=False),
            Column("offset_mv", needed=False),
            Column("offset_lsb", needed=False),
            _above_0("gain", needed=False),
            _above_0("full_scale_mv", needed=False),
        ),
    ),
)
