"""The uniform baselines of a study as they were scored, and why others were not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cimsearch.errors import HardwareError
from cimsearch.evaluate import Score
from cimsearch.search.baselines import baselines
from cimsearch.search.pricing import price, violation
from cimsearch.space import Candidate
from cimsearch.spec import Study
from cimsearch.store import records as db

# More than this under its own ideal-ADC accuracy, a baseline is broken by the converter: to beat
# it would prove nothing.
_BROKEN_BELOW_IDEAL = 0.03
_BROKEN_SHARE = 0.5


@dataclass(frozen=True)
class BaselineResult:
    """A uniform network, trained and scored as the candidates are.

    Attributes:
        name: What it is called.
        objectives: Value by objective name, as of a trial.
        constraints: Relative violation by constraint name; <= 0 is feasible.
        candidate: The network and its float parent.
        cost: The cost report as plain data.
        score: What training found, on validation images.
        test: The same on test images, if it was scored on them.
        test_accuracy: The study's ``accuracy_statistic`` of ``test``.
    """

    name: str
    objectives: Mapping[str, float]
    constraints: Mapping[str, float]
    candidate: Candidate
    cost: Mapping[str, Any]
    score: Score
    test: Score | None
    test_accuracy: float | None

    @property
    def broken(self) -> bool:
        """Whether converter and noise cost it more than 3 points, or most of what its parent has.

        Steps are fitted to the noise, so on very noisy hardware an ideal converter is no help.
        """
        score = self.score
        lost = score.ideal_accuracy - score.accuracy_at_best > _BROKEN_BELOW_IDEAL
        return lost or score.accuracy_at_best < _BROKEN_SHARE * score.float_accuracy

    @property
    def infeasible(self) -> str:
        """Which constraints it misses and by how much, as ``missed``; no front would hold it."""
        return missed(self.constraints)


def missed(constraints: Mapping[str, float]) -> str:
    """Return which constraints are missed and by how much, such as ``area_um2 by 20 %``."""
    return ", ".join(f"{name} by {100 * v:.0f} %" for name, v in constraints.items() if v > 0)


def baseline_results(study: Study, rows: Sequence[db.EvaluationRow]) -> tuple[BaselineResult, ...]:
    """Return the baselines that have a score."""
    tests = {row.label: row for row in rows if row.role == "test" and row.score is not None}
    return tuple(
        _result(study, row, row.score, tests.get(row.label))
        for row in rows
        if row.role == "baseline" and row.score is not None
    )


def _result(
    study: Study, row: db.EvaluationRow, found: str, tested: db.EvaluationRow | None
) -> BaselineResult:
    cost, score = json.loads(row.cost), Score.from_json(found)
    test = Score.from_json(tested.score) if tested and tested.score else None
    statistic = study.spec.accuracy_statistic
    priced = {name: float(cost[name]) for name in study.spec.objectives[1:]}
    return BaselineResult(
        name=row.label,
        objectives={"accuracy": score.accuracy_by(statistic)} | priced,
        constraints={
            name: float(violation(cost[name], bound)) for name, bound in study.bounds.items()
        },
        candidate=Candidate.from_json(row.candidate),
        cost=cost,
        score=score,
        test=test,
        test_accuracy=test.accuracy_by(statistic) if test else None,
    )


def missing_baselines(study: Study, rows: Sequence[db.EvaluationRow]) -> dict[str, str]:
    """Return why each baseline that has no score has none, by name."""
    own = [row for row in rows if row.role == "baseline"]
    scored = [row for row in own if row.score is not None]
    # A baseline has another name in an old file, and other ADC bits where a study was repriced.
    known = {row.label for row in scored}
    known |= {Candidate.from_json(row.candidate).hash for row in scored}
    failed = {row.label: row.fail_reason for row in own if row.fail_reason}
    return {
        name: failed.get(name) or _unscored(study, candidate)
        for name, candidate in baselines(study).items()
        if not {name, candidate.hash} & known
    }


def _unscored(study: Study, candidate: Candidate) -> str:
    """Return why a baseline that was not tried has no score."""
    try:
        price(study, candidate)
    except HardwareError as error:
        return f"cannot run on {study.hardware.name}: {error.message}"
    return "not scored yet"
