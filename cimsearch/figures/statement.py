"""What the numbers of a study are, in plain words, and its headline."""

from math import sqrt

import numpy as np

from cimsearch.figures.baselines import compare, compared_on
from cimsearch.figures.progress import hypervolume_data
from cimsearch.figures.rungs import rungs_sentence
from cimsearch.figures.scale import TIMES, scale_for
from cimsearch.figures.view import Baseline, Point, StudyView
from cimsearch.figures.workloads import workloads_sentence
from cimsearch.units import show

_LEVELS = {
    "L0": "quantised weights and activations, with weight noise and one equivalent output noise",
    "L1": "quantised, with cell noise and a converter for each group of rows driven at once",
    "L2": "the exact bit-serial, bit-sliced arrays with every modelled effect",
}


def statements(view: StudyView) -> tuple[str, ...]:
    """Return sentences that say how the accuracies and prices came about and how far they hold."""
    parts = (
        _accuracy(view),
        workloads_sentence(view),
        rungs_sentence(view),
        _cost(view),
        _unvalidated(view),
        _rank(view),
        _mixed(view),
        _stale(view),
    )
    return tuple(part for part in (*parts, view.credibility.note) if part)


def _accuracy(view: StudyView) -> str:
    level = f"{view.level} ({_LEVELS[view.level]})" if view.level in _LEVELS else view.level
    images = f" on {view.images:,} validation images" if view.images else ""
    text = (
        f"Accuracy is simulated at level {level}, the {view.accuracy_statistic} of {view.chips} "
        f"chip instances{images}. "
        "The search never saw the test images."
    )
    if view.front:
        best = view.front[0].values[0]
        error = 100 * sqrt(best * (1 - best) / view.images)
        text += (
            f" With that many images one standard error is {error:.1f} percentage points (pp) at "
            f"{show('accuracy', best)}."
        )
    return text


def _cost(view: StudyView) -> str:
    trust = view.credibility
    fitted = "meets" if trust.calibrated else "is not fitted to"
    text = (
        "Energy, latency and area are modelled, not measured; the energy and time of an array "
        f"call {fitted} measured points of this macro"
    )
    if trust.band_factor > 1:
        text += (
            f". The {100 * trust.nominal_coverage:.0f} % band of the macro's energy is the "
            f"modelled one {TIMES} or ÷ {trust.band_factor:.2g}"
        )
    if trust.achieved_coverage is None:
        return f"{text}."
    held = f"{100 * trust.achieved_coverage:.0f} %"
    return f"{text}; it held for {held} of the chips that the model was not fitted to."


def _unvalidated(view: StudyView) -> str:
    trust = view.credibility
    if not trust.unvalidated_frac:
        return ""
    names = ", ".join(name.replace("_", " ") for name in trust.unvalidated)
    which = f" ({names}; hatched in the figures)" if names else ""
    share = f"{100 * trust.unvalidated_frac:.0f} %"
    return f"{share} of the energy is in parts that nobody has validated{which}."


def _rank(view: StudyView) -> str:
    agreement = rank_agreement(view)
    if agreement is None:
        return ""
    return (
        "Prices use the declared activity and weight density. Priced with each network's own data "
        f"instead, energies rank the trials with a Spearman correlation of {agreement:.2f}."
    )


def _mixed(view: StudyView) -> str:
    if not view.machines_mixed:
        return ""
    return "Workers of different kinds took part: accuracies may differ in their last bits."


def _stale(view: StudyView) -> str:
    """Return how many accuracies are of other hardware, and what to do about it."""
    items: list[Point | Baseline] = [*view.scored, *view.baselines]
    stale = [item.stale for item in items if item.stale]
    if not stale:
        return ""
    there = ", ".join(sorted(set(stale)))
    return (
        f"{len(stale)} of {len(items)} accuracies are stale: they were found on {there}, which "
        "scores otherwise than this hardware. They are marked; `cimsearch study rescore` finds "
        "them anew."
    )


def rank_agreement(view: StudyView) -> float | None:
    """Return Spearman's correlation of declared and measured energy; None below three trials."""
    if "energy_pj" not in view.objectives:
        return None
    known = tuple(point for point in view.scored if point.energy_measured_pj is not None)
    if len(known) < 3:
        return None
    declared = np.array(view.column("energy_pj", known))
    measured = np.array([point.energy_measured_pj for point in known], dtype=np.float64)
    ranks = [values.argsort().argsort() for values in (declared, measured)]
    return float(np.corrcoef(ranks[0], ranks[1]).ravel()[1])


def headline(view: StudyView) -> tuple[tuple[str, str, str], ...]:
    """Return (label, value, remark) of the few numbers that a reader looks for first."""
    tiles = [("front", f"{len(view.front)} points", f"of {view.cost.trained} trained trials")]
    if view.front:
        best = view.front[0]
        cheap = min(view.front, key=lambda point: point.values[1])
        cost = view.objectives[1]
        quantity = scale_for(cost, []).quantity
        tiles += [
            (
                "most accurate",
                show("accuracy", best.values[0]),
                f"#{best.number}, {show(cost, best.values[1])}",
            ),
            (
                f"least {quantity}",
                show(cost, cheap.values[1]),
                f"#{cheap.number}, {show('accuracy', cheap.values[0])}",
            ),
        ]
        tiles += _saving(view, quantity)
    if view.hypervolume:
        share = hypervolume_data(view).shares[-1]
        tiles.append(("hypervolume", f"{100 * share:.1f} %", "of the box to the reference point"))
    tiles.append(
        ("processor time", f"{view.cost.cpu_hours:.3g} h", f"{view.cost.epochs:,} epochs trained")
    )
    return tuple(tiles)


def _saving(view: StudyView, quantity: str) -> list[tuple[str, str, str]]:
    """Return the tile that compares with the first sound baseline that the front equals."""
    choices = (b for b in view.baselines if not b.broken and not b.infeasible)
    sound = next(choices, None)
    found = compare(view, sound) if sound else None
    # A factor at less accuracy is no saving; the table says what the front costs there.
    if sound is None or found is None or found.cost_ratio <= 1 or found.lost:
        return []
    where = f"#{found.number} against {sound.name}, as accurate on {compared_on(view)} images"
    return [(f"less {quantity}", f"{found.cost_ratio:.2f}{TIMES}", where)]
