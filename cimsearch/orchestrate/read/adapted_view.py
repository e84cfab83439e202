"""An adaptation as the report takes it."""

from typing import NamedTuple

from cimsearch.evaluate.distribution import STATISTIC_NAMES
from cimsearch.figures.view_adapted import (
    AdaptationView,
    AdaptedNetwork,
    AdaptedStep,
    LayerChange,
    OneGeneChange,
)
from cimsearch.orchestrate.read.adaptation import Adapting, read_adaptation
from cimsearch.orchestrate.read.adapted_changes import Changed
from cimsearch.orchestrate.read.adapted_steps import Chain, Step, accuracy_of
from cimsearch.orchestrate.read.results import StudyResult


def adaptation_view(result: StudyResult) -> AdaptationView | None:
    """Return what a report shows of a study's adaptation; None if nobody has begun it."""
    found = read_adaptation(result)
    if found is None:
        return None
    rung = found.how.training
    networks = [_network(found, chain, baseline=True) for chain in found.baselines]
    networks += [_network(found, chain, baseline=False) for chain in found.chains]
    return AdaptationView(
        networks=tuple(network for network in networks if network.steps or network.ended_by),
        level=rung.score_level,
        chips=rung.chips,
        epochs=rung.epochs,
        statistic=STATISTIC_NAMES[found.statistic],
        least_accuracy=found.least_accuracy,
        saved=found.saved,
        taken=_taken(found),
    )


def _taken(found: Adapting) -> str:
    """Return what pruning takes away, in words; nothing where networks are only trained."""
    if found.how.pruning is None:
        return ""
    return "channels and residual blocks" if found.how.pruning.layers else "channels"


def _network(found: Adapting, chain: Chain, *, baseline: bool) -> AdaptedNetwork:
    delivered = found.delivered().get(chain.name)
    gone: tuple[tuple[str, int], ...] = ()
    steps = []
    for step in chain.steps:
        if step.kind == "pruned":
            gone = step.removed
        elif step.score is not None:
            steps.append(_step(found, step, gone, delivered=step == delivered))
    return AdaptedNetwork(
        name=chain.name,
        baseline=baseline,
        steps=tuple(steps),
        layers=_changes(chain.steps[0], delivered) if delivered and not baseline else (),
        ended_by=chain.ended_by,
        changes=tuple(map(_change, found.changes_of(delivered))) if delivered else (),
    )


def _change(changed: Changed) -> OneGeneChange:
    return OneGeneChange(
        gene=changed.gene,
        values=(str(changed.before), str(changed.after)),
        cost=changed.cost,
        accuracy=changed.accuracy,
        chip_error=changed.chip_error,
        image_error=changed.image_error,
    )


def _step(
    found: Adapting, step: Step, gone: tuple[tuple[str, int], ...], *, delivered: bool
) -> AdaptedStep:
    cost, test = step.cost, found.test_score(step)
    return AdaptedStep(
        label=f"round {step.round}" if step.round else "trained",
        accuracy=accuracy_of(step, found.statistic),
        test_accuracy=test.accuracy_by(found.statistic) if test else None,
        energy_pj=cost["energy_pj"],
        latency_ns=cost["latency_ns"],
        area_um2=cost["area_um2"],
        utilization=cost["utilization"],
        weights=step.candidate.blueprint.weights,
        removed=gone,
        delivered=delivered,
    )


def _changes(before: Step, after: Step) -> tuple[LayerChange, ...]:
    """Return what became of each layer with weights; of one that went there is nothing."""
    if before == after:
        return ()
    was, now = _layers(before), _layers(after)
    both = ((name, old, now.get(name, _Layer(0, 0.0, 0.0))) for name, old in was.items())
    return tuple(
        LayerChange(
            name=name,
            channels=(old.channels, new.channels),
            energy_pj=(old.energy_pj, new.energy_pj),
            utilization=(old.utilization, new.utilization),
        )
        for name, old, new in both
    )


class _Layer(NamedTuple):
    channels: int
    energy_pj: float
    utilization: float


def _layers(step: Step) -> dict[str, _Layer]:
    """Return every layer with weights by name."""
    nodes = zip(step.candidate.blueprint.nodes, step.cost["layers"], strict=True)
    return {
        node.name: _Layer(node.out_shape[0], cost["energy_pj"], cost["utilization"])
        for node, cost in nodes
        if node.has_weights
    }
