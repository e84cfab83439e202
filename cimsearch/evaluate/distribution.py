"""Accuracy as a distribution over chips: what so many chips allow to be said, and no more.

A chip is one draw of everything static. Chips are independent, images are the same for all of
them. What too few chips cannot tell is None.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, fsum, lgamma, log, log1p, sqrt
from statistics import fmean, stdev
from typing import Any

from cimsearch.spec.study import PERCENTILE_CHIPS, AccuracyStatistic

TOLERANCE_CHIPS = 59
"""The fewest chips n that bound a share of 95 % with confidence 95 %: 0.95**n <= 0.05."""

STATISTIC_NAMES: dict[AccuracyStatistic, str] = {
    "mean": "mean",
    "worst": "worst",
    "percentile_5": "5th percentile",
}
"""How each statistic is called in "the ... of 25 chips"."""

_CONFIDENCE = 0.95
_SHARE_BELOW = 0.05
_BISECTIONS = 60


@dataclass(frozen=True)
class Yield:
    """Share of chips that reach a target, with an interval that covers it with 95 %.

    Attributes:
        target: Accuracy asked for (0..1).
        passed: Chips that reach it.
        chips: Chips scored.
        yield_frac: ``passed / chips``.
        low: Lower end of the two-sided 95 % interval (0..1).
        high: Upper end.
    """

    target: float
    passed: int
    chips: int
    yield_frac: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Distribution:
    """Accuracy (0..1) over chips.

    Attributes:
        chips: Chips scored.
        images: Images each was scored on.
        mean: Over the chips.
        sample_std: ``sample_std``; None for one chip.
        chip_standard_error: Of the mean, because chips are few; None for one chip.
        image_standard_error: Of the mean, because images are few.
        worst: Of the worst chip.
        percentile_5: Of the chip at the 5th percentile; None below 20 chips.
        tolerance_95_95: What 95 % of all chips exceed, with confidence 95 %; None below 59 chips.
    """

    chips: int
    images: int
    mean: float
    sample_std: float | None
    chip_standard_error: float | None
    image_standard_error: float
    worst: float
    percentile_5: float | None
    tolerance_95_95: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def distribution(accuracies: Sequence[float], *, images: int) -> Distribution:
    """Return what the accuracies of chips (0..1), each on the same ``images`` images, tell.

    Raises:
        ValueError: There are none.
    """
    _check(accuracies)
    return Distribution(
        chips=len(accuracies),
        images=images,
        mean=fmean(accuracies),
        sample_std=sample_std(accuracies),
        chip_standard_error=chip_standard_error(accuracies),
        image_standard_error=image_standard_error(fmean(accuracies), images),
        worst=min(accuracies),
        percentile_5=percentile_5(accuracies),
        tolerance_95_95=tolerance_95_95(accuracies),
    )


def statistic_of(statistic: AccuracyStatistic, accuracies: Sequence[float]) -> float:
    """Return the one number of a distribution over chips that a search maximises.

    Raises:
        ValueError: There are too few chips for it.
    """
    _check(accuracies)
    if statistic == "mean":
        return fmean(accuracies)
    if statistic == "worst":
        return min(accuracies)
    found = percentile_5(accuracies)
    if found is None:
        raise ValueError(f"found {len(accuracies)} chips; percentile_5 needs {PERCENTILE_CHIPS}")
    return found


def sample_std(accuracies: Sequence[float]) -> float | None:
    """Return the sample standard deviation, ``sqrt(sum((x - mean)**2) / (n - 1))``.

    It estimates the spread of all chips from n of them (NIST/SEMATECH e-Handbook of Statistical
    Methods, 1.3.5.6). ``Score.accuracy_std`` divides by n: it describes the n chips alone.
    """
    return stdev(accuracies) if len(accuracies) > 1 else None


def chip_standard_error(accuracies: Sequence[float]) -> float | None:
    """Return the standard error of the mean over chips, ``sample_std / sqrt(n)``.

    What it would change by with other chips and the same images.
    """
    spread = sample_std(accuracies)
    return None if spread is None else spread / sqrt(len(accuracies))


def image_standard_error(accuracy: float, images: int) -> float:
    """Return the binomial standard error of an accuracy p, ``sqrt(p * (1 - p) / images)``.

    What it would change by with other images of the same kind. All chips see the same images, so
    more chips do not make it smaller: it is never to be pooled with ``chip_standard_error``.
    """
    return sqrt(accuracy * (1 - accuracy) / images)


def percentile_5(accuracies: Sequence[float]) -> float | None:
    """Return the 5th percentile: the accuracy of the chip of rank ``ceil(0.05 * n)`` from below.

    The inverse of the empirical distribution, definition 1 of Hyndman and Fan, "Sample quantiles
    in statistical packages", The American Statistician 50 (1996). It is a chip that was scored,
    not a value between two: the worst of 20 chips, the second worst of 21 to 40, and so on.
    """
    n = len(accuracies)
    return sorted(accuracies)[(n + 19) // 20 - 1] if n >= PERCENTILE_CHIPS else None


def tolerance_95_95(accuracies: Sequence[float]) -> float | None:
    """Return the distribution-free lower bound that 95 % of all chips exceed, confidence 95 %.

    It is the chip of the highest rank k from below that has ``P(B >= k) >= 0.95`` with B binomial
    of n and 0.05: the worst of 59 to 92 chips, the second worst of 93 to 123, and so on (S. S.
    Wilks, "Determination of sample sizes for setting tolerance limits", Annals of Mathematical
    Statistics 12, 1941). Ties, as accuracies have, only make it safer.
    """
    n = len(accuracies)
    if n < TOLERANCE_CHIPS:
        return None
    rank = 1
    while _at_least(rank + 1, n, _SHARE_BELOW) >= _CONFIDENCE:
        rank += 1
    return sorted(accuracies)[rank - 1]


def yield_at(target: float, accuracies: Sequence[float]) -> Yield:
    """Return the yield P(accuracy >= target) with its exact two-sided 95 % interval.

    C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the
    case of the binomial", Biometrika 26 (1934): of k of n chips, ``low`` solves ``P(B >= k) =
    0.025`` and ``high`` solves ``P(B <= k) = 0.025``. The interval is about chips: accuracies
    count as exact, though images are few.

    Raises:
        ValueError: There are no accuracies.
    """
    _check(accuracies)
    n = len(accuracies)
    passed = sum(value >= target for value in accuracies)
    tail = (1 - _CONFIDENCE) / 2
    low = _share_with(tail, passed, n) if passed else 0.0
    high = _share_with(1 - tail, passed + 1, n) if passed < n else 1.0
    return Yield(target, passed, n, passed / n, low, high)


def _check(accuracies: Sequence[float]) -> None:
    if not accuracies:
        raise ValueError("found no accuracies; a distribution needs one chip or more")


def _at_least(k: int, n: int, share: float) -> float:
    """Return P(B >= k) for B binomial of n and ``share``, strictly between 0 and 1."""
    terms = range(k, n + 1)
    return fsum(
        exp(
            lgamma(n + 1)
            - lgamma(i + 1)
            - lgamma(n - i + 1)
            + i * log(share)
            + (n - i) * log1p(-share)
        )
        for i in terms
    )


def _share_with(probability: float, k: int, n: int) -> float:
    """Return the share at which P(B >= k), which grows with it, is ``probability``."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _at_least(k, n, middle) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2
