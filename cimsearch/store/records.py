"""A study's own records, read and written as functions over a storage.

Every write is one transaction. These functions and Optuna's objects work on the same database: an
`optuna.Study` on the storage sees at once what they write, in any process.
"""

from cimsearch.store.attempts import (
    end_attempt,
    finish_evaluation,
    recover,
    start_attempt,
)
from cimsearch.store.reads import (
    attempts,
    evaluations,
    find_score,
    find_study,
    front_events,
    get_evaluation,
    layer_costs,
    list_studies,
    load_spec,
    trial_rows,
)
from cimsearch.store.rows import (
    AttemptRow,
    AttemptState,
    Direction,
    EvaluationRow,
    EvaluationState,
    FrontAction,
    FrontChange,
    FrontEvent,
    LayerCost,
    NewEvaluation,
    NewTrial,
    Role,
    StudyRow,
    Tell,
    TrialIds,
    TrialRow,
    TrialStateName,
)
from cimsearch.store.writes import add_evaluation, add_trial, create_study, save_spec

__all__ = [
    "AttemptRow",
    "AttemptState",
    "Direction",
    "EvaluationRow",
    "EvaluationState",
    "FrontAction",
    "FrontChange",
    "FrontEvent",
    "LayerCost",
    "NewEvaluation",
    "NewTrial",
    "Role",
    "StudyRow",
    "Tell",
    "TrialIds",
    "TrialRow",
    "TrialStateName",
    "add_evaluation",
    "add_trial",
    "attempts",
    "create_study",
    "end_attempt",
    "evaluations",
    "find_score",
    "find_study",
    "finish_evaluation",
    "front_events",
    "get_evaluation",
    "layer_costs",
    "list_studies",
    "load_spec",
    "recover",
    "save_spec",
    "start_attempt",
    "trial_rows",
]
