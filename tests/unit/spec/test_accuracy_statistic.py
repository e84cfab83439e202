"""Which statistic over chips a study maximises."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import Study, load_study
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]


def study(statistic: str, chips: int) -> str:
    text = TINY_STUDY.lstrip().replace("chips: 2", f"chips: {chips}")
    return f"{text}accuracy_statistic: {statistic}\n"


def test_the_fifth_percentile_needs_twenty_chips(write: Write) -> None:
    path = write("tiny.yaml", study("percentile_5", 19))
    line = path.read_text().splitlines().index("accuracy_statistic: percentile_5") + 1
    with pytest.raises(SpecError) as told:
        load_study(str(path))
    assert f"tiny.yaml:{line}:" in str(told.value)
    assert "accuracy_statistic: found percentile_5 of 19 chips; it needs 20" in str(told.value)
    enough = load_study(str(write("tiny.yaml", study("percentile_5", 20))))
    assert enough.spec.accuracy_statistic == "percentile_5"


def test_the_statistic_is_part_of_what_a_study_is(write: Write) -> None:
    default = load_study(str(write("tiny.yaml", TINY_STUDY)))
    mean, worst = (load_study(str(write("tiny.yaml", study(s, 2)))) for s in ("mean", "worst"))
    assert default.hash == mean.hash != worst.hash
    assert Study.from_json(worst.to_json()).spec.accuracy_statistic == "worst"
