"""The scores of an export: what each chip says of each image, beside what the study has."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.machine import fingerprint
from cimsearch.evaluate.version import code_hash
from cimsearch.export.files import ExportError
from cimsearch.export.scoring import (
    ChipPredictions,
    Predictions,
    accuracy_of,
    conditions_of,
)
from cimsearch.training.data import Images

SCORES = "scores.json"
_SCHEMA = "cimsearch/export_scores/1"


@dataclass(frozen=True)
class Scores:
    """What was scored of a delivered network.

    Attributes:
        machine: The kind of machine that scored it.
        code: Hash of the sources that scored it.
        conditions: What each chip was read at, in words.
        chips: What each chip says.
        ideal: What is said with an ideal converter and no noise.
        accuracy_by_condition: At each condition that of each chip (0..1).
        accuracy_per_chip: Each chip's worst over the conditions.
        ideal_accuracy: Of ``ideal`` (0..1).
        study: What the study has of the trial.
        as_in_study: Whether every accuracy is the study's.
    """

    machine: str
    code: str
    conditions: tuple[str, ...]
    chips: tuple[ChipPredictions, ...]
    ideal: Predictions
    accuracy_by_condition: tuple[tuple[float, ...], ...]
    accuracy_per_chip: tuple[float, ...]
    ideal_accuracy: float
    study: Score
    as_in_study: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain data."""
        return {
            "schema": _SCHEMA,
            "machine": self.machine,
            "code": self.code,
            "level": self.study.level,
            "split": self.study.split,
            "images": len(self.ideal),
            "conditions": list(self.conditions),
            "as_in_study": self.as_in_study,
            "accuracy_by_condition": [list(of_chips) for of_chips in self.accuracy_by_condition],
            "accuracy_per_chip": list(self.accuracy_per_chip),
            "ideal_accuracy": self.ideal_accuracy,
            "study_score": json.loads(self.study.to_json()),
            "chips": [
                {"chip": each.chip, "predictions": [list(p) for p in each.by_condition]}
                for each in self.chips
            ],
            "ideal_predictions": list(self.ideal),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Scores":
        """Return the scores that ``to_dict`` described.

        Raises:
            ExportError: They are not of this version.
        """
        if not isinstance(plain, Mapping) or plain.get("schema") != _SCHEMA:
            raise ExportError(f"{SCORES}: not of schema {_SCHEMA!r}")
        try:
            chips = tuple(
                ChipPredictions(each["chip"], tuple(tuple(p) for p in each["predictions"]))
                for each in plain["chips"]
            )
            return cls(
                machine=plain["machine"],
                code=plain["code"],
                conditions=tuple(plain["conditions"]),
                chips=chips,
                ideal=tuple(plain["ideal_predictions"]),
                accuracy_by_condition=tuple(map(tuple, plain["accuracy_by_condition"])),
                accuracy_per_chip=tuple(plain["accuracy_per_chip"]),
                ideal_accuracy=plain["ideal_accuracy"],
                study=Score.from_json(json.dumps(plain["study_score"])),
                as_in_study=plain["as_in_study"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ExportError(f"{SCORES}: not as cimsearch writes it: {error}") from error


def scores_of(
    job: Job, score: Score, images: Images, chips: Sequence[ChipPredictions], ideal: Predictions
) -> Scores:
    """Return the scores of what chips said, beside what the study has.

    Args:
        job: Whose chips and images they are.
        score: What the study has.
        images: Of the job.
        chips: What each chip said.
        ideal: What was said with an ideal converter.
    """
    rows = [[accuracy_of(p, images) for p in each.by_condition] for each in chips]
    worst, ideal_accuracy = tuple(map(min, rows)), accuracy_of(ideal, images)
    by_condition = tuple(zip(*rows, strict=True))
    # Where each chip was calibrated, its accuracies at conditions are those after it.
    same = worst == (score.shared_accuracy_per_chip or score.accuracy_per_chip)
    same = same and ideal_accuracy == score.ideal_accuracy
    if not score.shared_accuracy_per_chip:
        at_each = tuple(at.accuracy_per_chip for at in score.conditions)
        same = same and at_each in ((), by_condition)
    return Scores(
        machine=fingerprint(),
        code=code_hash(),
        conditions=tuple(condition.label for condition in conditions_of(job)),
        chips=tuple(chips),
        ideal=ideal,
        accuracy_by_condition=by_condition,
        accuracy_per_chip=worst,
        ideal_accuracy=ideal_accuracy,
        study=score,
        as_in_study=same,
    )
