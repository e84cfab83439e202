"""What the records functions take and give: plain frozen data. Times are aware and UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from optuna.distributions import BaseDistribution

Direction = Literal["maximize", "minimize"]
Role = Literal["trial", "baseline", "test", "adapted"]
TrialStateName = Literal["waiting", "running", "complete", "pruned", "fail"]
EvaluationState = Literal["pending", "running", "done", "failed"]
AttemptState = Literal["running", "done", "lost", "interrupted", "failed", "late"]
"""Without a result: lost if the worker died, interrupted if no worker is to blame."""

FrontAction = Literal["add", "remove"]


@dataclass(frozen=True)
class StudyRow:
    """A study."""

    id: int
    name: str
    spec_hash: str | None
    directions: tuple[Direction, ...]
    user_attrs: Mapping[str, Any]
    created: datetime


@dataclass(frozen=True)
class LayerCost:
    """What one layer of an evaluated network costs; `components` splits its energy, {name: pJ}."""

    layer_index: int
    name: str
    op: str
    energy_pj: float
    latency_ns: float
    area_um2: float
    utilization: float
    components: Mapping[str, float]


@dataclass(frozen=True)
class NewEvaluation:
    """A thing to train and score.

    `key` is equal for equal work, so that a score can be reused; `candidate`, `cost` and `job` are
    JSON. `score` is a score already known for the key: the evaluation is then done from the start.
    """

    role: Role
    label: str
    key: str
    candidate: str
    cost: str
    job: str
    layers: tuple[LayerCost, ...] = ()
    score: str | None = None


@dataclass(frozen=True)
class EvaluationRow:
    """A thing that is to be, or has been, trained and scored."""

    id: int
    study_id: int
    role: Role
    label: str
    trial_id: int | None
    key: str
    candidate: str
    cost: str
    job: str
    state: EvaluationState
    score: str | None
    fail_reason: str | None
    created: datetime
    ended: datetime | None


@dataclass(frozen=True)
class AttemptRow:
    """One try of a worker at an evaluation; `n` counts from 1, `token` is unique.

    `progress` is the last report of the worker, as JSON; `progressed` is when it came.
    """

    evaluation_id: int
    n: int
    token: str
    worker: str
    state: AttemptState
    started: datetime
    ended: datetime | None
    reason: str | None
    progress: str | None
    progressed: datetime | None


@dataclass(frozen=True)
class Lease:
    """A lease that this process has taken."""

    study_id: int
    owner: str
    token: str
    expires: datetime


@dataclass(frozen=True)
class LeaseRow:
    """Somebody's lease; it is alive until it expires by the database's clock."""

    owner: str
    taken: datetime
    renewed: datetime
    expires: datetime
    alive: bool


@dataclass(frozen=True)
class NewTrial:
    """A trial to add: parameters in Optuna's external values, and where the candidate comes from.

    `promoted_from` is the id of the trial of the same candidate at the rung below.
    """

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    candidate_hash: str | None = None
    rung: int | None = None
    promoted_from: int | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FrontChange:
    """A trial that enters or leaves the Pareto front; `trial_id` None is the trial being told."""

    trial_id: int | None
    action: FrontAction


@dataclass(frozen=True)
class Tell:
    """The end of a trial: its values and constraints (<= 0 is feasible), or why it failed.

    `user_attrs` are added to the trial's; `hypervolume` is that of the front after `front` has
    been applied.
    """

    state: Literal["complete", "fail"]
    values: tuple[float, ...] | None = None
    constraints: tuple[float, ...] = ()
    fail_reason: str | None = None
    front: tuple[FrontChange, ...] = ()
    hypervolume: float | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialIds:
    """Where a new trial and its evaluation are found."""

    number: int
    trial_id: int
    evaluation_id: int | None


@dataclass(frozen=True)
class TrialRow:
    """A trial."""

    number: int
    trial_id: int
    state: TrialStateName
    params: Mapping[str, Any]
    values: tuple[float, ...] | None
    constraints: tuple[float, ...]
    candidate_hash: str | None
    rung: int | None
    promoted_from: int | None
    fail_reason: str | None
    user_attrs: Mapping[str, Any]
    started: datetime | None
    ended: datetime | None
    evaluation_id: int | None


@dataclass(frozen=True)
class FrontEvent:
    """A change of the front of one rung; the hypervolume is that after the whole tell."""

    seq: int
    rung: int | None
    trial_id: int
    action: FrontAction
    hypervolume: float | None
