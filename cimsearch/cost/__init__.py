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
    Totals,
    estimate_table,
    estimate_totals,
)
from cimsearch.cost.plan import Placement, mapping_plan
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
    "Placement",
    "Totals",
    "band_factor",
    "check_calibration",
    "estimate",
    "estimate_table",
    "estimate_totals",
    "is_calibrated",
    "mapping_plan",
    "node_statistics",
]
