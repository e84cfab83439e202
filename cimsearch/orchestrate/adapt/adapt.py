"""Adapting the networks of a study, after its search."""

import json
from contextlib import closing

from cimsearch.errors import StudyError, UsageError
from cimsearch.evaluate import Job
from cimsearch.evaluate.pruning import PrunedNetwork, PruneJob, is_prune_job
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.adaptation import Adapting, Step, chosen, first_to_add
from cimsearch.orchestrate.read.noted import Noted
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.evaluations import layer_rows
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.progress import OnProgress, silent
from cimsearch.orchestrate.run.proposing import Next
from cimsearch.orchestrate.run.sources import find_sources
from cimsearch.orchestrate.run.stalling import ENDED
from cimsearch.orchestrate.run.state import ADAPTATION
from cimsearch.orchestrate.run.stored import require_study, storage_url
from cimsearch.orchestrate.run.tasks import SEARCH, Task
from cimsearch.spec import Study
from cimsearch.spec.adaptation import Adaptation
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.training.keep import Keep
from cimsearch.workers import Executor


def adapt(
    study: Study,
    *,
    storage: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    data: str | None = None,
    executor: Executor | None = None,
    on_progress: OnProgress = silent,
) -> Adapting:
    """Search, then adapt the networks of the front as the study's ``adapt`` says.

    What the database has of it already is not done again.

    Args:
        study: What to search and how to adapt, from ``load_study``.
        storage: Database URL; see ``storage_url``.
        workers: As for ``launch``.
        cluster: As for ``launch``.
        data: As for ``launch``.
        executor: As for ``launch``.
        on_progress: As for ``launch``.

    Raises:
        UsageError: The study does not say how to adapt, or has several workloads.
        StudyError: As for ``launch``; or the search's time is up, or nothing is on its front.
    """
    how = study.spec.adapt
    if how is None:
        raise UsageError(
            f"{study.name}: does not say how networks are adapted",
            "add adapt: to the study file; docs/howto-adapt.md has an example",
        )
    if len(study.workloads) > 1:
        raise UsageError(
            f"{study.name}: found {len(study.workloads)} workloads; what is adapted is one "
            "network a chip",
            "make a study of each workload",
        )
    launch(
        study,
        storage=storage,
        workers=workers,
        cluster=cluster,
        data=data,
        executor=executor,
        on_progress=on_progress,
        tasks=(*SEARCH, *tasks(how)),
    )
    with closing(open_storage(storage_url(storage), create=False)) as database:
        row = require_study(database, study.name)
        sources = find_sources(study, data)
        plan = Plan.of(study, sources, row.user_attrs["trials"])
        result = read_result(database, row.id)
        numbers = result.adaptation.numbers if result.adaptation else ()
        return Adapting.of(plan, how, result, numbers=numbers)


def tasks(how: Adaptation) -> tuple[Task, Task]:
    """Return what is done after a search: all of the adaptation, then its test scorings."""
    run = _Run(how)
    return (
        Task(
            "adapting the networks of the front",
            frozenset({"adapted"}),
            run.begin,
            run.propose,
            run.to_come,
        ),
        Task("scoring adapted networks on test images", frozenset({"test"}), run.begin_tests),
    )


class _Run:
    """One run of an adaptation.

    Args:
        how: What is done.
    """

    def __init__(self, how: Adaptation) -> None:
        self.how = how
        self._numbers: tuple[int, ...] | None = None
        self._without: frozenset[int] = frozenset()
        self._noted: Noted | None = None

    def begin(self, context: Context) -> None:
        """Choose the networks that go on, and note that they do."""
        if self._numbers is None:
            _check_ended(context)
            _check_front(context)
            result = read_result(context.storage, context.study_id)
            self._numbers = chosen(result, self.how)
            self._without = _to_be_done_again(result)
        self._note(context, self.look(context))

    def look(self, context: Context) -> Adapting:
        """Return how far it is."""
        return Adapting.of(
            context.plan,
            self.how,
            read_result(context.storage, context.study_id),
            numbers=self._numbers or (),
            without=self._without,
        )

    def propose(self, context: Context) -> Next:
        """Add the next step that can be done now."""
        found = self.look(context)
        self._note(context, found)
        steps = found.open_steps()
        step = first_to_add(steps)
        if step is not None:
            return Next("added", _add(context, step, step.work, "adapted"))
        return Next("wait" if steps else "ended")

    def to_come(self, context: Context) -> int:
        """Return how many steps can be added now."""
        return sum(step.row is None for step in self.look(context).open_steps())

    def begin_tests(self, context: Context) -> None:
        """Add the scoring of what is delivered on test images."""
        found, added = self.look(context), set[str]()
        for step in found.delivered().values():
            job = found.test_of(step)
            if job.key not in found.tests and job.key not in added:
                _add(context, step, job, "test")
                added.add(job.key)
        self._note(context, self.look(context))

    def _note(self, context: Context, found: Adapting) -> None:
        """Note where its evaluations are, if that has changed."""
        noted = found.noted()
        if noted != self._noted:
            context.storage.set_study_user_attr(context.study_id, ADAPTATION, noted.to_attr())
            self._noted = noted


def _to_be_done_again(result: StudyResult) -> frozenset[int]:
    """Return the steps that failed, and prunings whose weights are not kept any more."""
    keep = Keep.at(result.study.spec.cluster.cache)
    again = set()
    for row in result.evaluations:
        if row.role == "adapted" and row.score and is_prune_job(row.job):
            weights = PrunedNetwork.from_json(row.score).weights
            if keep.get("parents", weights) is None:
                again.add(row.id)
        elif row.role in ("adapted", "test") and row.fail_reason:
            again.add(row.id)
    return frozenset(again)


def _add(context: Context, step: Step, work: Job | PruneJob, role: db.Role) -> int | None:
    """Add the evaluation of a step; return what is to be run for it, if it has no score yet."""
    priced = context.price(step.candidate)
    # What pruning left behind may be gone from the cache: it is done again then.
    pruning = isinstance(work, PruneJob)
    known = None if pruning else db.find_score(context.storage, work.key)
    new = db.NewEvaluation(
        role=role,
        label=step.label,
        key=work.key,
        candidate=step.candidate.to_json(),
        cost=json.dumps(priced.report.to_dict()),
        job=work.to_json(),
        layers=layer_rows(priced.report),
        score=known,
    )
    evaluation_id = db.add_evaluation(context.storage, context.study_id, new)
    return None if known is not None else evaluation_id


def _check_front(context: Context) -> None:
    """Check that there is something to adapt.

    Raises:
        StudyError: No network is on the front.
    """
    if not context.known().front.trial_ids:
        raise StudyError(
            f"{context.plan.study.name}: no network is on its front: nothing can be adapted",
            "see cimsearch status for what failed",
        )


def _check_ended(context: Context) -> None:
    """Check that the search has ended.

    Raises:
        StudyError: Its time is up, with trials left to do.
    """
    attrs = context.storage.get_study_user_attrs(context.study_id)
    if attrs.get(ENDED) == "time":
        raise StudyError(
            f"{context.plan.study.name}: the search has not ended: its time is up",
            "the same command goes on with it",
        )
