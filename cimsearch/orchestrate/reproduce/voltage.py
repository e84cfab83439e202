"""Published macros at other supplies than the one their file is calibrated at."""

from collections.abc import Iterator
from dataclasses import dataclass

from cimsearch.cost import check_calibration
from cimsearch.orchestrate.reproduce.rows import Reproduction, Row
from cimsearch.spec import load_hardware
from cimsearch.spec.supply import at_supply

TOLERANCE_FRAC = 0.1
"""How far an energy may be off at another supply: the goal that docs/validation.md states."""

_UIUC = (
    "as listed by the UIUC in-memory-computing benchmark (N. Shanbhag and S. Roy, OJ-SSCS 2022)"
)
_CIMLOOP = "as transcribed by the CiMLoop project (T. Andrulis et al., ISPASS 2024)"
_NOTES = (
    "Given is the efficiency at one supply; the component equations, scaled to it, say the "
    "others. TOPS/W counts 1 MAC = 2 OPS, at the precision named, of the macro alone.",
    "The chips are all of the catalogue with measured points at several supplies. None of the "
    "papers was read for it: the points are third parties' transcriptions. For wang_vlsi_2022 the "
    "two sources disagree on which supply 32.2 TOPS/W is at; CiMLoop's pairing is taken.",
)


@dataclass(frozen=True, slots=True)
class _Sweep:
    """The published efficiencies of a macro of the catalogue, by supply in V; the first is given.

    All of a macro's points are at one precision.
    """

    macro: str
    precision: str
    tops_per_w: tuple[tuple[float, float], ...]
    source: str


SWEEPS = (
    _Sweep(
        "jia_jssc_2020",
        "1 b x 1 b",
        ((0.85, 400.0), (1.2, 192.0)),
        f"H. Jia et al., IEEE JSSC 2020, {_UIUC}, and alike {_CIMLOOP}",
    ),
    _Sweep(
        "jiang_vlsi_2018",
        "1 b x 1 b",
        ((0.6, 403.0), (1.0, 139.1)),
        f"Z. Jiang et al., VLSI Technology 2018, {_UIUC}",
    ),
    _Sweep(
        "papistas_cicc_2021",
        "7 b x ternary",
        ((0.8, 1050.0), (0.6, 1870.0)),
        f"I. A. Papistas et al., CICC 2021, {_UIUC}",
    ),
    _Sweep(
        "wang_vlsi_2022",
        "8 b x 8 b",
        ((0.7, 32.2), (1.0, 16.4), (1.1, 15.5)),
        f"H. Wang et al., VLSI 2022, {_CIMLOOP}",
    ),
    _Sweep(
        "choi_cicc_2022",
        "4 b x 4 b",
        ((0.85, 133.58), (1.2, 52.33)),
        f"E. Choi et al., CICC 2022, {_UIUC}",
    ),
)


def voltage_sweep() -> Reproduction:
    """Return the efficiency of published macros at other supplies, predicted from one."""
    return Reproduction(
        "voltage_sweep",
        "efficiency of published macros at other supplies, predicted from one",
        tuple(row for sweep in SWEEPS for row in _rows(sweep)),
        _NOTES,
    )


def _rows(sweep: _Sweep) -> Iterator[Row]:
    """Yield the points of a macro that are predicted."""
    (given_v, given), *others = sweep.tops_per_w
    given_pj = _call_pj(sweep.macro, given_v)
    for supply_v, paper in others:
        ours = given * given_pj / _call_pj(sweep.macro, supply_v)
        yield Row(
            what=f"{sweep.macro}, {sweep.precision}: {supply_v:g} V from {given_v:g} V",
            unit="TOPS/W",
            paper=paper,
            ours=round(ours, 2),
            tolerance=f"{100 * TOLERANCE_FRAC:g} % of energy",
            # Efficiency is the inverse of energy: predicted over measured energy is paper / ours.
            passed=abs(paper / ours - 1) <= TOLERANCE_FRAC,
            evidence="third party",
            source=sweep.source,
        )


def _call_pj(macro: str, supply_v: float) -> float:
    """Return the energy of a full array call of a macro's calibration, at another supply."""
    hardware = load_hardware(f"macros/{macro}")
    calibration = hardware.macro.calibration
    if calibration is None:
        raise ValueError(f"{macro} has no calibration")
    there = hardware.model_copy(update={"macro": at_supply(hardware.macro, supply_v)})
    return check_calibration(there, calibration)[0].call_energy_pj
