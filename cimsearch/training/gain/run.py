"""A pruning under way: rounds of removing, measuring and tuning, and the exchange at the end."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cimsearch.networks import Network
from cimsearch.space import Candidate
from cimsearch.space.bypass import bypasses
from cimsearch.space.widths import with_widths
from cimsearch.training.gain.blocks import reach, room
from cimsearch.training.gain.channels import Added, Channels
from cimsearch.training.gain.choose import Chooser
from cimsearch.training.gain.exchange import exchanges
from cimsearch.training.gain.prices import Widths
from cimsearch.training.gain.result import Pruned, Step, Stopped
from cimsearch.training.gain.taylor import taylor_with_blocks
from cimsearch.training.gain.tuning import AfterRound, Tuning, batches, held_out_accuracy, tune
from cimsearch.training.gain.whole import Maker


@dataclass
class Run:
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
        first = _step({}, 0.0, self.channels, self.chooser)
        self.history = [first.scored(held_out_accuracy(self.network, self.tuning))]
        self.after_round(self.history[-1], self.network)

    def to_target(self) -> Stopped:
        """Remove channels and blocks round by round until a limit is reached."""
        target = self.chooser.target
        while self.history[-1].cost_frac > target.cost_frac:
            self._measure()
            steps, channels = self._round()
            if not steps:
                return "widths"
            if self._accept(steps, channels, target.least_accuracy):
                continue
            if not steps[-1].block:
                return "accuracy"
            # What is so much at once is not asked again: channels alone may still go.
            self.chooser = replace(self.chooser, stay=self.chooser.stay | {steps[-1].block})
        return "target"

    def exchange(self) -> None:
        """Exchange channels between groups, where the tuned network is no less accurate for it."""
        self._measure()
        steps, channels = [], self.channels
        for after, made in exchanges(self.channels, self.chooser):
            steps.append(_step(made.counts, made.lost, after, self.chooser))
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
            if best.block:
                # Its effect is large: the network is tuned at once.
                after = chooser.without(best.block)
                channels = channels.within(after.pricing.blueprint)
                step = _step({}, best.importance, channels, after)
                return [*steps, replace(step, block=best.block)], channels
            move = chooser.cut(best, channels, room(channels, begun, chooser.target))
            if not move.removed:
                break
            channels = channels.changed(move.removed)
            steps.append(_step(move.removed, move.importance, channels, chooser))
            cost = steps[-1].cost_frac
            if move.removed != best.removed:
                # The rest of the block goes in the next round, after tuning.
                break
        return steps, channels

    def _accept(self, steps: list[Step], channels: Channels, least_accuracy: float) -> bool:
        """Make and tune the network after ``steps``; keep it if it is accurate enough."""
        maker, chooser = self.maker, self.chooser
        if block := steps[-1].block:
            maker, chooser = maker.without(block), chooser.without(block)
        network = maker.like(self.network, channels)
        tune(network, self.tuning, self.generator)
        found = held_out_accuracy(network, self.tuning)
        if found < least_accuracy:
            return False
        maker.put_back(network, channels)
        self.maker, self.chooser = maker, chooser
        self.network, self.channels = network, channels
        self.history += [*steps[:-1], steps[-1].scored(found)]
        self.after_round(self.history[-1], network)
        return True

    def _measure(self) -> None:
        """Measure importances; draw them for the random control."""
        # Where the candidate has layers in parts, those of the network are whole.
        own = bypasses(self.network.blueprint)
        blocks = {name: own[name] for name in self.chooser.removable}
        if self.chooser.target.per == "random":
            drawn = {group: self._drawn(width) for group, width in self.channels.widths.items()}
            # A block has the chance of one channel.
            added = {name: Added("", self._drawn(1)) for name in blocks}
            self.channels = self.channels.measured(drawn, added)
            return
        found = taylor_with_blocks(self.network, batches(self.tuning, self.generator), blocks)
        added = {name: Added(blocks[name].group, of) for name, of in found.blocks.items()}
        self.channels = self.channels.measured(found.groups, added)

    def _drawn(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.generator, dtype=torch.float64)


def _step(removed: Widths, importance: float, after: Channels, chooser: Chooser) -> Step:
    """Return what went, and the prices of the network that ``chooser`` prices after it."""
    price = chooser.pricing.of([after.widths])
    return Step(
        removed=tuple(removed.items()),
        importance=importance,
        cost_frac=float(price.share(chooser.start, chooser.target)[0]),
        energy_pj=float(price.energy_pj[0]),
        latency_ns=float(price.latency_ns[0]),
        bitlines=int(price.bitlines[0]),
        macs=int(price.macs[0]),
        weights=int(price.weights[0]),
    )
