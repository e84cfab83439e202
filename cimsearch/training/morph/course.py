"""Morphing a float network into a budget: shrink, expand, inherit, tune, and again."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import torch

from cimsearch.blueprint import Blueprint
from cimsearch.cost.budget import ArrayBudget
from cimsearch.errors import UsageError
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.space.fill import Grid, expand
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec.recipe import Recipe
from cimsearch.training.accuracy import accuracy
from cimsearch.training.data import Images
from cimsearch.training.gain.taylor import taylor
from cimsearch.training.morph.gains import alive_channels, check_gains, gains
from cimsearch.training.morph.price import channel_prices
from cimsearch.training.morph.shrink import found_strength, normalised, shrink
from cimsearch.training.morph.widen import widen
from cimsearch.training.prune import importance, inherit
from cimsearch.training.recipe import TrainingData, one_cycle
from cimsearch.training.tune import fine_tune

NORM_IMAGES, NORM_BATCH = 2048, 256
TAYLOR_BATCHES, TAYLOR_BATCH = 16, 128

StageKind = Literal["start", "shrunk", "expanded", "tuned"]


@dataclass(frozen=True, slots=True)
class Morphing:
    """How a network is morphed.

    Attributes:
        rounds: How often it shrinks and expands.
        shrink_epochs: Training with the penalty, each round.
        tune_epochs: Training after the expansion, each round.
        probe_steps: Batches of the short runs that the strength of the penalty is sought with.
        alive_frac: Least and most units that the short run should leave alive, as a share of the
            budget, or of what the network takes if that is less.
        noise_frac: Of copied filters; see ``widen``.
        grid: Widths allowed; its step is also what stays of a group at least.
    """

    rounds: int = 2
    shrink_epochs: float = 3
    tune_epochs: float = 5
    probe_steps: int = 100
    alive_frac: tuple[float, float] = (0.6, 0.8)
    noise_frac: float = 0.05
    grid: Grid = field(default=Grid())


@dataclass(frozen=True)
class Stage:
    """The network at one point of a morphing.

    Attributes:
        round: From 1; 0 is the start.
        kind: What was done last.
        widths: Channels by prune group.
        units: Of the budget, that it takes; those of a start and of a shrunk one may exceed it.
        usage_frac: Its cells in use as a share of those of the budget.
        accuracy: On the images that it is scored on.
        strength: Of the penalty that it was shrunk with; 0 elsewhere.
    """

    round: int
    kind: StageKind
    widths: Mapping[str, int]
    units: int
    usage_frac: float
    accuracy: float
    strength: float = 0.0


OnStage = Callable[[Stage], None]


def untold(_stage: Stage) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Morphed:
    """A network that fits a budget.

    Attributes:
        network: Float and trained, in evaluation mode.
        blueprint: The same with the bits that it is priced at.
        history: Every stage, in order.
    """

    network: Network
    blueprint: Blueprint
    history: tuple[Stage, ...]


@dataclass(frozen=True)
class Bench:
    """What all stages share: images, recipe, plan, budget, and the random stream.

    Attributes:
        training: Images to train on.
        recipe: Batch, momentum, weight decay and, as the peak of each cycle, ``parent_lr``.
        plan: How long, and on which grid.
        budget: What the network may take.
        scored: Images that stages are scored on; not of the test.
        generator: Order, augmentation, initial weights and noise.
    """

    training: TrainingData
    recipe: Recipe
    plan: Morphing
    budget: ArrayBudget
    scored: Images
    generator: torch.Generator

    def steps(self, epochs: float) -> int:
        """Return the batches of ``epochs``, at least 1."""
        return max(1, round(epochs * self.training.steps(self.recipe.batch)))


def morph(
    network: Network, blueprint: Blueprint, bench: Bench, on_stage: OnStage = untold
) -> Morphed:
    """Return a network with other widths that fills the budget, trained.

    Args:
        network: Float, with batch norms: trained, or with initial weights; it is left as it is.
            Training is in its ``dtype``.
        blueprint: The same with the bits that it is priced at.
        bench: How.
        on_stage: Hears of each stage as soon as it is scored.

    Raises:
        UsageError: The blueprint is not that of the network, or there is no gain to shrink by.
        SpaceError: Not even the least widths fit the budget, or nothing is on arrays.
        HardwareError: The blueprint asks what the macro cannot do.
        CimsearchError: A training diverged.
    """
    if widths_of(network.blueprint) != widths_of(blueprint):
        raise UsageError("morph: found a network of other widths than the blueprint's")
    check_gains(network.blueprint)
    history: list[Stage] = []

    def tell(stage: Stage) -> None:
        history.append(stage)
        on_stage(stage)

    tell(_stage(0, "start", network, blueprint, bench))
    current = deepcopy(network)
    for number in range(1, bench.plan.rounds + 1):
        strength = _shrunk(current, blueprint, bench)
        narrow, priced = _alive_part(current, blueprint, bench)
        tell(_stage(number, "shrunk", narrow, priced, bench, strength))
        current, blueprint = _expanded(narrow, priced, bench)
        tell(_stage(number, "expanded", current, blueprint, bench))
        _tune(current, bench)
        tell(_stage(number, "tuned", current, blueprint, bench))
    return Morphed(current, blueprint, tuple(history))


def _shrunk(network: Network, blueprint: Blueprint, bench: Bench) -> float:
    """Train with the penalty, in place; return its strength.

    It is sought with short runs from the same start. The long run has it smaller by the ratio of
    their lengths, so that what it adds up to is the same.
    """
    prices = normalised(channel_prices(blueprint, bench.budget.hardware), network)
    most = min(bench.budget.limit, bench.budget.units(blueprint))

    def share(strength: float) -> float:
        probe, stream = deepcopy(network), torch.Generator()
        stream.set_state(bench.generator.get_state())
        shrink(
            probe,
            bench.training,
            bench.recipe,
            prices,
            strength=strength,
            steps=bench.plan.probe_steps,
            generator=stream,
        )
        alive = alive_channels(probe, least=bench.plan.grid.step)
        return bench.budget.units(with_widths(blueprint, alive)) / most

    steps = bench.steps(bench.plan.shrink_epochs)
    # Over the short run this draws a gain of mean price by about 1: what most begin with.
    first = 2 / (bench.recipe.parent_lr * bench.plan.probe_steps)
    short = found_strength(share, bench.plan.alive_frac, first=first)
    strength = short * bench.plan.probe_steps / steps
    shrink(
        network,
        bench.training,
        bench.recipe,
        prices,
        strength=strength,
        steps=steps,
        generator=bench.generator,
    )
    return strength


def _alive_part(network: Network, blueprint: Blueprint, bench: Bench) -> tuple[Network, Blueprint]:
    """Return the network without its dead channels, batch norms fitted, and as it is priced."""
    alive = alive_channels(network, least=bench.plan.grid.step)
    narrow = _built(network, alive, bench)
    inherit(narrow, network, importance(network) | gains(network))
    _fit_norms(narrow, bench)
    return narrow, with_widths(blueprint, alive)


def _expanded(narrow: Network, blueprint: Blueprint, bench: Bench) -> tuple[Network, Blueprint]:
    """Return the network with widths that fill the budget, with the filters of ``narrow``."""
    batches = bench.training.epoch(TAYLOR_BATCH, bench.generator)
    scores = taylor(narrow, islice(batches, TAYLOR_BATCHES))
    worth = {group: float(score.mean()) for group, score in scores.items()}
    filled = expand(blueprint, bench.budget, bench.plan.grid, worth).blueprint
    widths, new = widths_of(blueprint), widths_of(filled)
    common = _built(narrow, {group: min(widths[group], new[group]) for group in new}, bench)
    inherit(common, narrow, scores)
    wide = _built(narrow, new, bench)
    widen(
        wide,
        common,
        importance(common),
        noise_frac=bench.plan.noise_frac,
        generator=bench.generator,
    )
    _fit_norms(wide, bench)
    return wide, filled


def _tune(network: Network, bench: Bench) -> None:
    fine_tune(
        network,
        bench.training,
        bench.recipe,
        steps=bench.steps(bench.plan.tune_epochs),
        rate=lambda progress: bench.recipe.parent_lr * one_cycle(progress),
        generator=bench.generator,
    )


def _built(network: Network, widths: Mapping[str, int], bench: Bench) -> Network:
    """Return the float network with other widths, untrained."""
    made = build(with_widths(network.blueprint, widths), None, generator=bench.generator)
    made.dtype = network.dtype
    return made


def _fit_norms(network: Network, bench: Bench) -> None:
    sample = bench.training.sample(NORM_IMAGES, bench.generator)
    recalibrate_norms(network, torch.split(sample, NORM_BATCH))


def _stage(
    number: int,
    kind: StageKind,
    network: Network,
    blueprint: Blueprint,
    bench: Bench,
    strength: float = 0.0,
) -> Stage:
    scored = deepcopy(network)
    scored.dtype = torch.float32
    return Stage(
        round=number,
        kind=kind,
        widths=widths_of(blueprint),
        units=bench.budget.units(blueprint),
        usage_frac=bench.budget.usage_frac(blueprint),
        accuracy=accuracy(scored, bench.scored, bench.training.data),
        strength=strength,
    )
