"""The loop: remove, measure, tune, until the target is reached; then exchange."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cimsearch.errors import UsageError
from cimsearch.networks import Network, build
from cimsearch.space import Candidate
from cimsearch.space.widths import AS_THEY_ARE, Shares, check_whole, widths_of, with_widths
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.recipe import Recipe
from cimsearch.spec.study import Statistics
from cimsearch.training.accuracy import accuracy
from cimsearch.training.data import Images, normalise
from cimsearch.training.gain.blocks import reach, room
from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.choose import Chooser
from cimsearch.training.gain.exchange import exchanges
from cimsearch.training.gain.prices import Pricing, Widths
from cimsearch.training.gain.result import Pruned, Step, Stopped
from cimsearch.training.gain.target import Target
from cimsearch.training.gain.taylor import Batches, taylor
from cimsearch.training.gain.whole import Maker
from cimsearch.training.recipe import TrainingData, cosine
from cimsearch.training.tune import fine_tune

MEASURED_BATCH = 128


@dataclass(frozen=True)
class Tuning:
    """What a network is measured and tuned with as it is pruned.

    Attributes:
        training: Images to learn from.
        held_out: Images for accuracy: held out of training, and never those of a test.
        recipe: Batch, momentum and weight decay.
        epochs: Of tuning after each round; 0.2 to 1, or 0 for none.
        rate: First learning rate of each tuning, falling as a cosine; the recipe's ``qat_lr`` if
            left out.
        images: Training images that importances are measured with.
        dtype: What is tuned in: float32, or bfloat16 on processors that are faster with it.
    """

    training: TrainingData
    held_out: Images
    recipe: Recipe
    epochs: float = 0.5
    rate: float | None = None
    images: int = 2048
    dtype: torch.dtype = torch.float32


AfterRound = Callable[[Step, Network], None]
"""Called with the last step of a round and the tuned network."""


def _nothing(_step: Step, _network: Network) -> None:
    """Nothing follows a round."""


def prune(
    network: Network,
    candidate: Candidate,
    hardware: Hardware,
    target: Target,
    tuning: Tuning,
    *,
    generator: torch.Generator,
    statistics: Statistics | None = None,
    shares: Shares = AS_THEY_ARE,
    after_round: AfterRound = _nothing,
) -> Pruned:
    """Return a network with fewer channels, by the least importance per unit of cost saved.

    Args:
        network: Trained; float of ``candidate.parent``, or of ``candidate.blueprint`` and
            calibrated: then it is measured and tuned through its hardware, at its mode. Not
            changed.
        candidate: The quantised blueprint, which is priced, and the float one, of equal widths.
        hardware: What is priced on, and runs a quantised network.
        target: Where to stop, and what leads there.
        tuning: Images, recipe and budget.
        generator: Draws images, their order and augmentation, and noise: equal ones give equal
            results; of a quantised network also its own stream of noise has to be equal.
        statistics: Of the data that is priced; the defaults if left out.
        shares: What was asked of the candidate's layers in parts; see ``with_widths``.
        after_round: Hears of the network as it is given, and as it is after every round: it may
            measure the network, not change it.

    Raises:
        UsageError: Network and candidate do not fit together, or the network has none of the
            costs that the target weighs.
        SpaceError: The network is a quantised one with layers in parts: of these the float one is
            pruned.
        HardwareError: The hardware cannot run the network.
        CimsearchError: Tuning diverged.
    """
    _check(network, candidate)
    pricing = Pricing(candidate.blueprint, hardware, statistics, shares)
    start = pricing.of([widths_of(candidate.blueprint)])
    if not start.share(start, target)[0] > 0:
        raise UsageError(
            "found a network that has none of the costs of the pruning target",
            "give energy, latency or bitlines a weight that the network has a share of",
        )
    whole = build(candidate.parent, None, generator=generator)
    channels = Channels.all_of(candidate.parent)
    maker = Maker(whole, candidate, hardware.macro, tuning.training, generator)
    maker.put_back(network, channels)
    chooser = Chooser(pricing, start, target)
    run = _Run(chooser, tuning, maker, generator, after_round, network, channels)
    run.begin()
    stopped = run.to_target()
    if target.exchange and target.per != "random":
        run.exchange()
    return run.result(stopped)


def _check(network: Network, candidate: Candidate) -> None:
    check_whole(network.blueprint)
    if network.blueprint not in (candidate.parent, candidate.blueprint):
        raise UsageError(
            "found a network of another blueprint; allowed are those of the candidate",
        )
    if widths_of(candidate.parent) != widths_of(candidate.blueprint):
        raise UsageError(
            "found a candidate that is pruned already; allowed is one with its parent's widths",
            "make one of the parent's widths with space.widths.with_widths",
        )


@dataclass
class _Run:
    """A pruning under way.

    Attributes:
        chooser: Prices and compares moves.
        tuning: Images, recipe and budget.
        maker: Makes networks of some channels, and knows the weights of all.
        generator: Of all that is random.
        after_round: Hears of every round.
        network: As last tuned.
        channels: Those of ``network``.
        history: What was done.
    """

    chooser: Chooser
    tuning: Tuning
    maker: Maker
    generator: torch.Generator
    after_round: AfterRound
    network: Network
    channels: Channels
    history: list[Step] = field(default_factory=list)

    def begin(self) -> None:
        """Note what the network is before anything goes."""
        first = self._step({}, 0.0, self.channels.widths)
        self.history = [first.scored(self._accuracy(self.network))]
        self.after_round(self.history[-1], self.network)

    def to_target(self) -> Stopped:
        """Remove channels round by round until a limit is reached."""
        target = self.chooser.target
        while self.history[-1].cost_frac > target.cost_frac:
            self._measure()
            steps, channels = self._round()
            if not steps:
                return "widths"
            if not self._accept(steps, channels, target.least_accuracy):
                return "accuracy"
        return "target"

    def exchange(self) -> None:
        """Exchange channels between groups, where the tuned network is no less accurate for it."""
        self._measure()
        steps, channels = [], self.channels
        for after, made in exchanges(self.channels, self.chooser):
            steps.append(self._step(made.counts, made.lost, after.widths))
            channels = after
        if steps:
            self._accept(steps, channels, self.history[-1].accuracy or 0.0)

    def result(self, stopped: Stopped) -> Pruned:
        """Return what was made."""
        network, floats = self.network, self.maker.floating(self.channels)
        if list(network.cim_layers()):
            self.maker.fit_norms(floats)
        else:
            network = floats
        widths = self.channels.widths
        narrow = Candidate(
            self.chooser.pricing.at(widths),
            with_widths(self.maker.candidate.parent, widths),
            settings=self.maker.candidate.settings,
        )
        return Pruned(floats, network, narrow, tuple(self.history), stopped)

    def _round(self) -> tuple[list[Step], Channels]:
        """Return the steps of one round, and the channels after them."""
        chooser, channels = self.chooser, self.channels
        begun, cost = channels.widths, self.history[-1].cost_frac
        goal = max(chooser.target.cost_frac, cost - chooser.target.round_frac)
        steps: list[Step] = []
        while cost > goal:
            best = chooser.best(channels, reach(channels, chooser.target))
            if best is None:
                break
            move = chooser.cut(best, channels, room(channels, begun, chooser.target))
            if not move.removed:
                break
            channels = channels.changed(move.removed)
            steps.append(self._step(move.removed, move.importance, channels.widths))
            cost = steps[-1].cost_frac
            if move.removed != best.removed:
                # The rest of the block goes in the next round, after tuning.
                break
        return steps, channels

    def _accept(self, steps: list[Step], channels: Channels, least_accuracy: float) -> bool:
        """Make and tune the network of ``channels``; keep it if it is accurate enough."""
        network = self.maker.like(self.network, channels)
        self._tune(network)
        found = self._accuracy(network)
        if found < least_accuracy:
            return False
        self.maker.put_back(network, channels)
        self.network, self.channels = network, channels
        self.history += [*steps[:-1], steps[-1].scored(found)]
        self.after_round(self.history[-1], network)
        return True

    def _tune(self, network: Network) -> None:
        training, recipe = self.tuning.training, self.tuning.recipe
        rate = recipe.qat_lr if self.tuning.rate is None else self.tuning.rate
        network.dtype = self.tuning.dtype
        fine_tune(
            network,
            training,
            recipe,
            steps=round(self.tuning.epochs * training.steps(recipe.batch)),
            rate=lambda progress: rate * cosine(progress),
            generator=self.generator,
        )
        network.dtype = torch.float32

    def _accuracy(self, network: Network) -> float:
        return accuracy(network, self.tuning.held_out, self.tuning.training.data)

    def _measure(self) -> None:
        """Measure importances; draw them for the random control."""
        if self.chooser.target.per == "random":
            found = {
                group: torch.rand(width, generator=self.generator, dtype=torch.float64)
                for group, width in self.channels.widths.items()
            }
        else:
            found = taylor(self.network, self._batches())
        self.channels = self.channels.measured(found)

    def _batches(self) -> Batches:
        training, most = self.tuning.training, self.tuning.images
        order = torch.randperm(len(training.images.y), generator=self.generator)
        chosen = order[:most].sort().values
        yield from _in_batches(training, chosen)

    def _step(self, removed: Widths, importance: float, widths: Widths) -> Step:
        price = self.chooser.pricing.of([widths])
        return Step(
            removed=tuple(removed.items()),
            importance=importance,
            cost_frac=float(price.share(self.chooser.start, self.chooser.target)[0]),
            energy_pj=float(price.energy_pj[0]),
            latency_ns=float(price.latency_ns[0]),
            bitlines=int(price.bitlines[0]),
            macs=int(price.macs[0]),
            weights=int(price.weights[0]),
        )


def _in_batches(training: TrainingData, chosen: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for part in torch.split(chosen, MEASURED_BATCH):
        places = part.numpy()
        images = normalise(training.images.x[places], training.data)
        yield images, torch.from_numpy(training.images.y[places])
