"""A study's result as the figures and the report take it."""

from collections.abc import Mapping
from datetime import timedelta
from operator import itemgetter
from typing import Any, Literal

import cimsearch
from cimsearch.blueprint import Node
from cimsearch.cost import COMPONENTS, validated_components
from cimsearch.evaluate import Score
from cimsearch.evaluate.distribution import STATISTIC_NAMES
from cimsearch.figures.view import (
    AtCondition,
    Baseline,
    ChipCalibration,
    Credibility,
    GeneAxis,
    LayerView,
    Point,
    RungView,
    SearchCost,
    StudyView,
)
from cimsearch.orchestrate.results import BaselineResult, StudyResult, TrialResult
from cimsearch.orchestrate.stalling import ENDED_BY
from cimsearch.orchestrate.state import front_of
from cimsearch.space import Candidate, space_of
from cimsearch.spec.study import Bound

_STATES: Mapping[str, Literal["complete", "infeasible", "failed"]] = {
    "complete": "complete",
    "infeasible": "infeasible",
    "failed": "failed",
}


def study_view(result: StudyResult) -> StudyView:
    """Return everything a report shows of a study, finished or not."""
    study, spec = result.study, result.study.spec
    space = space_of(study)
    scores = [t.score for t in result.last_rung if t.score is not None]
    return StudyView(
        name=spec.name,
        summary=spec.summary,
        hardware=f"{study.hardware.name} in {study.hardware.system_name}",
        hardware_source=study.hardware.source,
        space=f"{study.space.name}: {len(space.genes)} genes, {space.size:.3g} candidates",
        data=_data_line(result),
        search=(
            f"{spec.sampler.name}, population {spec.sampler.population}, lag {spec.sampler.lag}, "
            f"seed {spec.seed}, {result.budget} trained candidates"
            f"{_halving(result)}{_ended(result)}"
        ),
        rungs=_rungs(result),
        level=spec.rung.score_level,
        chips=spec.rung.chips,
        accuracy_statistic=STATISTIC_NAMES[spec.accuracy_statistic],
        conditions=tuple(condition.label for condition in spec.rung.conditions),
        images=scores[0].images if scores else 0,
        objectives=spec.objectives,
        directions=result.directions,
        reference_point=result.reference,
        cost=_search_cost(result),
        credibility=_credibility(result),
        points=tuple(
            _point(trial, spec.objectives, study.machine(trial.candidate.settings).macro.adc_bits)
            for trial in result.trials
            if trial.state in _STATES
            and (trial.state != "complete" or trial.rung == len(spec.rungs) - 1)
        ),
        baselines=tuple(map(_baseline, result.baselines)),
        hypervolume=tuple(_hypervolume(result)),
        genes=tuple(
            GeneAxis(name=g.name, choices=g.choices, ordered=g.ordered) for g in space.genes
        ),
        constraints=tuple(_bound(name, bound) for name, bound in study.bounds.items()),
        machines_mixed=len({score.fingerprint for score in scores}) > 1,
        provenance=(
            ("study hash", study.hash),
            ("space hash", space.hash),
            ("hardware hash", study.hardware.hash),
            ("cimsearch", cimsearch.__version__),
            ("machine", scores[0].fingerprint if scores else "none yet"),
        ),
    )


def _ended(result: StudyResult) -> str:
    """Return what ended the search, where that was not its budget."""
    known = result.ended_by not in (None, "budget")
    return f"; ended as {ENDED_BY[str(result.ended_by)]}" if known else ""


def _halving(result: StudyResult) -> str:
    halving = result.study.spec.halving
    if halving is None:
        return ""
    return f", of cohorts of {halving.cohort} the best 1/{halving.eta} promoted"


def _rungs(result: StudyResult) -> tuple[RungView, ...]:
    """Return the rungs of a study that has several."""
    rungs, spec = result.study.spec.rungs, result.study.spec
    if spec.halving is None:
        return ()
    said = [agreement.text for agreement in result.agreements]
    return tuple(
        RungView(
            epochs=rung.epochs,
            level=rung.score_level,
            chips=rung.chips,
            images=rung.images,
            scored=scored,
            agreement=said[place] if place < len(said) else "",
        )
        for place, (rung, scored) in enumerate(zip(rungs, result.by_rung, strict=True))
    )


def _data_line(result: StudyResult) -> str:
    data = result.study.spec.data
    return (
        f"{data.kind}, {data.classes} classes, shape {'x'.join(map(str, data.shape))}, "
        f"{100 * data.validation_frac:.0f} % of the training images for validation"
    )


def _values(trial: TrialResult, objectives: tuple[str, ...]) -> tuple[float, ...]:
    """Return the objective values; of a failed trial the priced ones, with accuracy 0."""
    if trial.objectives or trial.cost is None:
        return tuple(trial.objectives.values())
    return (0.0, *(float(trial.cost[name]) for name in objectives[1:]))


