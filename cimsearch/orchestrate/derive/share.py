"""Giving a study to others, and looking at one that was given."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from cimsearch.errors import CimsearchError, StorageError, StudyError, UsageError
from cimsearch.evaluate import read_job
from cimsearch.evaluate.joint import members_of
from cimsearch.evaluate.weights import kept_weights
from cimsearch.orchestrate.read.results import StudyResult, TrialResult, read_result
from cimsearch.orchestrate.run.parents import SUFFIX as PARENT_SUFFIX
from cimsearch.orchestrate.run.stored import require_study, storage_url
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.archive import SUFFIX
from cimsearch.store.archive_export import write_archive
from cimsearch.store.archive_import import read_archive
from cimsearch.store.check import check_database
from cimsearch.training.keep import Keep
from cimsearch.training.parents import kept_parent

# What a score, a price or a gene of another version raises when it is read.
_NOT_READABLE = (CimsearchError, ValueError, TypeError, LookupError, AttributeError)
_PAGE = 100
_SHOWN = 16
"""Digits of a SHA-256 in the name of a file."""


@dataclass(frozen=True)
class Imported:
    """A study that was taken from a file.

    Attributes:
        name: Its name in the database.
        trials: How many trials it has.
        front: How many of them are on its Pareto front.
    """

    name: str
    trials: int
    front: int


def export_study(
    name: str, file: str, *, storage: str | None = None, weights: bool = False
) -> Path:
    """Write a study with all that was found into one file, and return its path.

    Args:
        name: The study's name in the database.
        file: The file, ending in ``.cimstudy``; it is replaced if it exists.
        storage: Database URL; see ``storage_url``.
        weights: Whether the trained networks of the front go along, and those that were imported
            as float parents; without, these are named by their SHA-256 alone.

    Raises:
        UsageError: The file cannot be written, or has another suffix.
        StudyError: There is no such study, or a network of its front is not kept.
        DataError: An imported network is not kept.
    """
    path = Path(file)
    if path.suffix != SUFFIX:
        raise UsageError(f"found the file {file}; allowed is a name that ends in {SUFFIX}")
    with closing(open_storage(storage_url(storage), create=False)) as database:
        study_id = require_study(database, name).id
        networks = _networks(read_result(database, study_id)) if weights else ()
        write_archive(database, study_id, path, weights=networks)
    return path


def _networks(result: StudyResult) -> Iterator[tuple[str, bytes]]:
    """Give imported float parents and the trained networks of the front, as safetensors files.

    Raises:
        StudyError: A trained network is not kept.
        DataError: An imported one is not kept.
    """
    keep = Keep.at(result.study.spec.cluster.cache)
    for digest in dict.fromkeys(w.parent_weights for w in result.study.workloads):
        if digest:
            yield f"parent-{digest[:_SHOWN]}{PARENT_SUFFIX}", kept_parent(keep, digest)
    rows = {row.id: row for row in result.evaluations}
    for trial in sorted(result.front, key=lambda trial: trial.number):
        row = rows[trial.evaluation_id] if trial.evaluation_id is not None else None
        if row is None or trial.score is None:
            raise _not_kept(result, trial)
        for job in members_of(read_job(row.job)):
            content = kept_weights(job, trial.score.fingerprint)
            if content is None:
                raise _not_kept(result, trial)
            of_workload = f"-{job.workload}" if job.workload else ""
            yield f"trial-{trial.number}{of_workload}.safetensors", content


def _not_kept(result: StudyResult, trial: TrialResult) -> StudyError:
    return StudyError(
        f"{result.name}: the trained network of trial {trial.number} is not in the "
        "workers' cache, or not any more",
        "export where that cache is (CIMSEARCH_CACHE, or cluster.cache in the study file, "
        "a place that all workers reach); keep more of it with CIMSEARCH_CACHE_GB; or "
        "export without --weights",
    )


def import_study(file: str, *, name: str | None = None, storage: str | None = None) -> Imported:
    """Add the study of a file to a database, read-only beside one's own.

    It is first taken into a database that is thrown away, and read and checked there as the verbs
    do it, so that nothing is added that cannot be read.

    Args:
        file: A file that ``export_study`` wrote.
        name: Another name for it.
        storage: Database URL; see ``storage_url``. It is made if there is none.

    Raises:
        UsageError: The file cannot be read, or the name is none that a study may have.
        StorageError: The file is no archive, of another version, or damaged.
        StudyError: A study of this name exists.
    """
    path = Path(file)
    imported = _tried(path, name)
    with closing(open_storage(storage_url(storage))) as database:
        read_archive(database, path, name=name)
    return imported


def _tried(path: Path, name: str | None) -> Imported:
    """Return what a file holds, after taking all of it into a database that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'tried.db'}"
        with closing(open_storage(url)) as storage:
            study_id = read_archive(storage, path, name=name)
            try:
                imported = _read_whole(storage, study_id)
                faults = [f.text for f in check_database(url).findings if f.kind == "problem"]
            except _NOT_READABLE as error:
                faults = [" ".join(f"{type(error).__name__}: {error}".split())]
    if faults:
        raise StorageError(
            f"{path}: this version of cimsearch cannot use what it holds: {faults[0]}",
            "take the version that wrote it, or ask its owner for the file again",
        )
    return imported


def _read_whole(storage: CimStorage, study_id: int) -> Imported:
    """Read a study as the verbs do."""
    from cimsearch.orchestrate.read.adapted_view import adaptation_view
    from cimsearch.orchestrate.read.view import study_view

    whole = read_result(storage, study_id)
    adaptation_view(whole)
    result = replace(whole, adaptation=None)
    study_view(replace(result, trials=()))
    for start in range(0, len(result.trials), _PAGE):
        # In pages, as a view follows the hypervolume from trial to trial.
        page = result.trials[start : start + _PAGE]
        study_view(replace(result, trials=page, evaluations=()))
    return Imported(result.name, len(result.trials), len(result.front))
