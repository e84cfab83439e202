"""What a network costs on a CIM system: mapping to arrays, energy, latency, area."""

from cimsearch.cost.credibility import (
    NOMINAL_COVERAGE,
    CallCheck,
    band_factor,
    check_calibration,
    is_calibrated,
)
from cimsearch.cost.model import (
    COMPONENTS,
    UNVALIDATED,
    CostArrays,
    NodeCosts,
    NodeStatistics,
    estimate_table,
)
from cimsearch.cost.report import CostReport, LayerCost, estimate, node_statistics

__all__ = [
    "COMPONENTS",
    "NOMINAL_COVERAGE",
    "UNVALIDATED",
    "CallCheck",
    "CostArrays",
    "CostReport",
    "LayerCost",
    "NodeCosts",
    "NodeStatistics",
    "band_factor",
    "check_calibration",
    "estimate",
    "estimate_table",
    "is_calibrated",
    "node_statistics",
]
