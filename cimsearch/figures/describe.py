"""A trial in a few lines, for the hover text of every figure. Names are escaped for plotly."""

from cimsearch.figures.scale import Scale, plain, scale_for, sequence
from cimsearch.figures.settings import settings_text
from cimsearch.figures.view import Baseline, Components, Credibility, LayerView, Point, StudyView
from cimsearch.units import show


def scales(view: StudyView) -> dict[str, Scale]:
    """Return one scale an objective, common to every figure and table of the study."""
    shown = [point.values for point in view.scored] or [point.values for point in view.points]
    rows = [row for row in (*shown, *(b.values for b in view.baselines)) if row]
    return {
        name: scale_for(name, [row[index] for row in rows])
        for index, name in enumerate(view.objectives)
    }


def weighted(layers: tuple[LayerView, ...]) -> tuple[LayerView, ...]:
    """Return the nodes with weights: those that have bits."""
    return tuple(layer for layer in layers if layer.w_bits)


def bits_summary(layers: tuple[LayerView, ...]) -> dict[str, str]:
    """Return bits and pruning layer by layer, in order of execution.

    Residual bits of additions are told where there are any; 0 is a word.
    """
    nodes = weighted(layers)
    converted = [layer.adc_bits for layer in nodes if layer.adc_bits]
    pruned = [100 * layer.prune_ratio for layer in nodes if layer.prune_ratio is not None]
    waiting = [layer.x_bits for layer in layers if layer.op == "add"]
    return {
        "weight bits": sequence([layer.w_bits for layer in nodes]),
        "activation bits": sequence([layer.x_bits for layer in nodes]),
        "ADC bits": sequence(converted),
        "pruned [%]": sequence(pruned),
        **({"residual bits": sequence(waiting)} if any(waiting) else {}),
    }


def _costs(view: StudyView, item: Point | Baseline) -> list[str]:
    lines = []
    for name, value in list(zip(view.objectives, item.values, strict=True))[1:]:
        lines.append(f"{scale_for(name, []).quantity} {show(name, value)}")
        if name == "energy_pj" and item.components:
            lines.append(_macro_band(view.credibility, item.components))
    return lines


def _macro_band(trust: Credibility, components: Components) -> str:
    """Return the macro's part of the energy, which is what the band is known for."""
    parts = [value for name, value in components.items() if name not in trust.unvalidated]
    macro, band = sum(parts), trust.band_factor
    low, high = show("energy_pj", macro / band), show("energy_pj", macro * band)
    coverage = f"{100 * trust.nominal_coverage:.0f} % band"
    return f"of it the macro {show('energy_pj', macro)} ({coverage} {low} to {high})"


def _accuracies(view: StudyView, value: float, ideal: float, test: float | None) -> list[str]:
    lines = [
        f"validation accuracy {show('accuracy', value)}, the {plain(view.accuracy_statistic)} of "
        f"{view.chips} chips, {plain(view.level)}"
    ]
    lines.append(f"with an ideal converter {show('accuracy', ideal)}")
    if test is not None:
        lines.append(f"test accuracy {show('accuracy', test)}")
    return lines


def _over_chips(point: Point) -> str:
    error, low = point.chip_standard_error, point.accuracy_percentile_5
    parts = [
        f"mean {show('accuracy', point.accuracy_mean)}"
        + (f" ± {100 * error:.2f} pp chip standard error" if error is not None else ""),
        f"std {100 * point.accuracy_std:.2f} pp over chips",
        f"worst {show('accuracy', point.accuracy_worst)}",
        "5th percentile " + (show("accuracy", low) if low is not None else "needs 20 chips"),
    ]
    return ", ".join(parts)


def _beside(item: Point | Baseline) -> list[str]:
    """Return what else a reader must know: of its workloads, its hardware, and what is stale."""
    lines = [f"{plain(name)} {show('accuracy', value)}" for name, value in item.workloads]
    if item.settings:
        lines.append(f"hardware: {plain(settings_text(item.settings))}")
    if item.stale:
        lines.append(
            f"stale: the accuracy was found on {plain(item.stale)}, which scores otherwise"
        )
    return lines


def describe_point(view: StudyView, point: Point) -> str:
    """Return the hover text of a trial: number, every objective with its unit, bits."""
    if point.state != "complete":
        head = f"<b>#{point.number}</b> {point.state}, no accuracy"
        lines = [head, *_costs(view, point), *_beside(point)]
        return "<br>".join([*lines, plain(point.reason)] if point.reason else lines)
    lines = _accuracies(view, point.values[0], point.ideal_accuracy, point.test_accuracy)
    lines.insert(1, _over_chips(point))
    bits = [f"{name} {text}" for name, text in bits_summary(point.layers).items()]
    state = "on the front" if point.on_front else "dominated"
    head = f"<b>#{point.number}</b> {state}"
    return "<br>".join([head, *lines, *_costs(view, point), *bits, *_beside(point)])


def describe_baseline(view: StudyView, baseline: Baseline) -> str:
    """Return the hover text of a baseline."""
    accuracies = _accuracies(
        view, baseline.values[0], baseline.ideal_accuracy, baseline.test_accuracy
    )
    head = f"<b>{plain(baseline.name)}</b> baseline{', broken' if baseline.broken else ''}"
    if baseline.infeasible:
        head += f", infeasible: {plain(baseline.infeasible)}"
    return "<br>".join([head, *accuracies, *_costs(view, baseline), *_beside(baseline)])
