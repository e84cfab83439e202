"""A study's result as the figures and the report take it."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal

import cimsearch
from cimsearch.blueprint import Node, parent_names
from cimsearch.cost import COMPONENTS, validated_components
from cimsearch.evaluate import Score
from cimsearch.evaluate.distribution import STATISTIC_NAMES
from cimsearch.figures.settings import choices_text
from cimsearch.figures.view import (
    AtCondition,
    Baseline,
    ChipCalibration,
    Credibility,
    GeneAxis,
    LayerView,
    Point,
    StudyView,
)
from cimsearch.figures.view_search import RungView
from cimsearch.orchestrate.read.adapted_view import adaptation_view
from cimsearch.orchestrate.read.baseline_results import BaselineResult, missed
from cimsearch.orchestrate.read.results import StudyResult, TrialResult
from cimsearch.orchestrate.read.search_view import hypervolume_history, random_search, search_cost
from cimsearch.orchestrate.read.stale import stale_labels
from cimsearch.orchestrate.run.stalling import ENDED_BY
from cimsearch.space import Candidate, space_of
from cimsearch.spec import Study
from cimsearch.spec.data import DataSpec
from cimsearch.spec.study import AccuracyStatistic, Bound

_STATES: Mapping[str, Literal["complete", "infeasible", "failed"]] = {
    "complete": "complete",
    "infeasible": "infeasible",
    "failed": "failed",
}


def study_view(result: StudyResult) -> StudyView:
    """Return everything a report shows of a study, finished or not."""
    study, spec = result.study, result.study.spec
    space = space_of(study)
    names = tuple(workload.name for workload in study.workloads)
    scores = [t.score for t in result.last_rung if t.score is not None]
    stale = {label: hardware.name for label, hardware in stale_labels(result).items()}
    return StudyView(
        name=spec.name,
        summary=spec.summary,
        hardware=f"{study.hardware.name} in {study.hardware.system_name}{_searched(study)}",
        hardware_source=study.hardware.source,
        space=f"{space.name}: {len(space.genes)} genes, {space.size:.3g} candidates",
        data=_data_line(result),
        search=(
            f"{spec.sampler.name}, population {spec.sampler.population}, lag {spec.sampler.lag}, "
            f"seed {spec.seed}, {result.budget} trained candidates"
            f"{_halving(result)}{_ended(result)}"
        ),
        workloads=names if len(names) > 1 else (),
        over_workloads=spec.over_workloads,
        rungs=_rungs(result),
        level=spec.rung.score_level,
        chips=spec.rung.chips,
        accuracy_statistic=STATISTIC_NAMES[spec.accuracy_statistic],
        conditions=tuple(condition.label for condition in spec.rung.conditions),
        images=scores[0].images if scores else 0,
        objectives=spec.objectives,
        directions=result.directions,
        reference_point=result.reference,
        cost=search_cost(result),
        credibility=_credibility(result),
        points=tuple(
            _point(result, trial, stale.get(f"trial {trial.number}", ""))
            for trial in result.trials
            if trial.state in _STATES
            and (trial.state != "complete" or trial.rung == len(spec.rungs) - 1)
        ),
        baselines=tuple(
            _baseline(result, found, stale.get(found.name, "")) for found in result.baselines
        ),
        missing_baselines=tuple(result.missing_baselines.items()),
        hypervolume=hypervolume_history(result),
        random_search=random_search(result),
        genes=tuple(
            GeneAxis(name=g.name, choices=g.choices, ordered=g.ordered) for g in space.genes
        ),
        constraints=tuple(_bound(name, bound) for name, bound in study.bounds.items()),
        adaptation=adaptation_view(result),
        machines_mixed=len({score.fingerprint for score in scores}) > 1,
        provenance=(
            ("study hash", study.hash),
            ("space hash", space.hash),
            ("hardware hash", study.hardware.hash),
            ("cimsearch", cimsearch.__version__),
            ("machine", scores[0].fingerprint if scores else "none yet"),
        ),
    )


def _searched(study: Study) -> str:
    """Return which fields of the hardware are searched, with their choices."""
    if study.machines is None:
        return ""
    return f"; searched with the networks: {choices_text(study.machines.fields)}"


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
    workloads = result.study.workloads
    lines = [_data_of(workload.data) for workload in workloads]
    if len(lines) == 1:
        return lines[0]
    named = zip(workloads, lines, strict=True)
    return "; ".join(f"{workload.name}: {line}" for workload, line in named)


def _data_of(data: DataSpec) -> str:
    return (
        f"{data.kind}, {data.classes} classes, shape {'x'.join(map(str, data.shape))}, "
        f"{100 * data.validation_frac:.0f} % of the training images for validation"
    )


def _workloads(score: Score | None, statistic: AccuracyStatistic) -> tuple[tuple[str, float], ...]:
    """Return the accuracy of each workload, where a chip runs several."""
    found = score.workloads if score else ()
    return tuple((each.name, each.accuracy_by(statistic)) for each in found)


def _values(trial: TrialResult, objectives: tuple[str, ...]) -> tuple[float, ...]:
    """Return the objective values; of a failed trial the priced ones, with accuracy 0."""
    if trial.objectives or trial.cost is None:
        return tuple(trial.objectives.values())
    return (0.0, *(float(trial.cost[name]) for name in objectives[1:]))


def _point(result: StudyResult, trial: TrialResult, stale: str) -> Point:
    score = trial.score
    own_adc_bits = result.study.machine(trial.candidate.settings).macro.adc_bits
    return Point(
        number=trial.number,
        state=_STATES[trial.state],
        values=_values(trial, result.study.spec.objectives),
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
        reason=trial.reason or missed(trial.constraints),
        settings=result.settings_of(trial.candidate),
        workloads=_workloads(score, result.study.spec.accuracy_statistic),
        stale=stale,
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
    parents = parent_names(candidate.blueprint)
    for node, layer in zip(candidate.blueprint.nodes, cost["layers"], strict=True):
        parent = candidate.parent.node(parents[node.name])
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


def _baseline(result: StudyResult, found: BaselineResult, stale: str) -> Baseline:
    return Baseline(
        name=found.name,
        values=tuple(found.objectives.values()),
        ideal_accuracy=found.score.ideal_accuracy,
        test_accuracy=found.test_accuracy,
        broken=found.broken,
        infeasible=found.infeasible,
        settings=result.settings_of(found.candidate),
        workloads=_workloads(found.score, result.study.spec.accuracy_statistic),
        stale=stale,
        components=found.cost["components"],
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
