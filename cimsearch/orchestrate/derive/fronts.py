"""The front of each rung, as a repriced study records it."""

from collections import defaultdict
from collections.abc import Iterable

from cimsearch import pareto
from cimsearch.store import records as db

Fronts = dict[int | None, tuple[tuple[int, ...], float]]
"""The numbers on the front of each rung, in order, with their hypervolume."""


def fronts_of(
    points: Iterable[tuple[int, int | None, tuple[float, ...]]],
    ways: tuple[db.Direction, ...],
    reference: tuple[float, ...],
) -> Fronts:
    """Return the front of each rung.

    Args:
        points: Number, rung and objective values of each scored trial.
        ways: The objectives' directions.
        reference: The hypervolume's reference point, in objective units.
    """
    by_rung = defaultdict(list)
    for number, rung, values in points:
        by_rung[rung].append((number, values))
    fronts: Fronts = {}
    for rung, found in by_rung.items():
        mask = pareto.front_mask(pareto.signed([values for _, values in found], ways))
        on = [point for point, is_on in zip(found, mask, strict=True) if is_on]
        share = pareto.share_of([values for _, values in on], ways, reference)
        fronts[rung] = tuple(number for number, _ in on), share
    return fronts


def last_front(fronts: Fronts, rungs: int) -> tuple[int, ...]:
    """Return the front of the last of ``rungs`` rungs, which is the study's; empty if none is."""
    found = (numbers for rung, (numbers, _) in fronts.items() if (rung or 0) == rungs - 1)
    return next(found, ())
