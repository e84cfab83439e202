"""What a study's row notes of its adaptation: all that a reader needs to find its evaluations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cimsearch.spec.adaptation import Adaptation


@dataclass(frozen=True)
class Noted:
    """An adaptation as it was last run; a study may have been adapted otherwise before.

    Attributes:
        how: What is done.
        numbers: The trials that go on.
        steps: The evaluation of each step, by its label.
        tests: Those on test images, likewise.
    """

    how: Adaptation
    numbers: tuple[int, ...]
    steps: Mapping[str, int]
    tests: Mapping[str, int]

    def to_attr(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "how": self.how.model_dump(mode="json"),
            "numbers": list(self.numbers),
            "steps": dict(self.steps),
            "tests": dict(self.tests),
        }

    @classmethod
    def from_attr(cls, attr: Mapping[str, Any]) -> "Noted":
        """Return what ``to_attr`` described."""
        how = Adaptation.model_validate_json(json.dumps(attr["how"]))
        return cls(how, tuple(attr["numbers"]), attr["steps"], attr["tests"])
