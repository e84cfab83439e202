"""Where a network of a study comes from: what it was made of, and every pruning on the way."""

import re
from collections import Counter

from cimsearch.evaluate import Job
from cimsearch.evaluate.pruning import PrunedNetwork, PruneJob, is_prune_job
from cimsearch.export.origin import Origin, PrunedRound
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.spec.base import canonical_json
from cimsearch.store import records as db

_STEP = re.compile(r"(?P<of>.+?)(?P<step>(, round \d+)?: trained(, .+)?)")
"""What the steps of an adaptation are called: after what they were made of, and what was done."""


def origin_of(result: StudyResult, label: str, own: db.EvaluationRow, job: Job) -> Origin:
    """Return where a network comes from.

    Args:
        result: The study.
        label: What the network is called.
        own: Its evaluation on validation images.
        job: What trained it.
    """
    given, rounds = job.parent_weights, list[PrunedRound]()
    prunings = _prunings(result) if given else {}
    # Pruning leaves weights under their SHA-256: whose they are tells what was pruned before.
    while given in prunings:
        work, pruned = prunings.pop(given)
        rounds.append(_round(work, pruned))
        given = work.job.parent_weights
    named = _STEP.fullmatch(label) if own.role == "adapted" else None
    noted = result.adaptation
    is_last = noted is not None and noted.steps.get(label) == own.id
    return Origin(
        evaluation=own.id,
        role=own.role,
        of=named["of"] if named else label,
        step=named["step"].removeprefix(", ").removeprefix(": ") if named else "",
        adaptation=canonical_json(noted.how.model_dump(mode="json")) if noted and is_last else "",
        rounds=tuple(reversed(rounds)),
        imported_sha256=given,
    )


def _prunings(result: StudyResult) -> dict[str, tuple[PruneJob, PrunedNetwork]]:
    """Return every pruning of a study with its job, by the SHA-256 of the weights that it left."""
    found = {}
    for row in result.evaluations:
        if row.role == "adapted" and row.score and is_prune_job(row.job):
            pruned = PrunedNetwork.from_json(row.score)
            found[pruned.weights] = PruneJob.from_json(row.job), pruned
    return found


def _round(work: PruneJob, pruned: PrunedNetwork) -> PrunedRound:
    removed: Counter[str] = Counter()
    for step in pruned.history:
        removed.update(dict(step.removed))
    return PrunedRound(
        tuple(sorted(removed.items())),
        pruned.history[-1].cost_frac,
        canonical_json(work.pruning.model_dump(mode="json")),
        pruned.weights,
        tuple(block for step in pruned.history for block in step.blocks),
    )
