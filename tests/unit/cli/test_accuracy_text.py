"""What is printed of a score: conditions and the calibration of chips, where there are any."""

import json
from dataclasses import replace

from cimsearch.cli.accuracy_text import accuracy_lines, score_facts, worst_of
from cimsearch.evaluate import AtCondition
from tests.golden.test_contracts import a_score

PLAIN = a_score()
ROBUST = replace(
    PLAIN,
    accuracy_per_chip=(0.5, 0.625),
    conditions=(
        AtCondition("as stated", (0.75, 0.625)),
        AtCondition("86400 s, 85 C", (0.5, 0.875)),
    ),
    shared_accuracy_per_chip=(0.25, 0.5),
    calibration_images=1024,
    calibration_cpu_seconds=5.0,
)


def test_a_row_a_condition_with_units() -> None:
    lines = dict(accuracy_lines(ROBUST))
    assert lines["mean over chips"] == (
        "56.2 % (2 chips, level L1, each at the worst of 2 conditions)"
    )
    assert lines["as stated"] == "mean 68.8 %, worst 62.5 %"
    assert lines["at 86400 s, 85 C"] == "mean 68.8 %, worst 50.0 %"


def test_both_calibrations_with_what_they_took() -> None:
    lines = dict(accuracy_lines(ROBUST))
    assert lines["fitted once for all"] == "37.5 % (mean of the same chips; worst 25.0 %)"
    assert lines["calibrating each chip"] == "1024 training images, 2.5 CPU s a chip"


def test_a_score_without_either_is_as_before() -> None:
    names = [name for name, _ in accuracy_lines(PLAIN)]
    assert names == [
        "mean over chips",
        "chip standard error",
        "image standard error",
        "worst chip",
        "5th percentile",
        "95 %/95 % lower bound",
    ]
    assert (worst_of(0), worst_of(1)) == ("", "")


def test_json_has_the_same_numbers() -> None:
    facts = json.loads(json.dumps(score_facts(ROBUST)))
    assert [at["condition"] for at in facts["conditions"]] == ["as stated", "86400 s, 85 C"]
    assert facts["conditions"][1] == {
        "condition": "86400 s, 85 C",
        "accuracy_per_chip": [0.5, 0.875],
        "accuracy": 0.6875,
        "accuracy_worst": 0.5,
    }
    assert facts["accuracy_per_chip"] == [0.5, 0.625]
    assert (facts["shared_accuracy"], facts["shared_accuracy_per_chip"]) == (0.375, [0.25, 0.5])
    assert (facts["calibration_images"], facts["calibration_cpu_seconds"]) == (1024, 5.0)
    plain = score_facts(PLAIN)
    assert plain is not None
    assert (plain["conditions"], plain["shared_accuracy"]) == ([], None)
