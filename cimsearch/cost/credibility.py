"""How far a price can be trusted: calibration to the macro's own silicon, and an honest band."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cimsearch.cost.full_call import full_call
from cimsearch.cost.model import estimate_table
from cimsearch.cost.namespace import summed
from cimsearch.cost.silicon.components import AS_SHIPPED, ONE_SCALE
from cimsearch.cost.silicon.macros import CALL_COMPONENTS
from cimsearch.cost.silicon.shipped import shipped
from cimsearch.layer_table import layer_table
from cimsearch.spec.hardware import Calibration, CalibrationPoint, Hardware, Macro
from cimsearch.spec.study import Statistics

NOMINAL_COVERAGE = 0.8
"""Share of chips whose true energy should lie within the band."""

_WAYS = {
    AS_SHIPPED: "default constants, none fitted",
    ONE_SCALE: "each left out of the fit of one scale",
}


@dataclass(frozen=True, slots=True)
class CallCheck:
    """The model beside a measured array call."""

    point: CalibrationPoint
    call_energy_pj: float
    call_ns: float


def check_calibration(
    hardware: Hardware,
    calibration: Calibration,
    *,
    label: Callable[[int], str] = "calibration point {}".format,
) -> tuple[CallCheck, ...]:
    """Return what the model says for every measured array call of ``calibration``.

    Args:
        hardware: The macro, in any system.
        calibration: The measured calls.
        label: Names a call by its number, from 0, in an error.

    Raises:
        HardwareError: A point asks what the macro cannot do.
    """
    points = calibration.points
    calls = [
        full_call(
            hardware.macro,
            w_bits=point.weight_bits,
            x_bits=point.activation_bits,
            adc_bits=point.adc_bits,
        )
        for point in points
    ]
    table = layer_table(calls)
    data = Statistics(
        activity_frac=calibration.activity_frac, density_frac=calibration.density_frac
    )
    costs = estimate_table(table, hardware, data, label=lambda n, _: label(n))
    measured = [name for name in calibration.components if name != "control"]
    energies = summed(costs.components[name] for name in measured)
    if "control" in calibration.components:
        # Of the macro alone: what is around it was not measured.
        energies = energies * (1 + hardware.macro.control_frac)
    return tuple(
        CallCheck(point, float(energy), float(ns))
        for point, energy, ns in zip(points, energies, costs.nodes.call_ns[:, 0], strict=True)
    )


def is_calibrated(hardware: Hardware) -> bool:
    """Return whether the model meets every measured point of this macro within its tolerance."""
    return _meets_points(_Priced(hardware.hash, hardware))


@dataclass(frozen=True)
class _Priced:
    """Hardware by its content."""

    hash: str
    hardware: Hardware = field(compare=False)


@lru_cache(maxsize=64)
def _meets_points(priced: _Priced) -> bool:
    # Asked for every network that is priced, and the same for all on one hardware.
    calibration = priced.hardware.macro.calibration
    if calibration is None:
        return False
    return all(
        abs(check.call_energy_pj / check.point.call_energy_pj - 1) <= calibration.tolerance_frac
        for check in check_calibration(priced.hardware, calibration)
    )


def validated_components(macro: Macro, *, calibrated: bool) -> frozenset[str]:
    """Return the components of the energy of ``macro`` that measurements of chips stand behind.

    Calibrated, those that the measured points cover. Otherwise those of an array call that the
    equations are scored on by ``hardware validate``: none of a macro whose calls a table tells,
    nor of a device with too few chips.
    """
    if calibrated and macro.calibration:
        return frozenset(macro.calibration.components)
    if _not_validated(macro):
        return frozenset()
    return frozenset(CALL_COMPONENTS)


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the modelled energy of a macro can be trusted.

    Attributes:
        factor: The true energy lies within the modelled one / factor and x factor, for
            ``NOMINAL_COVERAGE`` of chips.
        achieved_coverage: The share of chips for which such a band held when they were left out
            of the fit that set it; None if that was not measured.
        basis: What the band rests on, in words.
    """

    factor: float
    achieved_coverage: float | None
    basis: str


def trust_in(macro: Macro, *, calibrated: bool) -> Trust:
    """Return how far the modelled energy of ``macro`` can be trusted.

    Uncalibrated, the band is that of the equations themselves on published chips, each a macro
    by its row in a table and default constants: the conformal quantile of their errors, a chip
    counting once. The defaults were picked with those chips in sight, so the wider of two counts:
    with the defaults as they are, and with one scale refit to the other chips.

    Calibrated, it is that of the equations on chips of which one measured point was given and
    others asked: the conformal quantile again. It holds the errors that the macro's own points may
    have. Where no such chip was of this kind, the band is that of the others, no coverage is
    claimed and the basis says so.
    """
    reason = _not_validated(macro)
    if calibrated and macro.calibration:
        return _calibrated_trust(macro.calibration, reason or _without_pairs(_kind(macro)))
    widest = _widest_bands()
    if reason:
        coarsest = max(trust.factor for trust in widest.values())
        return Trust(coarsest, None, f"not validated ({reason})")
    return widest[_kind(macro)]


def _calibrated_trust(calibration: Calibration, reason: str) -> Trust:
    count, tolerance = len(calibration.points), calibration.tolerance_frac
    band = _one_point_given()
    basis = (
        f"meets {count} measured point{'s' * (count != 1)} of this chip within "
        f"{100 * tolerance:g} %; at other points such models were within x or / "
        f"{band['factor']:.3g} for {100 * NOMINAL_COVERAGE:g} % of {band['chips']} "
        f"{' and '.join(band['technologies'])} chips"
    )
    factor = max(band["factor"], 1 / (1 - tolerance))
    if reason:
        return Trust(factor, None, f"{basis}; there not validated ({reason})")
    return Trust(factor, band["achieved"], basis)


def _not_validated(macro: Macro) -> str:
    """Return why the equations were not scored on chips like ``macro``, or nothing."""
    if macro.array_call:
        return "simulated array calls"
    return "" if _kind(macro) in _widest_bands() else f"{macro.device}: n = 1 or 2"


def _without_pairs(kind: str) -> str:
    """Return why no band of one point given is of a kind of macro, or nothing."""
    return "" if kind in _one_point_given()["technologies"] else f"{kind}: n = 0"


@lru_cache(maxsize=1)
def _one_point_given() -> dict[str, Any]:
    """Return the band of all points of a chip from one of them."""
    listed: list[dict[str, Any]] = shipped()["one_point_given"]
    return next(band for band in listed if band["change"] == "all")


@lru_cache(maxsize=1)
def _widest_bands() -> dict[str, Trust]:
    """Return the band of the equations by kind of macro, the wider of two ways to score them."""
    found: dict[str, Trust] = {}
    reached = shipped()["components"]["reached"]
    for way, words in _WAYS.items():
        chips = {one["technology"]: one["chips"] for one in reached[way]["leave_one_chip_out"]}
        for band in reached[way]["bands"]:
            kind = band["technology"]
            if kind not in found or found[kind].factor < band["factor"]:
                basis = f"the component equations on {chips[kind]} {kind} chips, {words}"
                found[kind] = Trust(band["factor"], band["achieved"], basis)
    return found


def _kind(macro: Macro) -> str:
    if macro.device == "sram":
        return "digital SRAM" if macro.compute_model == "digital" else "analog SRAM"
    return "RRAM" if macro.device == "rram" else "other"
