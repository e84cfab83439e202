"""What is delivered: a trained network of a study, with what the study knows of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cimsearch.evaluate import Job, Score
from cimsearch.export.origin import Origin
from cimsearch.spec.study import AccuracyStatistic


@dataclass(frozen=True)
class Subject:
    """A trained network of a study.

    Attributes:
        study: The study's name.
        study_hash: Of its spec.
        label: What the network is called there: ``trial 3``.
        job: What was trained and scored, with the place of its data here.
        key: The key that the study has the score under.
        score: What the study has of it.
        cost: Its cost report as plain data.
        statistic: What an accuracy of the study is of the chips'.
        validation_accuracy: By that statistic, on validation images (0..1).
        trained_anew: Whether those were said by other weights: the network was trained anew for
            its score on test images.
        genes: Choice by gene.
        settings: What searched fields of the hardware are.
        origin: Where it comes from.
    """

    study: str
    study_hash: str
    label: str
    job: Job
    key: str
    score: Score
    cost: Mapping[str, Any]
    statistic: AccuracyStatistic
    validation_accuracy: float
    trained_anew: bool
    genes: Mapping[str, int | float | str]
    settings: Mapping[str, int | float | str]
    origin: Origin
