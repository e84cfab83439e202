"""One-gene changes of delivered networks as they were scored: what each saves, and what it costs.

Nothing was trained again: a changed network has the weights of the delivered one, its ranges
fitted anew. It is compared with the delivered one as that scores with ranges fitted likewise, on
the same chips and images.
"""

import json
from dataclasses import dataclass
from math import hypot

from cimsearch.evaluate import Score
from cimsearch.evaluate.distribution import chip_standard_error, image_standard_error
from cimsearch.orchestrate.read.noted import NotedChange
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.space.conditions import Value
from cimsearch.store import records as db


@dataclass(frozen=True)
class Changed:
    """A delivered network of which one gene is changed.

    Attributes:
        gene: Which.
        before: What it was.
        after: What it is.
        cost: The study's first priced objective, of the network before and after, in its unit.
        accuracy: On validation images before and after (0..1), by the study's statistic.
        chip_error: Standard error of the change in mean accuracy because chips are few; None for
            one chip.
        image_error: At most so much because images are few: both are scored on the same, whose
            part in the change is smaller the more alike the networks are.
    """

    gene: str
    before: Value
    after: Value
    cost: tuple[float, float]
    accuracy: tuple[float, float]
    chip_error: float | None
    image_error: float

    @property
    def saved_frac(self) -> float:
        """The share of the cost that is saved."""
        return 1 - self.cost[1] / self.cost[0]

    @property
    def gained(self) -> float:
        """Accuracy that is gained, below 0 where it is lost (-1..1)."""
        return self.accuracy[1] - self.accuracy[0]


def changed(result: StudyResult, of: str, most: int) -> tuple[Changed, ...]:
    """Return the cheapest changes of a delivered network.

    First those that lose least accuracy for what they save, which is nothing where they lose
    none; of equal ones what saves most.

    Args:
        result: The study with its adaptation.
        of: The label of the step that trained the network.
        most: How many are returned at most.
    """
    noted = result.adaptation.changes if result.adaptation else ()
    rows = {row.id: row for row in result.evaluations}
    scored = [(each, rows[each.evaluation]) for each in noted if each.of == of]
    reference = next((row for each, row in scored if not each.gene and row.score), None)
    if reference is None:
        return ()
    found = [
        _changed(result, each, reference, row)
        for each, row in scored
        if each.gene and row.score is not None
    ]
    found.sort(key=lambda each: (max(-each.gained, 0.0) / each.saved_frac, -each.saved_frac))
    return tuple(found[:most])


def _changed(
    result: StudyResult, noted: NotedChange, reference: db.EvaluationRow, row: db.EvaluationRow
) -> Changed:
    spec = result.study.spec
    rows = (reference, row)
    before, after = (Score.from_json(each.score or "") for each in rows)
    pairs = zip(before.accuracy_per_chip, after.accuracy_per_chip, strict=True)
    was, now = (json.loads(each.cost)[spec.objectives[1]] for each in rows)
    return Changed(
        noted.gene,
        noted.before,
        noted.after,
        (was, now),
        (
            before.accuracy_by(spec.accuracy_statistic),
            after.accuracy_by(spec.accuracy_statistic),
        ),
        chip_standard_error([new - old for old, new in pairs]),
        hypot(*(image_standard_error(each.accuracy, each.images) for each in (before, after))),
    )
