"""What a report says of a study whose chip runs several workloads."""

from cimsearch.figures.tables import Table, percent
from cimsearch.figures.view import Baseline, Point, StudyView


def workloads_sentence(view: StudyView) -> str:
    """Return what an accuracy over several workloads is; empty of one workload."""
    if not view.workloads:
        return ""
    names = ", ".join(view.workloads)
    return (
        f"One chip runs {len(view.workloads)} workloads ({names}), one after another. Its "
        f"accuracy is the {view.over_workloads} of theirs; energy and latency are those of one "
        "inference of each."
    )


def workloads_table(view: StudyView) -> Table:
    """Return the accuracy of each workload, of the front and of the baselines."""
    named: list[tuple[str, Point | Baseline]] = [(f"#{p.number}", p) for p in view.front]
    named += [(baseline.name, baseline) for baseline in view.baselines]
    return Table(
        caption="Validation accuracy by workload",
        columns=("trial", *(f"{name} [%]" for name in view.workloads)),
        rows=tuple((name, *(percent(v) for _, v in item.workloads)) for name, item in named),
        note=f"Each is the {view.accuracy_statistic} over the chips.",
    )
