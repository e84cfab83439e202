"""Trials and baselines as plain data for JSON."""

from typing import TYPE_CHECKING, Any

from cimsearch.cli.accuracy_text import score_facts

if TYPE_CHECKING:
    from cimsearch.orchestrate.results import BaselineResult, StudyResult, TrialResult
    from cimsearch.spec import Hardware


def trial_facts(found: "TrialResult", *, target: float | None = None) -> dict[str, Any]:
    """Return a trial as plain data for JSON, with its yield at ``target`` if one is given."""
    return {
        "number": found.number,
        "rung": found.rung,
        "promoted_from": found.promoted_from,
        "state": found.state,
        "on_front": found.on_front,
        "objectives": dict(found.objectives),
        "constraints": dict(found.constraints),
        "test_accuracy": found.test_accuracy,
        "energy_measured_pj": found.energy_measured_pj,
        "score": score_facts(found.score, target=target),
        "reused": found.reused,
        "reason": found.reason,
        "genes": dict(found.genes),
        "candidate_hash": found.candidate.hash,
        "weights": found.candidate.blueprint.weights,
    }


def baseline_facts(found: "BaselineResult") -> dict[str, Any]:
    """Return a baseline as plain data for JSON."""
    return {
        "name": found.name,
        "objectives": dict(found.objectives),
        "test_accuracy": found.test_accuracy,
        "score": score_facts(found.score),
        "broken": found.broken,
        "weights": found.candidate.blueprint.weights,
    }


def stale_of(result: "StudyResult") -> dict[str, "Hardware"]:
    """Return the stale accuracies of a repriced study, with the hardware they were found on."""
    from cimsearch.orchestrate.stale import stale_labels

    return stale_labels(result)
