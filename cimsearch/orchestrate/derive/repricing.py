"""A study's trials and baselines priced on other hardware, to be written as a study of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cimsearch
from cimsearch.errors import HardwareError, StudyError
from cimsearch.evaluate import Score
from cimsearch.orchestrate.derive.fronts import fronts_of, last_front
from cimsearch.orchestrate.read.stale import differences
from cimsearch.orchestrate.run.evaluations import layer_rows
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.state import ADAPTATION, DERIVED
from cimsearch.search.pricing import Priced, energy_measured_pj, price
from cimsearch.search.samplers import distributions, genes_of
from cimsearch.space import Candidate, space_of
from cimsearch.spec import Study
from cimsearch.store import CimStorage
from cimsearch.store import records as db
from cimsearch.store.archive import IMPORTED, KEY_PREFIX
from cimsearch.store.derived import DerivedEvaluation, DerivedStudy, DerivedTrial


@dataclass(frozen=True)
class Repriced:
    """What became of a study on other hardware.

    Attributes:
        name: The new study's name.
        source: The study that was repriced.
        hardware: What it was priced on.
        priced: Trained trials that have a price there and meet the constraints.
        front: The numbers of the trials on the new front; trials keep their numbers.
        source_front: Those on the front of ``source``.
        refused: Why a trained trial or a baseline cannot run there, by ``trial N`` or baseline.
        infeasible: The trained trials that miss a constraint there.
        untrained: How many trials of ``source`` have no accuracy: failed, infeasible, not ended.
        differences: What accuracies depend on and differs, where they were found -> there; those
            are stale. Empty if none is.
    """

    name: str
    source: str
    hardware: str
    priced: int
    front: tuple[int, ...]
    source_front: tuple[int, ...]
    refused: Mapping[str, str]
    infeasible: tuple[int, ...]
    untrained: int
    differences: tuple[str, ...]


def is_repriced(row: db.StudyRow) -> bool:
    """Tell whether a study was repriced in this database, not imported as such from a file."""
    origin = row.user_attrs.get(IMPORTED)
    return DERIVED in row.user_attrs and origin == row.user_attrs[DERIVED]["origin"]


class Repricing:
    """One study priced on another's hardware.

    Args:
        database: Where it is.
        row: The study.
        old: The study as it was searched.
        new: The study as it is to be.
    """

    def __init__(self, database: CimStorage, row: db.StudyRow, old: Study, new: Study) -> None:
        self.row, self.old, self.new = row, old, new
        self.space = space_of(old)
        self.distributions = distributions(self.space)
        self.source = db.trial_rows(database, row.id)
        self.numbers = {trial.trial_id: trial.number for trial in self.source}
        rows = db.evaluations(database, row.id)
        self.rows = {each.id: each for each in rows if each.score is not None}
        self.differences: dict[str, None] = {}
        self.refused: dict[str, str] = {}
        self.infeasible: list[int] = []
        self.evaluations: list[DerivedEvaluation] = []
        self.trained = [trial for trial in self.source if self._score_row(trial) is not None]
        if not self.trained:
            raise StudyError(
                f"{row.name}: no trial has an accuracy to keep", "launch or resume it first"
            )
        # As that of a study which is launched there.
        self.reference = Plan(new, None, "", len(self.trained)).reference
        self.trials = [self._trial(trial) for trial in self.source]
        self._add_baselines()
        self._add_tests()
        self.fronts = fronts_of(self._points(), row.directions, self.reference)

    def check_any(self) -> None:
        """Check that a trained network can run there.

        Raises:
            HardwareError: None can.
        """
        if all(f"trial {trial.number}" in self.refused for trial in self.trained):
            label, reason = next(iter(self.refused.items()))
            raise HardwareError(
                f"none of the {len(self.trained)} trained networks of {self.row.name} can run on "
                f"{self.new.hardware.name}; {label}: {reason}",
                "name hardware whose `configurable` has the choices that the study searched",
            )

    def derived(self) -> DerivedStudy:
        """Return the new study, to be added to the database."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        origin = {
            "file": f"study {self.row.name}, repriced on {self.new.hardware.name}",
            "at": now,
        }
        attrs = {
            **{name: v for name, v in self.row.user_attrs.items() if name != ADAPTATION},
            "identity": self.new.hash,
            "reference": list(self.reference),
            "version": cimsearch.__version__,
            # Candidates: promotions are not counted.
            "trials": sum(not trial.rung for trial in self.trained),
            IMPORTED: origin,
            DERIVED: {
                "study": self.row.name,
                "hardware": self.old.hardware.name,
                "origin": origin,
            },
        }
        return DerivedStudy(
            name=self.new.name,
            spec_json=self.new.to_json(),
            directions=self.row.directions,
            user_attrs=attrs,
            trials=self.trials,
            evaluations=self.evaluations,
            fronts=self.fronts,
        )

    def told(self) -> Repriced:
        """Return what became of it."""
        reference, rungs = tuple(self.row.user_attrs["reference"]), len(self.new.spec.rungs)
        scored = [(t.number, t.rung, t.values) for t in self.trained if t.values is not None]
        return Repriced(
            name=self.new.name,
            source=self.row.name,
            hardware=self.new.hardware.name,
            priced=sum(each.trial is not None for each in self.evaluations),
            front=last_front(self.fronts, rungs),
            source_front=last_front(fronts_of(scored, self.row.directions, reference), rungs),
            refused=self.refused,
            infeasible=tuple(self.infeasible),
            untrained=len(self.source) - len(self.trained),
            differences=tuple(self.differences),
        )

    def _points(self) -> list[tuple[int, int | None, tuple[float, ...]]]:
        scored = {each.trial for each in self.evaluations}
        return [
            (number, trial.new.rung, trial.tell.values)
            for number, trial in enumerate(self.trials)
            if number in scored and trial.tell.values is not None
        ]

    def _score_row(self, trial: db.TrialRow) -> db.EvaluationRow | None:
        """Return the evaluation that a trial has its accuracy from, if it has one."""
        if trial.state != "complete" or trial.evaluation_id is None:
            return None
        return self.rows.get(trial.evaluation_id)

    def _trial(self, trial: db.TrialRow) -> DerivedTrial:
        kept = {k: v for k, v in trial.user_attrs.items() if k != "hypervolume"}
        below = trial.promoted_from
        return DerivedTrial(
            source=trial,
            new=db.NewTrial(
                params=trial.params,
                distributions=self.distributions,
                candidate_hash=trial.candidate_hash,
                rung=trial.rung,
                user_attrs=kept,
            ),
            tell=self._tell(trial),
            promoted_from=None if below is None else self.numbers[below],
        )

    def _tell(self, trial: db.TrialRow) -> db.Tell:
        """Return how a trial ends on the new hardware; one that is scored keeps its evaluation."""
        row = self._score_row(trial)
        if trial.values is None:
            ended = "had not ended when the study was repriced"
            return db.Tell("fail", fail_reason=trial.fail_reason or ended)
        try:
            priced = price(self.new, self.space.decode(genes_of(self.space, trial.params)))
        except HardwareError as error:
            if row is not None:
                self.refused[f"trial {trial.number}"] = error.message
            return db.Tell("fail", fail_reason=f"{self.new.hardware.name}: {error.message}")
        if not priced.feasible:
            if row is not None:
                self.infeasible.append(trial.number)
            return db.Tell("complete", (0.0, *priced.objectives), priced.constraints)
        if row is None:
            reason = f"never trained: it was infeasible on {self.old.hardware.name}"
            return db.Tell("fail", fail_reason=reason)
        return self._scored(trial, trial.values[0], row, priced)

    def _scored(
        self, trial: db.TrialRow, accuracy: float, row: db.EvaluationRow, priced: Priced
    ) -> db.Tell:
        self._keep(row, priced, trial.number)
        score = Score.from_json(row.score or "")
        attrs: dict[str, Any] = {
            "energy_measured_pj": energy_measured_pj(self.new, priced.candidate, score),
            "reused": True,
        }
        values = (accuracy, *priced.objectives)
        return db.Tell("complete", values, priced.constraints, user_attrs=attrs)

    def _add_baselines(self) -> None:
        for row in self.rows.values():
            if row.role == "baseline":
                try:
                    priced = price(self.new, Candidate.from_json(row.candidate))
                except HardwareError as error:
                    self.refused[row.label] = error.message
                else:
                    self._keep(row, priced)

    def _add_tests(self) -> None:
        """Keep what was found on test images, unless that is stale."""
        kept = {f"trial {each.trial}" for each in self.evaluations if each.trial is not None}
        kept |= {each.new.label for each in self.evaluations}
        for row in self.rows.values():
            if row.role != "test" or row.label not in kept:
                continue
            if not differences(row, self.new.hardware):
                self._keep(row, price(self.new, Candidate.from_json(row.candidate)))

    def _keep(self, row: db.EvaluationRow, priced: Priced, trial: int | None = None) -> None:
        self.differences |= dict.fromkeys(differences(row, self.new.hardware))
        self.evaluations.append(_kept(row, priced, trial))


def _kept(row: db.EvaluationRow, priced: Priced, trial: int | None) -> DerivedEvaluation:
    """Return an evaluation at its new price, with the score and the job that found it."""
    new = db.NewEvaluation(
        role=row.role,
        label=row.label,
        key=KEY_PREFIX + row.key.removeprefix(KEY_PREFIX),
        candidate=row.candidate,
        cost=json.dumps(priced.report.to_dict()),
        job=row.job,
        layers=layer_rows(priced.report),
        score=row.score,
    )
    return DerivedEvaluation(new, row.created, row.ended or row.created, trial)
