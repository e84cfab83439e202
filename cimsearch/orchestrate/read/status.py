"""How far a study is, and who is at it: read from the database, whoever runs it."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from cimsearch.evaluate.report import Report
from cimsearch.orchestrate.read.agreement import Agreement, agreements
from cimsearch.orchestrate.read.noted import Noted, Phase
from cimsearch.orchestrate.run import lease
from cimsearch.orchestrate.run.evaluations import label_of
from cimsearch.orchestrate.run.known import Known
from cimsearch.orchestrate.run.stalling import ENDED, EndedBy
from cimsearch.orchestrate.run.state import ADAPTATION
from cimsearch.orchestrate.run.stored import require_study, stored_study
from cimsearch.space import space_of
from cimsearch.store import CimStorage
from cimsearch.store import records as db


@dataclass(frozen=True)
class AtWork:
    """An evaluation that runs.

    Attributes:
        label: What it is, such as ``trial 7``.
        attempt: Which attempt at it this is, from 1.
        worker: Who runs it, once that is known.
        started: When.
        report: How far it is, if it has told.
    """

    label: str
    attempt: int
    worker: str
    started: datetime
    report: Report | None


@dataclass(frozen=True)
class AdaptationStatus:
    """How far the adaptation of a study's networks is.

    Attributes:
        networks: How many of the front go on.
        phase: What is at work, or was last.
        done: Its evaluations that have their result: steps of networks, scorings on test images
            and of one-gene changes.
        waiting: Those that wait for a worker, or run.
        failed: Those that failed: the same command tries them again.
        to_come: Steps of networks that may still be added, at most.
        file: The study's file; empty if it is of none.
    """

    networks: int
    phase: Phase
    done: int
    waiting: int
    failed: int
    to_come: int
    file: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to do but what failed."""
        return self.phase == "changes" and not self.waiting


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is.

    Attributes:
        name: The study's.
        budget: Trained candidates after which no more are proposed; promotions come on top.
        done: Candidates that have their accuracy, at the first rung.
        waiting: Evaluations that wait for a worker, baselines and test scorings included.
        failed: Trials that failed.
        infeasible: Candidates priced and never trained.
        by_rung: How many trials have their accuracy, lowest rung first.
        agreements: How far each two adjacent rungs agree.
        front: Points on the front.
        hypervolume: Of the front, as a share of the box up to the reference point.
        reference: The reference point by objective.
        lease: Who runs it, or ran it last and did not end well; None if nobody does.
        at_work: What runs now.
        imported_from: The file it was imported from, if it was.
        ended_by: What ended the search; None before it ended.
        adaptation: How far its adaptation is; None if nobody has begun it.
    """

    name: str
    budget: int
    done: int
    waiting: int
    failed: int
    infeasible: int
    by_rung: tuple[int, ...]
    agreements: tuple[Agreement, ...]
    front: int
    hypervolume: float
    reference: dict[str, float]
    lease: db.LeaseRow | None
    at_work: tuple[AtWork, ...]
    imported_from: str | None
    ended_by: EndedBy | None
    adaptation: AdaptationStatus | None


def read_status(storage: CimStorage, name: str) -> StudyStatus:
    """Return how far a study is.

    Raises:
        StudyError: There is none of that name.
    """
    row = require_study(storage, name)
    study = stored_study(storage, row)
    objectives, reference = row.user_attrs["objectives"], row.user_attrs["reference"]
    # Before the trials: one that is added meanwhile is not at work without being known.
    unfinished = db.unfinished(storage, row.id)
    rungs = len(study.spec.rungs)
    known = Known(storage, row.id, space_of(study), row.directions, reference, rungs).look()
    running = [each for each in unfinished if each.state == "running"]
    return StudyStatus(
        name=row.name,
        budget=row.user_attrs["trials"],
        done=known.scored,
        waiting=len(unfinished) - len(running),
        failed=known.failed,
        infeasible=known.infeasible,
        by_rung=tuple(known.scored_by_rung),
        agreements=agreements(known.trials, rungs),
        front=len(known.front.trial_ids),
        hypervolume=known.front.hypervolume,
        reference=dict(zip(objectives, reference, strict=True)),
        lease=lease.current(storage, row.id),
        at_work=tuple(_at_work(storage, known, each) for each in running),
        imported_from=db.imported_from(row),
        ended_by=row.user_attrs.get(ENDED),
        adaptation=_adaptation(storage, row),
    )


def _adaptation(storage: CimStorage, row: db.StudyRow) -> AdaptationStatus | None:
    attr = row.user_attrs.get(ADAPTATION)
    if attr is None:
        return None
    evaluations = db.evaluations(storage, row.id)
    noted = Noted.from_attr(attr, [each.id for each in evaluations])
    changes = (change.evaluation for change in noted.changes)
    own = {*noted.steps.values(), *noted.tests.values(), *changes}
    states = Counter(each.state for each in evaluations if each.id in own)
    return AdaptationStatus(
        networks=len(noted.numbers),
        phase=noted.phase,
        done=states["done"],
        waiting=states["pending"] + states["running"],
        failed=states["failed"],
        to_come=noted.to_come,
        file=noted.file,
    )


def _at_work(storage: CimStorage, known: Known, evaluation: db.EvaluationRow) -> AtWork:
    attempt = db.attempts(storage, evaluation.id)[-1]
    return AtWork(
        label=label_of(known, evaluation),
        attempt=attempt.n,
        worker=attempt.worker,
        started=attempt.started,
        report=None if attempt.progress is None else Report.from_json(attempt.progress),
    )
