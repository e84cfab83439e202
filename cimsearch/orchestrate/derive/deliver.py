"""Delivering a trained network: its job from the database, its files from the room ``export``."""

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimsearch.errors import DataError, StudyError
from cimsearch.evaluate import Job, Score, read_job
from cimsearch.evaluate.keys import candidate_key
from cimsearch.evaluate.pruning import is_prune_job
from cimsearch.evaluate.report import OnReport, unheard
from cimsearch.orchestrate.derive.origin import origin_of
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.orchestrate.read.stale import stale_labels
from cimsearch.orchestrate.run.sources import Source, find_sources_again, stored_sources
from cimsearch.orchestrate.run.stored import require_study, storage_url
from cimsearch.space import Candidate
from cimsearch.store import open_storage
from cimsearch.store import records as db

if TYPE_CHECKING:
    from cimsearch.export.subject import Subject
    from cimsearch.export.write import Written

_TRIAL = re.compile(r"(?:trial )?(\d+)")
_EVALUATION = re.compile(r"#(\d+)")
_TRAINED = ": trained"
"""How an adaptation calls the networks that it trained."""


def deliver(
    name: str,
    network: str,
    to: Path,
    *,
    storage: str | None = None,
    data: str | None = None,
    on_report: OnReport = unheard,
) -> "Written":
    """Write a trained network of a study as a directory; see ``export.write``.

    Where it was scored on test images, that scoring is delivered, with the network that was
    trained anew for it if one was.

    Args:
        name: The study's name in the database.
        network: A trial (``3`` or ``trial 3``), the name of a baseline or of a network of the
            study's last adaptation, or ``#`` and the number of an evaluation.
        to: A new directory, or an empty one.
        storage: Database URL; see ``storage_url``.
        data: As for ``launch``.
        on_report: Hears how far it is.

    Raises:
        StudyError: There is no such study or network, it was not scored, or it is several.
        DataError: The data is missing or other data than the study's.
        UsageError: ``to`` cannot be written, or has something in it.
    """
    from cimsearch.export.files import check_libraries, check_target

    check_libraries()
    check_target(to)
    with closing(open_storage(storage_url(storage), create=False)) as database:
        row = require_study(database, name)
        result = read_result(database, row.id)
    subject = _subject(result, row, _found(result, network), data)
    from cimsearch.export.write import write_export

    return write_export(subject, to, on_report)


@dataclass(frozen=True)
class _Found:
    """A trained network of a study.

    Attributes:
        label: What it is called.
        own: Its evaluation on validation images.
        genes: Choice by gene; none for what has no trial.
    """

    label: str
    own: db.EvaluationRow
    genes: Mapping[str, int | float | str]


def _found(result: StudyResult, network: str) -> _Found:
    """Return the network that is meant, which was trained and scored.

    Raises:
        StudyError: There is none, or it was not.
    """
    if trial := _TRIAL.fullmatch(network):
        found = _trial(result, int(trial[1]))
    elif evaluation := _EVALUATION.fullmatch(network):
        found = _evaluation(result, int(evaluation[1]))
    else:
        found = _named(result, network)
    if found.label in stale_labels(result):
        raise StudyError(
            f"{result.name}: the accuracy of {found.label} is stale: it was found on other "
            "hardware",
            f"find it anew first: cimsearch study rescore {result.name}",
        )
    return found


def _trial(result: StudyResult, number: int) -> _Found:
    """Return the trial of that number.

    Raises:
        StudyError: There is none, or it has no score.
    """
    if number >= len(result.trials):
        raise StudyError(
            f"{result.name}: no trial {number}", f"it has trials 0 to {len(result.trials) - 1}"
        )
    trial = result.trials[number]
    if trial.score is None:
        raise StudyError(
            f"{result.name}: trial {number} has no trained network: it is {trial.state}",
            f"choose one that is complete, such as those of: cimsearch front {result.name}",
        )
    own = next(row for row in result.evaluations if row.id == trial.evaluation_id)
    return _Found(f"trial {number}", own, trial.genes)


def _evaluation(result: StudyResult, number: int) -> _Found:
    """Return the network of an evaluation, which may be of an earlier adaptation.

    Raises:
        StudyError: It is none of the study, or has no trained network of its own.
    """
    row = next((row for row in result.evaluations if row.id == number), None)
    if row is None or not _is_network(row):
        raise StudyError(
            f"{result.name}: no trained network #{number}", _names(result, _by_name(result))
        )
    numbers = (trial.number for trial in result.trials if trial.evaluation_id == number)
    trial = next(numbers, None)
    return _Found(row.label, row, {}) if trial is None else _trial(result, trial)


def _named(result: StudyResult, label: str) -> _Found:
    """Return the baseline or the adapted network of that name.

    Raises:
        StudyError: There is none that was scored.
    """
    named = _by_name(result)
    if label not in named:
        raise StudyError(f"{result.name}: no trained network {label!r}", _names(result, named))
    return _Found(label, named[label], {})


