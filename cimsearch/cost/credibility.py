"""How far a price can be trusted: calibration to the macro's own silicon, and an honest band."""

from dataclasses import dataclass
from math import pi, sqrt
from statistics import NormalDist

from cimsearch.blueprint import Blueprint, Node, layer_table
from cimsearch.cost.mapping import columns_of_output
from cimsearch.cost.model import estimate_table
from cimsearch.cost.namespace import summed
from cimsearch.spec.hardware import Calibration, CalibrationPoint, Hardware, Macro
from cimsearch.spec.study import Statistics

NOMINAL_COVERAGE = 0.8
"""Share of chips whose true energy should lie within the band."""

CALIBRATED_ERROR = 1.33
"""Error of a model fitted to one point of a chip at its other voltages and precisions.

Mean over 16 pairs of measured points of the chips in the UIUC in-memory-computing benchmark
(N. R. Shanbhag and S. K. Roy, "Benchmarking In-Memory Computing Architectures", OJ-SSCS 2022).
"""

GEOMETRIC_ERROR = {"analog SRAM": 2.5, "digital SRAM": 2.8, "RRAM": 2.1, "other": 3.2}
"""``exp(mean |ln(model / measured)|)`` of published equations on chips left out of their fit.

Leave-one-chip-out refits of the component equations to the same benchmark: 45 points of 34 analog
SRAM chips, 13 of 12 digital, 16 of 11 RRAM. Flash, PCM and MRAM have too few chips for a claim;
the error of the coarsest model on analog SRAM stands in for them.
"""


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


def band_factor(macro: Macro, *, calibrated: bool) -> float:
    """Return the factor f: the true macro energy lies within model / f and model x f.

    A log-normal error whose mean absolute logarithm is that of the table gives the nominal
    coverage.
    """
    error = CALIBRATED_ERROR if calibrated else GEOMETRIC_ERROR[_kind(macro)]
    quantile = NormalDist().inv_cdf((1 + NOMINAL_COVERAGE) / 2)
    return float(error ** (quantile / sqrt(2 / pi)))


def _kind(macro: Macro) -> str:
    if macro.device == "sram":
        return "digital SRAM" if macro.compute_model == "digital" else "analog SRAM"
    return "RRAM" if macro.device == "rram" else "other"
