"""The last pass: channels go in one group and come back in another, at no more cost."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cimsearch.training.gain.blocks import drops
from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.choose import Chooser
from cimsearch.training.gain.prices import Floats, narrower

ROUNDING = 1e-12


@dataclass(frozen=True)
class Exchange:
    """Channels that go in one group and come back in another.

    Attributes:
        counts: Channels that go, by group; below 0 of those that come.
        lost: The importance given up; below 0, as more comes back.
    """

    counts: dict[str, int]
    lost: float


def exchanges(now: Channels, chooser: Chooser) -> Iterator[tuple[Channels, Exchange]]:
    """Yield one exchange after the other, each with the channels after it.

    A granule goes in one group and one comes back in another, as long as the predicted loss, the
    sum of the importances given up, falls, and neither the priced cost nor the one that the
    target divides by rises: the exchange by which the loss falls most is made. A granule is one
    channel (of every part), or as many as make a step of the staircase: going, one step down;
    coming, all that fit below the next step up. What comes back are the parent's own filters.
    """
    while True:
        options = [option for option in _options(now, chooser) if option.lost < 0]
        affordable = _affordable(now, chooser, options)
        best = min(affordable, key=lambda option: option.lost, default=None)
        if best is None:
            return
        now = now.changed(best.counts)
        yield now, best


def _affordable(now: Channels, chooser: Chooser, options: list[Exchange]) -> list[Exchange]:
    """Return the exchanges that raise no cost."""
    widths = now.widths
    tried = [widths, *(narrower(widths, option.counts) for option in options)]
    prices = chooser.pricing.of(tried)
    fine = np.ones(len(options), dtype=bool)
    for costs in (
        prices.share(chooser.start, chooser.target),
        prices.led_by(chooser.start, chooser.target),
    ):
        fine &= costs[1:] <= costs[0] + ROUNDING
    return [option for option, is_fine in zip(options, fine, strict=True) if is_fine]


def _options(now: Channels, chooser: Chooser) -> Iterator[Exchange]:
    """Yield every granule that may go with every one that may come, of two groups."""
    going = [(group, count) for group in now.kept for count in _granules(now, chooser, group, 1)]
    coming = [(group, count) for group in now.kept for count in _granules(now, chooser, group, -1)]
    for lost_at, away in going:
        loss = now.lost(lost_at)[away // now.parts[lost_at]]
        for won_at, back in coming:
            if won_at != lost_at:
                won = now.won(won_at)[back // now.parts[won_at]]
                yield Exchange({lost_at: away, won_at: -back}, loss - won)


def _granules(now: Channels, chooser: Chooser, group: str, sign: int) -> list[int]:
    """Return how many channels may go (sign 1) or come (sign -1) in a group."""
    part, width = now.parts[group], now.widths[group]
    least = max(chooser.target.least_channels, part)
    spare = width - least if sign > 0 else len(now.kept[group]) - width
    counts = [*range(0, spare + 1, part)]
    if len(counts) < 2:
        return []
    costs = chooser.pricing.of([now.widths | {group: width - sign * n} for n in counts])
    shares: Floats = costs.share(chooser.start, chooser.target)
    # Coming, a cost rises by steps, and what fits is all before the first one.
    found = drops(shares) if sign > 0 else [place - 1 for place in drops(-shares)]
    return sorted({part, *(place * part for place in found[:1] if place > 0)})
