"""Adapting the networks of a study, after its search."""

from contextlib import closing

from cimsearch.errors import StudyError, UsageError
from cimsearch.orchestrate.adapt.run import tasks
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.adaptation import Adapting, read_adaptation
from cimsearch.orchestrate.read.results import read_result
from cimsearch.orchestrate.run.progress import OnProgress, silent
from cimsearch.orchestrate.run.stored import require_study, storage_url
from cimsearch.orchestrate.run.tasks import SEARCH
from cimsearch.spec import Study
from cimsearch.spec.adaptation import Adaptation
from cimsearch.store import open_storage
from cimsearch.workers import Executor


def adapt(
    study: Study,
    *,
    storage: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    data: str | None = None,
    executor: Executor | None = None,
    choose_anew: bool = False,
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
        choose_anew: Whether networks are chosen of the front as it is now, though this very
            adaptation of the study has chosen before.
        on_progress: As for ``launch``.

    Raises:
        UsageError: The study does not say how to adapt, or has several workloads.
        StudyError: As for ``launch``; or the search's time is up, or nothing is on its front.
    """
    how = _how(study)
    launch(
        study,
        storage=storage,
        workers=workers,
        cluster=cluster,
        data=data,
        executor=executor,
        on_progress=on_progress,
        tasks=(*SEARCH, *tasks(how, choose_anew=choose_anew)),
    )
    with closing(open_storage(storage_url(storage), create=False)) as database:
        found = read_adaptation(read_result(database, require_study(database, study.name).id))
    if found is None:
        raise StudyError(
            f"{study.name}: its adaptation is not noted", "run the same command again"
        )
    return found


def _how(study: Study) -> Adaptation:
    """Return how a study's networks are adapted.

    Raises:
        UsageError: It does not say so, or has several workloads.
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
    return how
