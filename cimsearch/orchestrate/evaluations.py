"""What is sent to workers: trials, baselines, and the final scoring on test images."""

import json

from cimsearch.orchestrate.context import Context
from cimsearch.search.baselines import baselines
from cimsearch.search.pricing import Priced, price
from cimsearch.search.samplers import genes_of
from cimsearch.space import Candidate
from cimsearch.store import records as db


def new_evaluation(
    context: Context, priced: Priced, *, role: db.Role, label: str = ""
) -> db.NewEvaluation:
    """Return the row of an evaluation to add, with its score if an equal job already has one."""
    job = context.plan.job(priced.candidate, test=role == "test")
    layers = tuple(
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
        for index, layer in enumerate(priced.report.layers)
    )
    return db.NewEvaluation(
        role=role,
        label=label,
        key=job.key,
        candidate=priced.candidate.to_json(),
        cost=json.dumps(priced.report.to_dict()),
        job=job.to_json(),
        layers=layers,
        score=db.find_score(context.storage, job.key),
    )


def add_baselines(context: Context) -> list[int]:
    """Add the uniform baselines that the study does not have yet; return those to be run."""
    return _add_missing(context, "baseline", baselines(context.plan.study))


def add_test_scorings(context: Context) -> list[int]:
    """Add the scoring of the front and the baselines on test images; return those to be run.

    Each is trained anew, with training and chip streams that the search never used.
    """
    front = set(context.front().trial_ids)
    space = context.plan.space
    wanted = {
        f"trial {trial.number}": space.decode(genes_of(space, trial.params))
        for trial in context.trials()
        if trial.trial_id in front
    }
    done = {row.label for row in context.evaluations("baseline") if row.state == "done"}
    uniform = baselines(context.plan.study)
    wanted |= {name: candidate for name, candidate in uniform.items() if name in done}
    return _add_missing(context, "test", wanted)


def _add_missing(context: Context, role: db.Role, wanted: dict[str, Candidate]) -> list[int]:
    # One that failed is tried again by the next launch or resume, as a row of its own.
    known = {row.label for row in context.evaluations(role) if row.state != "failed"}
    to_run = []
    for label, candidate in wanted.items():
        if label not in known:
            priced = price(context.plan.study, candidate)
            new = new_evaluation(context, priced, role=role, label=label)
            evaluation_id = db.add_evaluation(context.storage, context.study_id, new)
            if new.score is None:
                to_run.append(evaluation_id)
    return to_run
