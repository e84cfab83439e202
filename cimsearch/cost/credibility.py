"""How far a price can be trusted: calibration to the macro's own silicon, and an honest band."""

from dataclasses import dataclass
from functools import lru_cache
from math import pi, sqrt
from statistics import NormalDist

from cimsearch.blueprint import Blueprint, Node, layer_table
from cimsearch.cost.mapping import columns_of_output
from cimsearch.cost.model import estimate_table
from cimsearch.cost.namespace import summed
from cimsearch.cost.silicon.components import AS_SHIPPED, ONE_SCALE
from cimsearch.cost.silicon.shipped import shipped
from cimsearch.spec.hardware import Calibration, CalibrationPoint, Hardware, Macro
from cimsearch.spec.study import Statistics

NOMINAL_COVERAGE = 0.8
"""Share of chips whose true energy should lie within the band."""

CALIBRATED_ERROR = 1.33
"""Error of a model fitted to one point of a chip at its other voltages and precisions.

Mean over 16 pairs of measured points of the chips in the UIUC in-memory-computing benchmark
(N. R. Shanbhag and S. K. Roy, "Benchmarking In-Memory Computing Architectures", OJ-SSCS 2022).
"""


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


def check_calibration(hardware: Hardware, calibration: Calibration) -> tuple[CallCheck, ...]:
    """Return what the model says for every measured array call of ``calibration``.

    Raises:
        HardwareError: A point asks what the macro cannot do.
    """
    points = calibration.points
    table = layer_table([_call_network(hardware.macro, point) for point in points])
    data = Statistics(
        activity_frac=calibration.activity_frac, density_frac=calibration.density_frac
    )
    costs = estimate_table(table, hardware, data, label=lambda n, _: f"calibration point {n}")
    energies = summed(costs.components[name] for name in calibration.components)
    return tuple(
        CallCheck(point, float(energy), float(ns))
        for point, energy, ns in zip(points, energies, costs.nodes.call_ns[:, 0], strict=True)
    )


def _call_network(macro: Macro, point: CalibrationPoint) -> Blueprint:
    """Return the layer that one array call computes: all active rows, all columns."""
    columns = columns_of_output(point.weight_bits, macro.array.cell_bits, macro.weights.encoding)
    inputs, outputs = (macro.array.active_rows, 1, 1), (macro.array.cols // columns, 1, 1)
    call = Node(
        "call",
        "linear",
        ("input",),
        inputs,
        outputs,
        placement="cim",
        w_bits=point.weight_bits,
        x_bits=point.activation_bits,
        adc_bits=point.adc_bits,
    )
    return Blueprint(inputs, outputs[0], (call,))


def is_calibrated(hardware: Hardware) -> bool:
    """Return whether the model meets every measured point of this macro within its tolerance."""
    calibration = hardware.macro.calibration
    if calibration is None:
        return False
    return all(
        abs(check.call_energy_pj / check.point.call_energy_pj - 1) <= calibration.tolerance_frac
        for check in check_calibration(hardware, calibration)
    )


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
    """
    if calibrated:
        points = len(macro.calibration.points) if macro.calibration else 0
        return Trust(
            _log_normal_band(CALIBRATED_ERROR),
            None,
            f"fitted to {points} measured point{'s' * (points != 1)} of this chip; the error at "
            "others is the mean over 16 pairs of points of published chips",
        )
    kind = _kind(macro)
    widest = _widest_bands()
    if kind not in widest:
        coarsest = max(trust.factor for trust in widest.values())
        return Trust(coarsest, None, f"not validated ({macro.device}: n = 1 or 2)")
    return widest[kind]


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


def _log_normal_band(error: float) -> float:
    """Return the band of an error whose mean absolute logarithm is ``ln(error)``."""
    quantile = NormalDist().inv_cdf((1 + NOMINAL_COVERAGE) / 2)
    return float(error ** (quantile / sqrt(2 / pi)))


def _kind(macro: Macro) -> str:
    if macro.device == "sram":
        return "digital SRAM" if macro.compute_model == "digital" else "analog SRAM"
    return "RRAM" if macro.device == "rram" else "other"
