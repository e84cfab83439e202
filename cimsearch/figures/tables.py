"""The tables of a report as plain data: the front, its hardware, what the search cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from cimsearch.figures.describe import scales
from cimsearch.figures.scale import DASH, MINUS, scale_for
from cimsearch.figures.settings import field_title, value_text
from cimsearch.figures.view import Baseline, Point, StudyView
from cimsearch.units import show

NOT_KNOWN = DASH
GAP = f"validation {MINUS} test [pp]"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the first cell of each row names the row.

    Attributes:
        caption: What it shows.
        columns: Titles, with units.
        rows: Cells as text.
        words: Titles of the columns that hold words, not numbers.
        anchors: Where each row's name leads on the page; empty for nowhere.
        note: What a reader must know beside it.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    note: str = ""


def percent(value: float | None) -> str:
    """Return a fraction as percent without the sign."""
    return NOT_KNOWN if value is None else f"{100 * value:.1f}"


def gap(validation: float, test: float | None) -> str:
    """Return validation minus test accuracy in percentage points, signed."""
    return NOT_KNOWN if test is None else f"{100 * (validation - test):+.1f}".replace("-", MINUS)


def stale_mark(item: Point | Baseline) -> str:
    """Return what stands behind the name of a stale accuracy."""
    return " (stale)" if item.stale else ""


def front_table(view: StudyView) -> Table:
    """Return the front: accuracies with the gap to the test images, and prices."""
    shown = scales(view)
    costs = view.objectives[1:]
    many = any(point.accuracy_percentile_5 is not None for point in view.front)
    measured = any(point.energy_measured_pj is not None for point in view.front)
    energy = shown.get("energy_pj") or scale_for("energy_pj", view.column(costs[0], view.front))

    def row(point: Point) -> tuple[str, ...]:
        prices = zip(costs, point.values[1:], strict=True)
        cells = [
            f"#{point.number}{stale_mark(point)}",
            percent(point.values[0]),
            f"{100 * point.accuracy_std:.2f}",
            percent(point.accuracy_worst),
            *((percent(point.accuracy_percentile_5),) if many else ()),
            percent(point.ideal_accuracy),
            percent(point.test_accuracy),
            gap(point.values[0], point.test_accuracy),
            *(shown[name].number(value) for name, value in prices),
        ]
        if measured:
            value = point.energy_measured_pj
            cells.append(NOT_KNOWN if value is None else energy.number(value))
        return tuple(cells)

    return Table(
        caption="The Pareto front, the most accurate first",
        columns=(
            "trial",
            "validation accuracy [%]",
            "std over chips [pp]",
            "worst chip [%]",
            *(("5th percentile [%]",) if many else ()),
            "ideal converter [%]",
            "test accuracy [%]",
            GAP,
            *(shown[name].title for name in costs),
            *((f"energy, own data [{energy.unit}]",) if measured else ()),
        ),
        rows=tuple(row(point) for point in view.front),
        anchors=tuple(f"#layers-{point.number}" for point in view.front),
        note=_front_note(view),
    )


def _front_note(view: StudyView) -> str:
    robust = ", each at its worst condition" if len(view.conditions) > 1 else ""
    return (
        f"An accuracy is the {view.accuracy_statistic} of {view.chips} chips{robust}. "
        "Test images were scored once, for this front, with seeds the search never used. "
        "“Ideal converter” scores the same weights, which were trained for the real one, without "
        "its errors and without noise; it can also be lower. "
        "“Own data” prices a network with its own measured activity and weight density; the "
        "objective uses the declared ones."
    )


def hardware_table(view: StudyView) -> Table:
    """Return the hardware of the front and the baselines; no columns if none is searched."""
    named: list[tuple[str, Point | Baseline]] = [(f"#{p.number}", p) for p in view.front]
    named += [(baseline.name, baseline) for baseline in view.baselines]
    fields = [name for _, item in named[:1] for name, _ in item.settings]
    return Table(
        caption="The hardware of each: fields that were searched with the networks",
        columns=("trial", *map(field_title, fields)),
        rows=tuple(
            (name, *(value_text(value) for _, value in item.settings)) for name, item in named
        ),
        note="Baselines are on the hardware as its file says.",
    )


def conditions_table(view: StudyView) -> Table:
    """Return the accuracy of the front's chips at each condition."""
    return Table(
        caption="Accuracy by condition, mean and worst chip",
        columns=(
            "trial",
            *(f"{label}: {of} [%]" for label in view.conditions for of in ("mean", "worst")),
        ),
        rows=tuple(
            (
                f"#{point.number}",
                *(percent(v) for at in point.conditions for v in (at.mean, at.worst)),
            )
            for point in view.front
        ),
        note="The chips are the same at every condition. What counts in the front is the accuracy "
        "of each chip at its worst condition.",
    )


def calibration_table(view: StudyView) -> Table:
    """Return what calibrating each chip brought the front, and what it cost."""
    return Table(
        caption="Chips calibrated one by one, against what is fitted once for all",
        columns=(
            "trial",
            "each chip: mean [%]",
            "worst [%]",
            "once for all: mean [%]",
            "worst of these [%]",
            "training images a chip",
            "processor time a chip [s]",
        ),
        rows=tuple(
            (
                f"#{point.number}",
                percent(found.mean),
                percent(point.accuracy_worst),
                percent(found.shared_mean),
                percent(found.shared_worst),
                f"{found.images:,}",
                f"{found.cpu_seconds:.2g}",
            )
            for point in view.front
            if (found := point.calibration) is not None
        ),
        note="Fitted are converter ranges and batch norms, on training images, with the chip as "
        "the macro's file states it. Accuracies of the front are those of calibrated chips.",
    )


def cost_table(view: StudyView) -> Table:
    """Return what the search has used."""
    cost = view.cost
    rows: Sequence[tuple[str, str]] = (
        ("trials trained and scored", f"{cost.trained:,}"),
        ("trials infeasible (priced, never trained)", f"{cost.infeasible:,}"),
        ("trials failed", f"{cost.failed:,}"),
        ("scores reused from an equal evaluation", f"{cost.reused:,}"),
        ("epochs trained, float parents included", f"{cost.epochs:,}"),
        ("processor time", f"{cost.cpu_hours:.3g} CPU h"),
        ("wall time", show("wall_s", cost.wall_seconds)),
    )
    return Table("Cost of the search", ("what", "amount"), tuple(rows))


def provenance_table(view: StudyView) -> Table:
    """Return what the study is made of, so that every figure can be traced."""
    rows = (
        ("hardware", view.hardware),
        ("source of the hardware", view.hardware_source),
        ("search space", view.space),
        ("data", view.data),
        ("search", view.search),
        ("constraints", "; ".join(view.constraints) or "none"),
        *view.provenance,
    )
    return Table("What this study is made of", ("part", "value"), rows, words=("value",))
