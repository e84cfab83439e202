"""What a study's row notes of its adaptation: all that a reader needs to find its evaluations."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cimsearch.space.conditions import Value
from cimsearch.spec.adaptation import Adaptation

Phase = Literal["networks", "tests", "changes"]
"""What is done: networks are trained and pruned, scored on test images, changed by one gene."""

_BY_PLACE = "place"


@dataclass(frozen=True)
class NotedChange:
    """A delivered network of which one gene is changed.

    Attributes:
        of: The label of the step that trained the network.
        gene: Which; empty where nothing is changed, which is what changes are compared with.
        before: What it was; 0 where nothing is changed.
        after: What it is.
        evaluation: What scored it.
    """

    of: str
    gene: str
    before: Value
    after: Value
    evaluation: int


@dataclass(frozen=True)
class Noted:
    """An adaptation as it was last run; a study may have been adapted otherwise before.

    Attributes:
        how: What is done.
        numbers: The trials that go on.
        steps: The evaluation of each step, by its label.
        tests: Those on test images, likewise.
        changes: The one-gene changes of delivered networks that were scored.
        phase: Which is at work, or was last.
        to_come: Steps of networks that may still follow, at most.
        file: The study's file, if it is of one.
    """

    how: Adaptation
    numbers: tuple[int, ...]
    steps: Mapping[str, int]
    tests: Mapping[str, int]
    changes: tuple[NotedChange, ...] = ()
    phase: Phase = "networks"
    to_come: int = 0
    file: str = ""

    def to_attr(self, ids: Sequence[int]) -> dict[str, Any]:
        """Return it as plain data, which names an evaluation by its place among the study's.

        So it is as good in another database.

        Args:
            ids: The study's evaluations in the order of adding.
        """
        place = {number: place for place, number in enumerate(ids)}
        return {
            "how": self.how.model_dump(mode="json"),
            "numbers": list(self.numbers),
            "by": _BY_PLACE,
            "steps": {label: place[number] for label, number in self.steps.items()},
            "tests": {label: place[number] for label, number in self.tests.items()},
            "changes": [
                asdict(replace(change, evaluation=place[change.evaluation]))
                for change in self.changes
            ],
            "phase": self.phase,
            "to_come": self.to_come,
            "file": self.file,
        }

    @classmethod
    def from_attr(cls, attr: Mapping[str, Any], ids: Sequence[int]) -> "Noted":
        """Return what ``to_attr`` described, given the study's evaluations as they are now.

        Earlier versions noted ids, and only how, numbers, steps and tests.
        """
        number = ids.__getitem__ if attr.get("by") == _BY_PLACE else int
        changes = (NotedChange(**change) for change in attr.get("changes", ()))
        return cls(
            Adaptation.model_validate_json(json.dumps(attr["how"])),
            tuple(attr["numbers"]),
            {label: number(place) for label, place in attr["steps"].items()},
            {label: number(place) for label, place in attr["tests"].items()},
            tuple(replace(change, evaluation=number(change.evaluation)) for change in changes),
            attr.get("phase", "networks"),
            attr.get("to_come", 0),
            attr.get("file", ""),
        )
