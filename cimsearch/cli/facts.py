"""Trials, baselines and fronts as plain data for JSON."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cimsearch.cli.accuracy_text import score_facts
from cimsearch.cli.rungs import agreement_facts

if TYPE_CHECKING:
    from cimsearch.orchestrate.read.baseline_results import BaselineResult
    from cimsearch.orchestrate.read.results import StudyResult, TrialResult
    from cimsearch.space import Candidate
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
        "infeasible": found.infeasible,
        "constraints": dict(found.constraints),
        "weights": found.candidate.blueprint.weights,
    }


def front_facts(result: "StudyResult") -> dict[str, Any]:
    """Return a front, and what it is measured against, as plain data for JSON."""
    from cimsearch.orchestrate.read.search_view import volumes

    stale = stale_of(result)

    def about(candidate: "Candidate", label: str) -> dict[str, Any]:
        return {"stale": label in stale, "settings": dict(result.settings_of(candidate))}

    return {
        "study": result.name,
        "objectives": list(result.study.spec.objectives),
        "accuracy_statistic": result.study.spec.accuracy_statistic,
        "hypervolume": result.hypervolume,
        "hypervolume_alone": asdict(volumes(result)),
        "reference": list(result.reference),
        "by_rung": list(result.by_rung),
        "agreements": agreement_facts(result.agreements),
        "front": [trial_facts(t) | about(t.candidate, f"trial {t.number}") for t in result.front],
        "baselines": [baseline_facts(b) | about(b.candidate, b.name) for b in result.baselines],
        "missing_baselines": dict(result.missing_baselines),
    }


def stale_of(result: "StudyResult") -> dict[str, "Hardware"]:
    """Return the stale accuracies of a repriced study, with the hardware they were found on."""
    from cimsearch.orchestrate.read.stale import stale_labels

    return stale_labels(result)
