"""What is sent to workers: trials, baselines, and the final scoring on test images."""

import json
from collections.abc import Iterator

from cimsearch.cost import CostReport
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.known import Known
from cimsearch.search.baselines import baselines
from cimsearch.search.pricing import Priced
from cimsearch.search.samplers import genes_of
from cimsearch.space import Candidate
from cimsearch.store import records as db


def new_evaluation(
    context: Context,
    priced: Priced,
    *,
    role: db.Role,
    label: str = "",
    rung: int | None = None,
) -> db.NewEvaluation:
    """Return the row of an evaluation to add, with its score if an equal job already has one.

    Args:
        context: The study.
        priced: What is evaluated.
        role: What for.
        label: What it is called, if it is of no trial.
        rung: At which rung, counted from 0; the last if left out.
    """
    job = context.plan.job(priced.candidate, test=role == "test", rung=rung)
    return db.NewEvaluation(
        role=role,
        label=label,
        key=job.key,
        candidate=priced.candidate.to_json(),
        cost=json.dumps(priced.report.to_dict()),
        job=job.to_json(),
        layers=layer_rows(priced.report),
        score=db.find_score(context.storage, job.key),
    )


def layer_rows(report: CostReport) -> tuple[db.LayerCost, ...]:
    """Return what each layer costs, as it is stored with an evaluation."""
    return tuple(
        db.LayerCost(
            index,
            layer.name,
            layer.op,
            layer.energy_pj,
            layer.latency_ns,
            layer.area_um2,
            layer.utilization,
            layer.components,
        )
        for index, layer in enumerate(report.layers)
    )


def add_baselines(context: Context) -> None:
    """Add the uniform baselines that the study does not have yet.

    One that a trial is about to train as well is left to ``add_trained_baselines``.
    """
    unfinished = db.unfinished(context.storage, context.study_id)
    for new in _missing(context, "baseline", baselines(context.plan.study)):
        if new.key not in {row.key for row in unfinished}:
            db.add_evaluation(context.storage, context.study_id, new)


def add_trained_baselines(context: Context) -> None:
    """Add the missing baselines that some trial has trained, with its score."""
    for new in _missing(context, "baseline", baselines(context.plan.study)):
        if new.score is not None:
            db.add_evaluation(context.storage, context.study_id, new)


def add_test_scorings(context: Context) -> None:
    """Add the scoring of the front and the baselines on test images.

    Each is trained anew, with training and chip streams that the search never used.
    """
    known, space = context.known(), context.plan.space
    front = set(known.front.trial_ids)
    wanted = {
        _name_of(trial): space.decode(genes_of(space, trial.params))
        for trial in known.trials
        if trial.trial_id in front
    }
    done = {row.label for row in context.evaluations("baseline") if row.state == "done"}
    uniform = baselines(context.plan.study)
    wanted |= {name: candidate for name, candidate in uniform.items() if name in done}
    for new in _missing(context, "test", wanted):
        db.add_evaluation(context.storage, context.study_id, new)


def label_of(known: Known, row: db.EvaluationRow) -> str:
    """Return what an evaluation is to a reader: a trial, a baseline, or the test of either."""
    if row.role == "trial":
        named = (_name_of(trial) for trial in known.trials if trial.trial_id == row.trial_id)
        return next(named)
    return f"test of {row.label}" if row.role == "test" else row.label


def _name_of(trial: db.TrialRow) -> str:
    return f"trial {trial.number}"


def _missing(
    context: Context, role: db.Role, wanted: dict[str, Candidate]
) -> Iterator[db.NewEvaluation]:
    """Yield the rows to add of those that the study does not have yet."""
    # One that failed is tried again by the next launch or resume, as a row of its own.
    known = {row.label for row in context.evaluations(role) if row.state != "failed"}
    for label, candidate in wanted.items():
        if label not in known:
            priced = context.price(candidate)
            yield new_evaluation(context, priced, role=role, label=label)
