"""Starting a study, or going on with it."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import cimsearch
from cimsearch.errors import StudyError, UsageError
from cimsearch.orchestrate.read.results import StudyResult, TrialResult, read_result
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.lease import leased
from cimsearch.orchestrate.run.loop import run_study
from cimsearch.orchestrate.run.parents import keep_parents
from cimsearch.orchestrate.run.plan import Plan, check_feasible
from cimsearch.orchestrate.run.progress import OnProgress, Phase, silent, snapshot
from cimsearch.orchestrate.run.sources import (
    as_attrs,
    check_sources_readable,
    find_sources,
    find_sources_again,
)
from cimsearch.orchestrate.run.stalling import ENDED
from cimsearch.orchestrate.run.starting import NOTHING, Start, begin, check_start
from cimsearch.orchestrate.run.state import counts_in_budget
from cimsearch.orchestrate.run.stopping import stop_on_signals
from cimsearch.orchestrate.run.stored import (
    check_equal,
    check_own,
    require_study,
    storage_url,
    stored_study,
)
from cimsearch.orchestrate.run.tasks import SEARCH, Task
from cimsearch.search.algorithms import check_installed
from cimsearch.spec import Study
from cimsearch.spec.study import StudySpec
from cimsearch.store import CimStorage, open_storage
from cimsearch.store import records as db
from cimsearch.workers import Executor, connect
from cimsearch.workers.executor import Demands


def launch(
    study: Study,
    *,
    storage: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    data: str | None = None,
    executor: Executor | None = None,
    on_progress: OnProgress = silent,
    start: Start = NOTHING,
    tasks: Sequence[Task] = SEARCH,
) -> StudyResult:
    """Run a study to its end and return its result; an equal study that exists goes on.

    Of two budgets, the study's and the one it has in the database, the larger holds.

    Args:
        study: What to search, from ``load_study``.
        storage: Database URL; see ``storage_url``.
        workers: Local worker processes; the study's own number if left out.
        cluster: Address of a dask scheduler to use instead of local workers.
        data: Where the data lies, before what the study says; of several workloads, that of its
            own space.
        executor: Where evaluations run, instead of dask.
        on_progress: Called with a snapshot after every step.
        start: What its first trials are; nothing for a study that goes on.
        tasks: What is done, one after the other.

    Raises:
        StudyError: A study of that name exists with another spec, or was begun from something
            else; says what differs. Or the one to start from is not there.
        SpaceError: No candidate of the space is feasible.
        DataError: The data, or the weights of an imported network, are missing or not as
            declared.
        StorageError: The database cannot be opened.
        WorkerError: The cluster cannot be reached.
        UsageError: Its sampler needs what is not installed.
    """
    check_installed(study.spec.sampler.name)
    sources = find_sources(study, data)
    check_sources_readable(study, sources)
    keep_parents(study)
    plan = Plan.of(study, sources, study.spec.budget.trials)
    with closing(open_storage(storage_url(storage))) as database:
        row = db.find_study(database, study.name)
        if row is None:
            check_feasible(study)
            if start.study is not None:
                require_study(database, start.study)
            study_id = _create(database, plan, start)
        else:
            check_start(row, start)
            check_own(row)
            check_equal(database, row, plan)
            plan = replace(plan, trials=max(plan.trials, row.user_attrs["trials"]))
            study_id = row.id
        where = _Where(executor, workers, cluster)
        return _run(Context(plan, database, study_id), where, on_progress, tasks)


def resume(
    name: str,
    *,
    storage: str | None = None,
    trials: int | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    data: str | None = None,
    executor: Executor | None = None,
    on_progress: OnProgress = silent,
) -> StudyResult:
    """Go on with a study from where it stands, from the database alone.

    Args:
        name: The study's name in the database.
        storage: Database URL; see ``storage_url``.
        trials: Another budget of trained candidates; the last one used if left out.
        workers: As for ``launch``.
        cluster: As for ``launch``.
        data: As for ``launch``.
        executor: As for ``launch``.
        on_progress: As for ``launch``.

    Raises:
        StudyError: There is no such study.
    """
    with closing(open_storage(storage_url(storage), create=False)) as database:
        row = require_study(database, name)
        check_own(row)
        study = stored_study(database, row)
        check_installed(study.spec.sampler.name)
        sources = find_sources_again(study, row.user_attrs, data)
        plan = Plan.of(study, sources, study.spec.budget.trials)
        check_equal(database, row, plan)
        check_sources_readable(study, sources)
        keep_parents(study)
        rows = db.trial_rows(database, row.id)
        trained = sum(counts_in_budget(trial) for trial in rows)
        if trials is not None and trials < trained:
            raise UsageError(f"--trials: found {trials}; {name!r} has {trained} already")
        plan = replace(plan, trials=trials or row.user_attrs["trials"])
        where = _Where(executor, workers, cluster)
        return _run(Context(plan, database, row.id), where, on_progress, SEARCH)


def pareto_front(name: str, *, storage: str | None = None) -> list[TrialResult]:
    """Return the Pareto front of a study, cheapest first, with objectives and candidates.

    Args:
        name: The study's name in the database.
        storage: Database URL; see ``storage_url``.

    Raises:
        StudyError: There is no such study.
    """
    with closing(open_storage(storage_url(storage), create=False)) as database:
        return list(read_result(database, require_study(database, name).id).front)


def _create(database: CimStorage, plan: Plan, start: Start) -> int:
    spec_hash = db.save_spec(database, "study", plan.study.to_json())
    return db.create_study(
        database,
        name=plan.study.name,
        directions=plan.directions,
        spec_hash=spec_hash,
        user_attrs={
            "identity": plan.study.hash,
            "objectives": list(plan.study.spec.objectives),
            "reference": list(plan.reference),
            "lag": plan.study.spec.sampler.lag,
            "version": cimsearch.__version__,
            "trials": plan.trials,
            **as_attrs(plan.sources),
            **start.as_attrs(),
        },
    )


@dataclass(frozen=True)
class _Where:
    """Where evaluations run: an executor, or so many local workers, or a cluster's."""

    executor: Executor | None
    workers: int | None
    cluster: str | None

    def connect(self, spec: StudySpec) -> Executor:
        """Return the executor; a new one is to be closed."""
        return self.executor or connect(
            workers=self.workers or spec.workers,
            address=self.cluster,
            demands=_demands(spec),
            slurm=spec.cluster.slurm,
        )


