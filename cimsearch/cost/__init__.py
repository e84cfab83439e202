"""What a network costs on a CIM system: mapping to arrays, energy, latency, area."""

from cimsearch.cost.credibility import (
    NOMINAL_COVERAGE,
    CallCheck,
    Trust,
    check_calibration,
    is_calibrated,
    trust_in,
    validated_components,
)
from cimsearch.cost.fidelity import LayerFidelity, fidelity
from cimsearch.cost.group_costs import GroupCost
from cimsearch.cost.model import (
    COMPONENTS,
    CostArrays,
    NodeCosts,
    Totals,
    estimate_table,
    estimate_totals,
)
from cimsearch.cost.parts import NodeStatistics, named_statistics
from cimsearch.cost.plan import Placement, mapping_plan
from cimsearch.cost.report import CostReport, LayerCost, estimate, node_statistics

__all__ = [
    "COMPONENTS",
    "NOMINAL_COVERAGE",
    "CallCheck",
    "CostArrays",
    "CostReport",
    "GroupCost",
    "LayerCost",
    "LayerFidelity",
    "NodeCosts",
    "NodeStatistics",
    "Placement",
    "Totals",
    "Trust",
    "check_calibration",
    "estimate",
    "estimate_table",
    "estimate_totals",
    "fidelity",
    "is_calibrated",
    "mapping_plan",
    "named_statistics",
    "node_statistics",
    "trust_in",
    "validated_components",
]
