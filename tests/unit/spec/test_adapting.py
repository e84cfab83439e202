"""What a study's file says of adapting."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import Study, load_study
from cimsearch.spec.adaptation import Adaptation
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

TRAINING = "training: {epochs: 1, train_level: L0, score_level: L1, chips: 1}"


def study(write: Write, adapting: str) -> Study:
    return load_study(str(write("tiny.yaml", TINY_STUDY.lstrip() + adapting)))


def test_all_but_training_has_defaults(write: Write) -> None:
    how = study(write, f"adapt: {{{TRAINING}}}\n").spec.adapt
    assert how is not None
    assert how == Adaptation(training=how.training)
    assert (how.networks, how.rounds, how.changes) == (3, 3, 5)


@pytest.mark.parametrize("rounds", ["", ", rounds: 0"])
def test_without_pruning_networks_are_only_trained(write: Write, rounds: str) -> None:
    how = study(write, f"adapt: {{{TRAINING}, pruning: null{rounds}}}\n").spec.adapt
    assert how is not None
    assert how.pruning is None


@pytest.mark.parametrize(
    ("adapting", "said"),
    [
        ("adapt:\n", "tiny.yaml:15:1: adapt: found nothing below it; needed is training, such as"),
        ("adapt: {}\n", "tiny.yaml:15:1: adapt.training: missing; this field is needed"),
        (
            f"adapt:\n  {TRAINING}\n  pruning: null\n  rounds: 2\n",
            "tiny.yaml:18:3: adapt.rounds: found 2 beside pruning: null, where nothing is pruned",
        ),
        (
            f"adapt:\n  {TRAINING}\n  rounds: 0\n",
            "tiny.yaml:17:3: adapt.rounds: found 0 beside pruning; allowed is 1 or more",
        ),
    ],
)
def test_what_would_change_nothing_is_refused(write: Write, adapting: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        study(write, adapting)
    assert said in str(error.value)


def test_a_study_that_was_stored_with_rounds_of_nothing_is_read(write: Write) -> None:
    found = study(write, f"adapt: {{{TRAINING}, pruning: null}}\n")
    stored = found.to_json()
    assert '"pruning":null' in stored
    assert '"rounds":3' in stored
    assert Study.from_json(stored).spec == found.spec