def _by_name(result: StudyResult) -> dict[str, db.EvaluationRow]:
    """Return the baselines and the networks of the last adaptation that were scored, by name."""
    rows = {row.id: row for row in result.evaluations}
    adapted = result.adaptation.steps if result.adaptation else {}
    named = {row.label: row for row in result.evaluations if row.role == "baseline"}
    named |= {name: rows[number] for name, number in adapted.items()}
    return {name: row for name, row in named.items() if _is_network(row)}


def _names(result: StudyResult, named: Mapping[str, db.EvaluationRow]) -> str:
    """Return what networks can be called, as a hint: those of earlier adaptations by number."""
    ids = {row.id for row in named.values()}
    earlier = [
        f"#{row.id} ({row.label})"
        for row in result.evaluations
        if row.id not in ids and row.label.endswith(_TRAINED) and _is_network(row)
    ]
    others = "; ".join([*named, *earlier])
    return "name a trial by its number" + (f", or one of: {others}" if others else "")


def _is_network(row: db.EvaluationRow) -> bool:
    """Whether an evaluation has trained a network that was scored on validation images."""
    return bool(row.role != "test" and row.score and not is_prune_job(row.job))


def _subject(result: StudyResult, row: db.StudyRow, found: _Found, data: str | None) -> "Subject":
    """Return what is to be delivered of a network."""
    from cimsearch.export.subject import Subject

    evaluation = _test_of(result, found) or found.own
    statistic, job = result.study.spec.accuracy_statistic, _job(evaluation, result, row, data)
    candidate = Candidate.from_json(evaluation.candidate)
    return Subject(
        study=result.name,
        study_hash=row.spec_hash or "",
        label=found.label,
        job=job,
        key=evaluation.key,
        score=_score(evaluation),
        cost=_plain(evaluation.cost),
        statistic=statistic,
        validation_accuracy=_score(found.own).accuracy_by(statistic),
        trained_anew=_replicate(evaluation) != _replicate(found.own),
        genes=found.genes,
        settings=dict(result.settings_of(candidate)),
        origin=origin_of(result, found.label, found.own, job),
    )


def _score(evaluation: db.EvaluationRow) -> Score:
    return Score.from_json(evaluation.score or "")


def _plain(text: str) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(text)
    return plain


def _test_of(result: StudyResult, found: _Found) -> db.EvaluationRow | None:
    """Return the scoring of a network on test images, if it was scored on them."""
    tests = [row for row in result.evaluations if row.role == "test" and row.score]
    if found.own.role == "adapted":
        # Several adaptations may have scored the very weights; the last one counts.
        weights = _weights(found.own)
        return next((row for row in reversed(tests) if _weights(row) == weights), None)
    same = (found.label, found.own.candidate)
    return next((row for row in tests if (row.label, row.candidate) == same), None)


def _weights(evaluation: db.EvaluationRow) -> str:
    """Return what the weights of an evaluation of one network follow from."""
    job = read_job(evaluation.job)
    return candidate_key(job, "") if isinstance(job, Job) else ""


def _replicate(evaluation: db.EvaluationRow) -> int:
    job = read_job(evaluation.job)
    return job.replicate if isinstance(job, Job) else 0


def _job(
    evaluation: db.EvaluationRow, result: StudyResult, row: db.StudyRow, data: str | None
) -> Job:
    """Return the job of an evaluation, with the place of its data and cache here.

    Raises:
        StudyError: It is of several networks.
        DataError: The data is missing or other data than the study's.
    """
    job = read_job(evaluation.job)
    if not isinstance(job, Job):
        names = ", ".join(member.workload for member in job.members)
        raise StudyError(
            f"{result.name}: a trial is several networks on one chip ({names}); allowed is one",
            "networks are exported from studies of a single workload",
        )
    if result.repriced:
        # Its jobs are of other hardware; where accuracies hold, they are those of its own too.
        job = replace(job, hardware=result.study.hardware)
    source = _source(result, row.user_attrs, data)
    return replace(job, data_path=source.path, cache=result.study.spec.cluster.cache)


def _source(result: StudyResult, attrs: Mapping[str, object], data: str | None) -> Source:
    """Return where the study's data is now.

    Raises:
        DataError: It is missing or other data than the study's.
    """
    (source,) = find_sources_again(result.study, attrs, data)
    (wanted,) = stored_sources(attrs)
    if source.fingerprint != wanted.fingerprint:
        raise DataError(
            f"{source.path or result.study.spec.data.kind}: not the data of study "
            f"{result.name!r}: its fingerprint is {source.fingerprint[:12]}, not "
            f"{wanted.fingerprint[:12]}",
            "name the place of the same files with --data",
        )
    return source