def _run(
    context: Context, where: _Where, on_progress: OnProgress, tasks: Sequence[Task]
) -> StudyResult:
    def show_waiting(_lease: db.LeaseRow) -> None:
        phase: Phase = "waiting for another orchestrator's lease to end"
        on_progress(snapshot(context, phase, to_do=context.plan.trials))

    with stop_on_signals() as stopping, leased(context, show_waiting, stopping):
        # Not part of the study's identity, but a resume from the database alone needs them.
        context.storage.set_study_user_attr(context.study_id, "trials", context.plan.trials)
        for name, value in as_attrs(context.plan.sources).items():
            context.storage.set_study_user_attr(context.study_id, name, value)
        context.storage.set_study_user_attr(context.study_id, ENDED, None)
        begin(context, stopping)
        used = where.connect(context.plan.study.spec)
        try:
            run_study(context, used, on_progress, stopping, tasks)
        except KeyError as error:
            raise _deleted(context, error) from error
        finally:
            if where.executor is None:
                used.close()
    return read_result(context.storage, context.study_id)


def _deleted(context: Context, error: KeyError) -> Exception:
    """Return what to say if the study is not there any more, else the error itself."""
    if any(row.id == context.study_id for row in db.list_studies(context.storage)):
        return error
    return StudyError(
        f"study {context.plan.study.name!r} was deleted while it ran", "launch it to begin anew"
    )


def _demands(spec: StudySpec) -> Demands:
    memory_gb = spec.limits.memory_gb
    return Demands(
        time_s=spec.limits.time_s,
        memory_bytes=None if memory_gb is None else round(memory_gb * 1e9),
        resources=spec.cluster.resources,
    )
