"""The energy of chips never seen, predicted from table columns and scored on published silicon."""

from cimsearch.cost.silicon.fit import Model, TechnologyFit, fit, predict, skipped, usable
from cimsearch.cost.silicon.points import Pair, PairScore, calibrated_pairs, pair_scores
from cimsearch.cost.silicon.score import (
    Band,
    Prediction,
    Score,
    bands,
    coverage,
    held_out,
    leave_one_chip_out,
    predict_all,
    score,
    scores,
    spearman,
)
from cimsearch.cost.silicon.shipped import record, shipped, shipped_model
from cimsearch.cost.silicon.study import cycle_times, freedoms, learning_curve, repeats
from cimsearch.cost.silicon.table import Chip, read_chips, table_hash

__all__ = [
    "Band",
    "Chip",
    "Model",
    "Pair",
    "PairScore",
    "Prediction",
    "Score",
    "TechnologyFit",
    "bands",
    "calibrated_pairs",
    "coverage",
    "cycle_times",
    "fit",
    "freedoms",
    "held_out",
    "learning_curve",
    "leave_one_chip_out",
    "pair_scores",
    "predict",
    "predict_all",
    "read_chips",
    "record",
    "repeats",
    "score",
    "scores",
    "shipped",
    "shipped_model",
    "skipped",
    "spearman",
    "table_hash",
    "usable",
]
