"""The energy of chips never seen: predicted from table columns, and by the component equations."""

from cimsearch.cost.silicon.combine import WayScore, combinations
from cimsearch.cost.silicon.components import (
    FITTERS,
    as_shipped,
    component_scales,
    fit_scales,
    one_scale,
    predict_shipped,
    predictors,
    record_components,
)
from cimsearch.cost.silicon.fit import Model, TechnologyFit, fit, predict, skipped, usable
from cimsearch.cost.silicon.macros import (
    RowPrice,
    hardware_of,
    price_row,
    reason_not_priced,
    technology_at,
)
from cimsearch.cost.silicon.points import Pair, PairScore, calibrated_pairs, pair_scores
from cimsearch.cost.silicon.score import (
    Band,
    Prediction,
    Score,
    bands,
    coverage,
    held_out,
    leave_one_chip_out,
    log_linear,
    predict_all,
    predicted,
    score,
    scores,
    spearman,
)
from cimsearch.cost.silicon.shipped import record, shipped, shipped_model
from cimsearch.cost.silicon.study import freedoms, learning_curve, repeats
from cimsearch.cost.silicon.table import Chip, read_chips, table_hash
from cimsearch.cost.silicon.time_area import MeasureScore, time_and_area

__all__ = [
    "FITTERS",
    "Band",
    "Chip",
    "MeasureScore",
    "Model",
    "Pair",
    "PairScore",
    "Prediction",
    "RowPrice",
    "Score",
    "TechnologyFit",
    "WayScore",
    "as_shipped",
    "bands",
    "calibrated_pairs",
    "combinations",
    "component_scales",
    "coverage",
    "fit",
    "fit_scales",
    "freedoms",
    "hardware_of",
    "held_out",
    "learning_curve",
    "leave_one_chip_out",
    "log_linear",
    "one_scale",
    "pair_scores",
    "predict",
    "predict_all",
    "predict_shipped",
    "predicted",
    "predictors",
    "price_row",
    "read_chips",
    "reason_not_priced",
    "record",
    "record_components",
    "repeats",
    "score",
    "scores",
    "shipped",
    "shipped_model",
    "skipped",
    "spearman",
    "table_hash",
    "technology_at",
    "time_and_area",
    "usable",
]
