"""Shrinking: training with a priced penalty on the gains of batch norms (MorphNet).

A. Gordon et al., "MorphNet", arXiv 1711.06798, with bitlines in the place of operations: minimised
is ``CE + strength * sum over channels of price * |gain|``. Prices have a mean of 1 over channels,
and the strength rises from 0 over the first half.

The penalty has a kink at zero, where steps along its slope jump to and fro for ever. So each step
of the cross entropy is followed by the proximal step of the penalty (N. Parikh and S. Boyd,
"Proximal Algorithms", 2014), which sets a gain to zero that would cross it.
"""

from collections.abc import Callable, Mapping
from math import sqrt

import torch

from cimsearch.networks import Network
from cimsearch.spec.recipe import Recipe
from cimsearch.training.morph.gains import gains, pull
from cimsearch.training.recipe import TrainingData, one_cycle
from cimsearch.training.tune import fine_tune

RAMP_FRAC = 0.5
_FACTOR, _MOST_TRIES = 4.0, 12


def normalised(prices: Mapping[str, float], network: Network) -> dict[str, float]:
    """Return the prices of the groups that have gains, scaled to a mean of 1 over channels."""
    widths = {group: len(gain) for group, gain in gains(network).items()}
    total = sum(prices[group] * width for group, width in widths.items())
    return {group: prices[group] * sum(widths.values()) / total for group in widths}


def shrink(
    network: Network,
    training: TrainingData,
    recipe: Recipe,
    prices: Mapping[str, float],
    *,
    strength: float,
    steps: int,
    generator: torch.Generator,
) -> None:
    """Train a float network, in place, so that gains of dear channels fall to zero.

    Args:
        network: With batch norms.
        training: Images.
        recipe: Batch, momentum, weight decay and, as the peak of one cycle, ``parent_lr``.
        prices: Of a channel by prune group, normalised.
        strength: Of the penalty, at its full height.
        steps: Batches to train on.
        generator: Order and augmentation.

    Raises:
        CimsearchError: The loss became infinite or NaN.
    """

    def drawn(progress: float) -> float:
        # Called before each step: the gains are those that the step before left.
        rate = recipe.parent_lr * one_cycle(progress)
        pull(network, prices, rate * strength * min(1.0, progress / RAMP_FRAC))
        return rate

    fine_tune(network, training, recipe, steps=steps, rate=drawn, generator=generator)
    # Dead gains have moved in the last step, too, by no more than it draws.
    drawn((steps - 1) / steps)


def found_strength(
    share: Callable[[float], float], wanted: tuple[float, float], *, first: float
) -> float:
    """Return a strength whose ``share`` is within ``wanted``, or the nearest of those tried.

    Steps by a factor of 4 until two strengths enclose what is wanted, then halves the logarithm.

    Args:
        share: What a strength leaves alive, as a share; falls with the strength.
        wanted: Least and most.
        first: The strength tried first.
    """
    low, high = wanted
    weak = strong = 0.0
    strength, tried = first, {}
    for _ in range(_MOST_TRIES):
        found = tried[strength] = share(strength)
        if low <= found <= high:
            break
        if found > high:
            weak = strength
        else:
            strong = strength
        if not strong:
            strength = weak * _FACTOR
        elif not weak:
            strength = strong / _FACTOR
        else:
            strength = sqrt(weak * strong)
    middle = (low + high) / 2
    return min(tried, key=lambda each: abs(tried[each] - middle))
