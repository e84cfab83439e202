"""Which channels go next: the least importance per unit of cost saved."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from cimsearch.space.bypass import Bypass, bypasses
from cimsearch.training.gain.blocks import block_sizes
from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.prices import Floats, Prices, Pricing, narrower
from cimsearch.training.gain.target import Target

PAIRED = 32
"""Blocks that are also tried two at a time."""

NO_SAVING = 1e-9
"""A share of the cost that rounding alone may save."""


@dataclass(frozen=True)
class Move:
    """Channels that go together, or a residual block.

    Attributes:
        removed: How many, by group.
        importance: What is given up.
        score: That per share of the cost saved; infinite if it saves none.
        block: The residual block that goes instead of channels; empty if none does.
    """

    removed: Mapping[str, int]
    importance: float
    score: float
    block: str = ""


@dataclass(frozen=True)
class Chooser:
    """How moves are priced and compared.

    Attributes:
        pricing: Of the network.
        start: The price of the network that pruning began with.
        target: What importance is divided by, and the weights of the cost.
        stay: Residual blocks that are no choice, though the target lets blocks go.
    """

    pricing: Pricing
    start: Prices
    target: Target
    stay: frozenset[str] = frozenset()

    def without(self, block: str) -> "Chooser":
        """Return the one of the network without a residual block."""
        return replace(self, pricing=self.pricing.without(block))

    @property
    def removable(self) -> dict[str, Bypass]:
        """The residual blocks that may go, by name."""
        found = bypasses(self.pricing.blueprint) if self.target.layers else {}
        return {name: block for name, block in found.items() if name not in self.stay}

    def moves(self, now: Channels, reach: Mapping[str, int]) -> list[Move]:
        """Return every block that may go, and pairs of them, the one to take first at the head.

        A block is one channel (of every part), or as many as bring the priced cost down a step of
        its staircase. Looking two steps ahead, blocks of two groups are one move: together they
        may save an array that neither saves alone. A residual block goes alone; of equal moves it
        is the first.

        Args:
            now: The channels that are there.
            reach: How many of each group may go.
        """
        single = self._scored(now, self._blocks(now, reach))
        single.sort(key=_first)
        pairs = [
            {**one.removed, **other.removed}
            for one, other in combinations(single[:PAIRED], 2)
            if not one.removed.keys() & other.removed.keys()
        ]
        whole = self._removals(now)
        return sorted([*whole, *single, *self._scored(now, pairs)], key=_first)

    def best(self, now: Channels, reach: Mapping[str, int]) -> Move | None:
        """Return the move with the least score; None if no move saves anything."""
        moves = self.moves(now, reach)
        return moves[0] if moves and np.isfinite(moves[0].score) else None

    def cut(self, move: Move, now: Channels, room: Mapping[str, int]) -> Move:
        """Return the part of a move that fits into a round."""
        removed = {g: min(count, room[g]) for g, count in move.removed.items() if room[g] > 0}
        lost = sum(now.lost(g)[count // now.parts[g]] for g, count in removed.items())
        return replace(move, removed=removed, importance=lost)

    def _blocks(self, now: Channels, reach: Mapping[str, int]) -> list[dict[str, int]]:
        """Return the blocks of every group; the staircases of all are priced in one batch."""
        widths = now.widths
        tried = [
            (group, count)
            for group, most in reach.items()
            for count in range(0, most + 1, now.parts[group])
        ]
        prices = self.pricing.of([widths | {g: widths[g] - count} for g, count in tried])
        costs = prices.share(self.start, self.target)
        blocks = []
        for group in reach:
            part = now.parts[group]
            staircase = [cost for (g, _), cost in zip(tried, costs, strict=True) if g == group]
            blocks += [{group: size * part} for size in block_sizes(staircase)]
        return blocks

    def _removals(self, now: Channels) -> list[Move]:
        """Return the moves by which a residual block goes."""
        shallower = {name: self.pricing.without(name) for name in self.removable}
        # A network with nothing on arrays would cost next to nothing.
        blocks = {name: rest for name, rest in shallower.items() if _on_arrays(rest)}
        if not blocks:
            return []
        prices = [self.pricing.of([now.widths])]
        for rest in blocks.values():
            prices.append(rest.of([now.within(rest.blueprint).widths]))
        saved = self._saved(Prices.joined(prices))
        moves = []
        for block, saving in zip(blocks, saved.tolist(), strict=True):
            given_up = now.added_by(block)
            moves.append(Move({}, given_up, _score(given_up, saving), block))
        return moves

    def _scored(self, now: Channels, options: list[dict[str, int]]) -> list[Move]:
        if not options:
            return []
        widths, lost = now.widths, {group: now.lost(group) for group in now.kept}
        tried = [widths, *(narrower(widths, option) for option in options)]
        saved = self._saved(self.pricing.of(tried))
        moves = []
        for option, saving in zip(options, saved.tolist(), strict=True):
            given_up = sum(lost[g][count // now.parts[g]] for g, count in option.items())
            moves.append(Move(option, given_up, _score(given_up, saving)))
        return moves

    def _saved(self, prices: Prices) -> Floats:
        """Return what each network but the first saves against the first: the denominators."""
        if self.target.per in ("plain", "random"):
            return np.where(np.isfinite(prices.energy_pj[1:]), 1.0, 0.0)
        costs = prices.led_by(self.start, self.target)
        saved: Floats = costs[0] - costs[1:]
        return saved


def _score(given_up: float, saving: float) -> float:
    return given_up / saving if saving > NO_SAVING else np.inf


def _first(move: Move) -> tuple[float, float]:
    """Order by score; of equal ones (blocks that save nothing) by what is given up."""
    return move.score, move.importance


def _on_arrays(pricing: Pricing) -> bool:
    return any(node.placement == "cim" for node in pricing.blueprint.nodes)
