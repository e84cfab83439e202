"""Adapting the networks of a study, after its search."""

import json
from contextlib import closing

from cimsearch.errors import StudyError, UsageError
from cimsearch.evaluate import Job
from cimsearch.evaluate.pruning import PruneJob
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.adaptation import Adapting, Step, first_to_add
from cimsearch.orchestrate.read.results import read_result
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
        return adapting(Context(plan, database, row.id), how)


def tasks(how: Adaptation) -> tuple[Task, Task]:
    """Return what is done after a search: all of the adaptation, then its test scorings."""

    def begin(context: Context) -> None:
        _check_ended(context)
        _check_front(context)
        context.storage.set_study_user_attr(
            context.study_id, ADAPTATION, json.loads(how.model_dump_json())
        )

    def propose(context: Context) -> Next:
        steps = adapting(context, how).open_steps()
        step = first_to_add(steps)
        if step is not None:
            return Next("added", _add(context, step, step.work, "adapted"))
        return Next("wait" if steps else "ended")

    def to_come(context: Context) -> int:
        return sum(step.row is None for step in adapting(context, how).open_steps())

    def begin_tests(context: Context) -> None:
        found = adapting(context, how)
        for step in found.delivered().values():
            job = found.test_of(step)
            if job.key not in found.tests:
                _add(context, step, job, "test")

    return (
        Task("adapting the networks of the front", begin, propose, to_come),
        Task("scoring adapted networks on test images", begin_tests),
    )


def adapting(context: Context, how: Adaptation) -> Adapting:
    """Return how far the adaptation of a study is."""
    return Adapting.of(context.plan, how, read_result(context.storage, context.study_id))


def _add(context: Context, step: Step, work: Job | PruneJob, role: db.Role) -> int | None:
    """Add the evaluation of a step; return what is to be run for it, if it has no score yet."""
    priced = context.price(step.candidate)
    known = db.find_score(context.storage, work.key)
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
