"""What a study found, read from its database."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cimsearch.evaluate import Score
from cimsearch.orchestrate.read.agreement import Agreement, agreements
from cimsearch.orchestrate.read.baseline_results import (
    BaselineResult,
    baseline_results,
    missing_baselines,
)
from cimsearch.orchestrate.read.noted import Noted
from cimsearch.orchestrate.run.sources import Sources, stored_sources
from cimsearch.orchestrate.run.stalling import ENDED, EndedBy
from cimsearch.orchestrate.run.state import (
    ADAPTATION,
    DERIVED,
    STARTED,
    front_of,
    is_scored,
    was_uniform,
)
from cimsearch.search.samplers import genes_of
from cimsearch.space import Candidate, space_of
from cimsearch.spec import Study
from cimsearch.spec.settings import setting_of
from cimsearch.store import CimStorage
from cimsearch.store import records as db


@dataclass(frozen=True)
class TrialResult:
    """A trial with what is known of it.

    Attributes:
        number: The trial's number.
        rung: What it was trained and scored at, counted from 0.
        promoted_from: The number of the trial of the same candidate at the rung below, if any.
        state: ``complete``, ``running``, ``failed``, or ``infeasible`` (priced, never trained).
        on_front: Whether it is on the Pareto front, which is that of the last rung.
        objectives: Value by objective name, with the unit in the name; accuracy is 0..1,
            the study's ``accuracy_statistic`` over the chips.
        constraints: Relative violation by constraint name; <= 0 is feasible.
        genes: Choice by gene name, active genes only.
        candidate: The network and its float parent.
        cost: The cost report as plain data; None if it was never to be trained.
        score: What training found, on validation images.
        test: The same on test images, if it was scored on them.
        test_accuracy: The study's ``accuracy_statistic`` of ``test``.
        energy_measured_pj: Energy at the candidate's own measured activity and density.
        evaluation_id: Its row in the database; None if it was never to be trained.
        reused: Whether the score came from an earlier equal evaluation.
        uniform: Whether its candidate was drawn uniformly, by whatever sampler.
        reason: Why it failed.
    """

    number: int
    rung: int
    promoted_from: int | None
    state: str
    on_front: bool
    objectives: Mapping[str, float]
    constraints: Mapping[str, float]
    genes: Mapping[str, int | float | str]
    candidate: Candidate
    cost: Mapping[str, Any] | None
    score: Score | None
    test: Score | None
    test_accuracy: float | None
    energy_measured_pj: float | None
    evaluation_id: int | None
    reused: bool
    uniform: bool
    reason: str


@dataclass(frozen=True)
class StudyResult:
    """A study as its database has it, finished or not.

    Attributes:
        study: The study with its space and hardware.
        directions: ``maximize`` or ``minimize`` by objective.
        reference: The hypervolume's reference point, in objective units.
        hypervolume: Of the front.
        agreements: How far each two adjacent rungs agree, lowest first.
        budget: Trained candidates after which no more are proposed; promotions come on top.
        trials: Every trial, in order of number.
        baselines: The uniform baselines that were scored.
        missing_baselines: Why each of the others has no accuracy, by name.
        evaluations: Every training that ended, trials, baselines and test scorings.
        ended_by: What ended the search; None before it ended.
        repriced: Whether it is another study's networks on other hardware.
        started: What it began with, if it began with anything: ``study``, ``baselines`` and how
            many candidates had each of the ``fates`` of ``orchestrate.starting``.
        sources: Its data, as it was last found.
        adaptation: How its networks are adapted, and where; None if nobody has begun that.
    """

    study: Study
    directions: tuple[str, ...]
    reference: tuple[float, ...]
    hypervolume: float
    agreements: tuple[Agreement, ...]
    budget: int
    trials: tuple[TrialResult, ...]
    baselines: tuple[BaselineResult, ...]
    missing_baselines: Mapping[str, str]
    evaluations: tuple[db.EvaluationRow, ...]
    ended_by: EndedBy | None
    repriced: bool
    started: Mapping[str, Any] | None
    sources: Sources
    adaptation: Noted | None

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @property
    def front(self) -> tuple[TrialResult, ...]:
        """The Pareto front, cheapest first by the second objective."""
        second = self.study.spec.objectives[1]
        on_front = [trial for trial in self.trials if trial.on_front]
        return tuple(sorted(on_front, key=lambda t: (t.objectives[second], t.number)))

    @property
    def failures(self) -> dict[str, int]:
        """How often each reason made an evaluation fail: trials, baselines, test scorings."""
        return dict(Counter(row.fail_reason for row in self.evaluations if row.fail_reason))

    def settings_of(self, candidate: Candidate) -> tuple[tuple[str, int | float | str], ...]:
        """Return what the hardware's searched fields are for a candidate; none if none is.

        A uniform baseline is on the hardware as its file says.
        """
        study = self.study
        if study.machines is None or candidate.settings:
            return candidate.settings
        return tuple((n, setting_of(study.hardware, n)) for n, _ in study.machines.fields)

    @property
    def last_rung(self) -> tuple[TrialResult, ...]:
        """The trials of the last rung: what a front and a report compare."""
        return tuple(t for t in self.trials if t.rung == len(self.study.spec.rungs) - 1)

    @property
    def by_rung(self) -> tuple[int, ...]:
        """How many trials have their accuracy, lowest rung first."""
        rungs = range(len(self.study.spec.rungs))
        return tuple(self.count("complete", rung=rung) for rung in rungs)

    def count(self, state: str, *, rung: int | None = None) -> int:
        """Return how many trials are in a state, of all rungs or of one."""
        of_rung = (t for t in self.trials if rung is None or t.rung == rung)
        return sum(trial.state == state for trial in of_rung)


def read_result(storage: CimStorage, study_id: int) -> StudyResult:
    """Return everything a study found so far."""
    row = next(s for s in db.list_studies(storage) if s.id == study_id)
    study = Study.from_json(db.load_spec(storage, row.spec_hash or ""))
    trials = db.trial_rows(storage, study_id)
    evaluations = db.evaluations(storage, study_id)
    reference = tuple(map(float, row.user_attrs["reference"]))
    rungs = len(study.spec.rungs)
    scored = [
        (t.trial_id, t.values)
        for t in trials
        if is_scored(t) and t.values is not None and (t.rung or 0) == rungs - 1
    ]
    front = front_of(scored, row.directions, reference)
    reader = _Reader(study, trials, evaluations, frozenset(front.trial_ids))
    return StudyResult(
        study=study,
        directions=row.directions,
        reference=reference,
        hypervolume=front.hypervolume,
        agreements=agreements(trials, rungs),
        budget=row.user_attrs.get("trials", study.spec.budget.trials),
        trials=tuple(map(reader.trial, trials)),
        baselines=baseline_results(study, evaluations),
        missing_baselines=missing_baselines(study, evaluations),
        evaluations=tuple(evaluations),
        ended_by=row.user_attrs.get(ENDED),
        repriced=DERIVED in row.user_attrs,
        started=row.user_attrs.get(STARTED),
        sources=stored_sources(row.user_attrs),
        adaptation=_adaptation(row, evaluations),
    )


def _adaptation(row: db.StudyRow, evaluations: Sequence[db.EvaluationRow]) -> Noted | None:
    attr = row.user_attrs.get(ADAPTATION)
    return None if attr is None else Noted.from_attr(attr, [each.id for each in evaluations])


class _Reader:
    """Puts rows of the database together."""

    def __init__(
        self,
        study: Study,
        trials: list[db.TrialRow],
        evaluations: list[db.EvaluationRow],
        front: frozenset[int],
    ) -> None:
        self.study = study
        self.numbers = {row.trial_id: row.number for row in trials}
        self.space = space_of(study)
        self.rows = {row.id: row for row in evaluations}
        self.tests = {
            row.label: _score(row) for row in evaluations if row.role == "test" and row.score
        }
        self.front = front

    def trial(self, row: db.TrialRow) -> TrialResult:
        genes = genes_of(self.space, row.params)
        evaluation = self.rows[row.evaluation_id] if row.evaluation_id is not None else None
        spec = self.study.spec
        return TrialResult(
            number=row.number,
            rung=row.rung or 0,
            promoted_from=None if row.promoted_from is None else self.numbers[row.promoted_from],
            state=_state(row),
            on_front=row.trial_id in self.front,
            objectives=dict(zip(spec.objectives, row.values or (), strict=False)),
            constraints=dict(zip(self.study.bounds, row.constraints, strict=False)),
            genes=self.space.choices(genes),
            candidate=self.space.decode(genes),
            cost=json.loads(evaluation.cost) if evaluation else None,
            score=_score(evaluation) if evaluation else None,
            test=self.tests.get(f"trial {row.number}"),
            test_accuracy=self._test_accuracy(f"trial {row.number}"),
            energy_measured_pj=row.user_attrs.get("energy_measured_pj"),
            evaluation_id=row.evaluation_id,
            reused=bool(row.user_attrs.get("reused", False)),
            uniform=was_uniform(row.user_attrs.get("sampler", {})),
            reason=row.fail_reason or "",
        )

    def _test_accuracy(self, label: str) -> float | None:
        test = self.tests.get(label)
        return test.accuracy_by(self.study.spec.accuracy_statistic) if test else None


def _score(row: db.EvaluationRow) -> Score | None:
    return Score.from_json(row.score) if row.score is not None else None


def _state(row: db.TrialRow) -> str:
    if row.state == "complete":
        return "infeasible" if row.evaluation_id is None else "complete"
    return {"fail": "failed"}.get(row.state, row.state)