def _point(trial: TrialResult, objectives: tuple[str, ...], own_adc_bits: int) -> Point:
    score = trial.score
    return Point(
        number=trial.number,
        state=_STATES[trial.state],
        values=_values(trial, objectives),
        on_front=trial.on_front,
        genes=trial.genes,
        accuracy_std=score.accuracy_std if score else 0.0,
        accuracy_worst=score.accuracy_worst if score else 0.0,
        ideal_accuracy=score.ideal_accuracy if score else 0.0,
        accuracy_mean=score.accuracy if score else 0.0,
        chip_standard_error=score.distribution.chip_standard_error if score else None,
        accuracy_percentile_5=score.distribution.percentile_5 if score else None,
        test_accuracy=trial.test_accuracy,
        energy_measured_pj=trial.energy_measured_pj,
        layers=_layers(trial.candidate, trial.cost, own_adc_bits) if trial.cost else (),
        components=trial.cost["components"] if trial.cost else {},
        reason=trial.reason
        or ", ".join(
            f"{name} by {100 * v:.0f} %" for name, v in trial.constraints.items() if v > 0
        ),
        conditions=tuple(
            AtCondition(label=part.label, mean=part.accuracy, worst=part.accuracy_worst)
            for part in (score.conditions if score else ())
        ),
        calibration=_chip_calibration(score) if score else None,
    )


def _chip_calibration(score: Score) -> ChipCalibration | None:
    if score.shared_accuracy is None:
        return None
    return ChipCalibration(
        mean=score.accuracy,
        shared_mean=score.shared_accuracy,
        shared_worst=min(score.shared_accuracy_per_chip),
        images=score.calibration_images,
        cpu_seconds=score.calibration_cpu_seconds / len(score.accuracy_per_chip),
    )


def _layers(
    candidate: Candidate, cost: Mapping[str, Any], own_adc_bits: int
) -> tuple[LayerView, ...]:
    views = []
    nodes = zip(candidate.blueprint.nodes, candidate.parent.nodes, cost["layers"], strict=True)
    for node, parent, layer in nodes:
        on_macro = node.placement == "cim"
        views.append(
            LayerView(
                name=node.name,
                op=node.op,
                placement=node.placement,
                kernel=node.kernel,
                channels=node.out_shape[0],
                w_bits=node.w_bits,
                x_bits=node.x_bits,
                adc_bits=(node.adc_bits or own_adc_bits) if on_macro else 0,
                prune_ratio=_pruned(node, parent),
                utilization=layer["utilization"],
                energy_pj=layer["energy_pj"],
                latency_ns=layer["latency_ns"],
                components=layer["components"],
            )
        )
    return tuple(views)


def _pruned(node: Node, parent: Node) -> float | None:
    """Return the share of the parent's filters that were removed, where filters may be."""
    if not node.prune_group:
        return None
    return 1 - node.out_shape[0] / parent.out_shape[0]


def _baseline(found: BaselineResult) -> Baseline:
    return Baseline(
        name=found.name,
        values=tuple(found.objectives.values()),
        ideal_accuracy=found.score.ideal_accuracy,
        test_accuracy=found.test_accuracy,
        broken=found.broken,
        components=found.cost["components"],
    )


def _hypervolume(result: StudyResult) -> list[tuple[int, float]]:
    """Return (trial number, hypervolume of the trials up to it)."""
    points: list[tuple[int, tuple[float, ...]]] = []
    history = []
    for trial in result.last_rung:
        if trial.state == "complete":
            points.append((trial.number, tuple(trial.objectives.values())))
            front = front_of(points, result.directions, result.reference)
            history.append((trial.number, front.hypervolume))
    return history


def _search_cost(result: StudyResult) -> SearchCost:
    """Return what the study used: trials, baselines, and the scoring on test images.

    A float parent counts once for each replicate it was trained in, and a rung's epochs once for
    each candidate, as workers keep both.
    """
    rungs = result.study.spec.rungs
    own_epochs = {t.evaluation_id: rungs[t.rung].epochs for t in result.trials if t.rung}
    reused = {trial.evaluation_id for trial in result.trials if trial.reused}
    rows = [row for row in result.evaluations if row.ended is not None and row.id not in reused]
    scores = [(row, Score.from_json(row.score)) for row in rows if row.score is not None]
    parents = {
        (Candidate.from_json(row.candidate).parent.hash, row.role == "test"): score.parent_epochs
        for row, score in scores
    }
    ended = [row.ended for row in rows if row.ended]
    wall = max(ended) - min(row.created for row in rows) if rows else timedelta()
    return SearchCost(
        trained=result.count("complete"),
        failed=result.count("failed"),
        infeasible=result.count("infeasible"),
        reused=len(reused),
        epochs=sum(own_epochs.get(row.id, score.epochs) for row, score in scores)
        + sum(parents.values()),
        cpu_hours=sum(score.cpu_seconds for _, score in scores) / 3600,
        wall_seconds=wall.total_seconds(),
    )


def _credibility(result: StudyResult) -> Credibility:
    costs = [trial.cost for trial in result.front if trial.cost]
    costs += [baseline.cost for baseline in result.baselines]
    if not costs:
        return Credibility(calibrated=False, band_factor=1.0, unvalidated_frac=0.0)
    # Of machines that differ from the measured one the band is wider: theirs counts for all.
    widest = max(costs, key=itemgetter("band_factor"))
    macro = result.study.hardware.macro
    validated = validated_components(macro, calibrated=widest["calibrated"])
    return Credibility(
        calibrated=widest["calibrated"],
        band_factor=widest["band_factor"],
        achieved_coverage=widest["band_achieved_frac"],
        unvalidated=tuple(
            name
            for name in COMPONENTS
            if name not in validated and any(cost["components"][name] for cost in costs)
        ),
        unvalidated_frac=sum(cost["unvalidated_frac"] for cost in costs) / len(costs),
        note=f"The band: {widest['band_basis']}.",
    )


def _bound(name: str, bound: Bound) -> str:
    limits = []
    if bound.min is not None:
        limits.append(f"at least {bound.min:g}")
    if bound.max is not None:
        limits.append(f"at most {bound.max:g}")
    return f"{name} {' and '.join(limits)}"
