"""Which scores of a repriced study were found on hardware that scores otherwise."""

import json
from collections.abc import Iterable
from functools import lru_cache

from cimsearch.evaluate.scored import scored_differences
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.spec import Study
from cimsearch.spec.base import canonical_json
from cimsearch.spec.hardware import Hardware
from cimsearch.store import records as db
from cimsearch.store.archive import KEY_PREFIX


def stale_rows(rows: Iterable[db.EvaluationRow], study: Study) -> dict[int, db.EvaluationRow]:
    """Return by id the scores that were found on hardware that scores otherwise than the study's.

    Only scores taken over from another study can be: others are of the study's own hardware. A
    study that searches its hardware's fields cannot be repriced.
    """
    if study.machines is not None:
        return {}
    taken_over = (row for row in rows if is_taken_over(row))
    return {row.id: row for row in taken_over if differences(row, study.hardware)}


def is_taken_over(row: db.EvaluationRow) -> bool:
    """Whether a score came with a study that was imported or repriced."""
    return row.key.startswith(KEY_PREFIX)


def differences(row: db.EvaluationRow, hardware: Hardware) -> tuple[str, ...]:
    """Return what a score depends on and differs: where it was found -> on ``hardware``."""
    return scored_differences(hardware_of(row), hardware)


def hardware_of(row: db.EvaluationRow) -> Hardware:
    """Return the hardware that a score was found on: of several workloads, that of all.

    That of a network that was pruned is its job's.
    """
    job = json.loads(row.job)
    network = job["members"][0] if "members" in job else job.get("job", job)
    return _parsed(canonical_json(network["hardware"]))


@lru_cache(maxsize=16)
def _parsed(text: str) -> Hardware:
    return Hardware.model_validate_json(text)


def stale_labels(result: StudyResult) -> dict[str, Hardware]:
    """Return the stale accuracies of a study by ``trial N`` or baseline, with where they are of.

    Empty for a study that was not repriced, and for one that has been rescored.
    """
    rows = stale_rows(result.evaluations, result.study)
    found = {
        f"trial {trial.number}": rows[trial.evaluation_id]
        for trial in result.trials
        if trial.state == "complete" and trial.evaluation_id in rows
    }
    found |= {row.label: row for row in rows.values() if row.role == "baseline"}
    return {label: hardware_of(row) for label, row in found.items()}
