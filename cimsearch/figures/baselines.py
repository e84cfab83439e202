"""The baselines of a report: what the front achieves against each, as plain data."""

from dataclasses import dataclass

from cimsearch.figures.describe import scales
from cimsearch.figures.scale import TIMES, scale_for
from cimsearch.figures.tables import GAP, NOT_KNOWN, Table, gap, percent, stale_mark
from cimsearch.figures.view import Baseline, Point, StudyView


def compared_on(view: StudyView) -> str:
    """Return on which images front and baselines can be compared: test if all were scored."""
    scores = [point.test_accuracy for point in view.front]
    scores += [baseline.test_accuracy for baseline in view.baselines]
    return "validation" if None in scores else "test"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A baseline against the cheapest point of the front that is at least as accurate.

    If no point is, against the most accurate one.

    Attributes:
        number: The point's trial.
        cost_ratio: Second objective of the baseline over that of the point.
        lost: How much less accurate the point is (0..1); 0 if it is not.
    """

    number: int
    cost_ratio: float
    lost: float


def compare(view: StudyView, baseline: Baseline) -> Comparison | None:
    """Return the comparison; None if the baseline is broken or there is no front."""
    on_test = compared_on(view) == "test"

    def accuracy(item: Point | Baseline) -> float:
        return item.test_accuracy if on_test and item.test_accuracy is not None else item.values[0]

    if baseline.broken or not view.front:
        return None
    matches = [point for point in view.front if accuracy(point) >= accuracy(baseline)]
    point = (
        min(matches, key=lambda match: match.values[1])
        if matches
        else max(view.front, key=accuracy)
    )
    return Comparison(
        number=point.number,
        cost_ratio=baseline.values[1] / point.values[1],
        lost=max(0.0, accuracy(baseline) - accuracy(point)),
    )


def verdict(view: StudyView, baseline: Baseline) -> str:
    """Return what the front achieves against a baseline, in words."""
    if baseline.infeasible:
        return f"infeasible: misses {baseline.infeasible}"
    if baseline.broken:
        lost = 100 * (baseline.ideal_accuracy - baseline.values[0])
        if lost <= 0:
            return "broken: at less than half of its float parent's accuracy; not compared"
        return f"broken: loses {lost:.1f} pp to converter and noise; not compared"
    found = compare(view, baseline)
    if found is None:
        return NOT_KNOWN
    ratio = found.cost_ratio
    factor = f"{ratio:.2f}{TIMES} less" if ratio >= 1 else f"{1 / ratio:.2f}{TIMES} more"
    cost = scale_for(view.objectives[1], []).quantity
    accuracy = f"{100 * found.lost:.1f} pp less accurate" if found.lost else "as accurate"
    return f"#{found.number}: {factor} {cost}, {accuracy}"


def baseline_table(view: StudyView) -> Table:
    """Return the baselines with what the front achieves against each."""
    shown = scales(view)
    costs = view.objectives[1:]
    against = f"front against it, on {compared_on(view)} images"
    rows = tuple(
        (
            baseline.name + stale_mark(baseline),
            percent(baseline.values[0]),
            percent(baseline.ideal_accuracy),
            percent(baseline.test_accuracy),
            gap(baseline.values[0], baseline.test_accuracy),
            *(
                shown[name].number(value)
                for name, value in zip(costs, baseline.values[1:], strict=True)
            ),
            verdict(view, baseline),
        )
        for baseline in view.baselines
    )
    dashes = (NOT_KNOWN,) * (len(costs) + 4)
    rows += tuple((name, *dashes, why) for name, why in view.missing_baselines)
    return Table(
        caption="Baselines: the largest network of the family with uniform bits, same recipe, "
        "level and chips",
        columns=(
            "baseline",
            "validation accuracy [%]",
            "ideal converter [%]",
            "test accuracy [%]",
            GAP,
            *(shown[name].title for name in costs),
            against,
        ),
        rows=rows,
        words=(against,),
        note="Against each baseline stands the cheapest point of the front that is at least as "
        "accurate, or the most accurate one if none is.",
    )
