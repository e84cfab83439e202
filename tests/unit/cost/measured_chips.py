"""Tables of made-up chips that follow known parameters."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from cimsearch.cost.chip import TableFit, fit_chip, read_chip_table
from cimsearch.cost.measured_file import load_macro

ANALOG = "macros/yu_cicc_2020"
"""64 active rows, sums of 0 to 64, codes of 5 bits: steps of 2."""
RESISTIVE = "macros/wan_nature_2022"
"""Cells of up to 40 uS."""


def written(path: Path, header: str, rows: Iterable[Sequence[object]]) -> Path:
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def fitted(path: Path, macro: str) -> TableFit:
    """Return the fit to the one table in a file."""
    return fit_chip([read_chip_table(path)], load_macro(macro).macro).tables[0]


def sums(
    path: Path,
    *,
    chips: int = 4,
    columns: int = 24,
    seed: int = 1,
    offsets: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    gain_sigma: float = 0.02,
    noise: float = 0.9,
    repeats: int = 6,
    transfer: Callable[[float], float] = float,
    conditions: Sequence[tuple[float, float, float]] = ((0.45, 25.0, 1.0),),
) -> Path:
    """Write reads of chips whose columns' offsets spread by ``offsets``, one a chip.

    ``conditions`` are (supply, temperature, gain).
    """
    rng = np.random.default_rng(seed)
    rows = []
    for chip in range(chips):
        for column in range(columns):
            gain, offset = 1 + gain_sigma * rng.normal(), offsets[chip] * rng.normal()
            for supply, celsius, k in conditions:
                for ideal in range(6, 53, 4):
                    read = gain * k * transfer(ideal) + offset
                    codes = np.rint((read + noise * rng.normal(size=repeats)) / 2)
                    rows += [
                        (f"C{chip}", column, supply, celsius, ideal, int(np.clip(code, 0, 31)))
                        for code in codes
                    ]
    return written(path, "chip,column,supply_v,temperature_c,ideal_sum,code", rows)


def conductances(
    path: Path,
    *,
    coefficients: Sequence[float],
    chips: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    spreads: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    nu: tuple[float, float] = (0.0, 0.0),
    times: Sequence[float] = (20.0,),
    cells: int = 100,
    named: bool = True,
    seed: int = 2,
) -> Path:
    """Write cells of chips with mean parts ``chips`` and programming errors times ``spreads``."""
    rng = np.random.default_rng(seed)
    rows = []
    for chip, (part, wide) in enumerate(zip(chips, spreads, strict=True)):
        for target in (4.0, 12.0, 20.0, 28.0, 36.0):
            sigma = wide * float(np.polynomial.polynomial.polyval(target / 40, coefficients))
            for cell in range(cells):
                start = part * (target + sigma * rng.normal())
                own = nu[0] + nu[1] * rng.normal()
                name = (f"{target:g}_{cell}",) if named else ()
                rows += [
                    (f"C{chip}", *name, target, time, f"{start * (time / 20) ** -own:.5f}")
                    for time in times
                ]
    header = "chip,cell,target_us,time_s,conductance_us"
    return written(path, header if named else header.replace("cell,", ""), rows)


def converters(
    path: Path,
    *,
    inl: Sequence[float] = (0.4, 0.4, 0.4, 0.4),
    offset: float = 0.5,
    gain: float = 0.01,
    each: int = 40,
    column: str = "inl_lsb",
    seed: int = 3,
) -> Path:
    """Write converters of chips whose nonlinearity spreads by ``inl`` LSB at mid-scale."""
    rng = np.random.default_rng(seed)
    rows = []
    for chip, sigma in enumerate(inl):
        for converter in range(each):
            widths = rng.normal(size=31) * 2 * sigma / np.sqrt(31)
            curve = np.concatenate([[0.0], np.cumsum(widths)])
            curve -= np.linspace(0, curve[-1], 32)
            values = curve if column == "inl_lsb" else np.diff(curve)
            codes = range(32) if column == "inl_lsb" else range(1, 32)
            own = (f"{offset * rng.normal():.5f}", f"{1 + gain * rng.normal():.6f}")
            rows += [
                (f"C{chip}", converter, code, f"{value:.5f}", *own)
                for code, value in zip(codes, values, strict=True)
            ]
    return written(path, f"chip,converter,code,{column},offset_lsb,gain", rows)
