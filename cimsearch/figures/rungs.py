"""What a report says of a study's rungs."""

from cimsearch.figures.tables import NOT_KNOWN, Table
from cimsearch.figures.view import StudyView


def rungs_sentence(view: StudyView) -> str:
    """Return which rung a report is of, and whether the others rank; empty of one rung."""
    if not view.rungs:
        return ""
    said = "; ".join(rung.agreement for rung in view.rungs if rung.agreement)
    return (
        f"Every figure and table is of the last of {len(view.rungs)} rungs; accuracies of others "
        f"only say who is promoted. {said[:1].upper()}{said[1:]}."
    )


def rungs_table(view: StudyView) -> Table:
    """Return the rungs of a study that has several, and whether each ranks as the next does."""
    rows = (
        (
            str(place),
            str(rung.epochs),
            rung.level,
            str(rung.chips),
            str(rung.images),
            f"{rung.scored:,}",
            rung.agreement or NOT_KNOWN,
        )
        for place, rung in enumerate(view.rungs)
    )
    return Table(
        caption="Rungs: candidates begin at the first, the best of each cohort go on to the next",
        columns=("rung", "epochs", "level", "chips", "images", "scored trials", "does it rank?"),
        rows=tuple(rows),
        words=("level", "images", "does it rank?"),
        note="Epochs are on top of those of the rungs below. Agreement is measured on promoted "
        "candidates, which are alike: all candidates would agree more rather than less.",
    )
