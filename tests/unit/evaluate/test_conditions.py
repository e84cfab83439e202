"""Chips at several conditions: in the study's file, in the score, and what is refused."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.evaluate import Score
from cimsearch.evaluate.run import evaluate
from cimsearch.spec import Study, load_study
from cimsearch.spec.condition import Condition
from cimsearch.spec.study import Rung
from tests.studies import TINY_STUDY
from tests.unit.evaluate.robust import KEPT, hardware, uniform_job

Write = Callable[[str, str], Path]

# Chips that differ in nothing but their cells at the stated supply.
STEADY = hardware("macros/yu_cicc_2020", cell_sigma_frac=0.05, pvt={"gain_per_supply_frac": 1.0})
MINE = """\
schema: cimsearch/hardware/1
kind: macro
extends: macros/yu_cicc_2020
name: mine
summary: a macro that follows its supply
source: made for a test
noise:
  cell_sigma_frac: 0.05
  pvt: {gain_per_supply_frac: 0.5, gain_per_c: 0.001, slow_frac: -0.1}
basis:
  noise: assumed
"""


def rung(*conditions: Condition, chips: int = 3) -> Rung:
    return Rung(
        epochs=2,
        train_level="L0",
        score_level="L1",
        chips=chips,
        images=200,
        conditions=conditions,
    )


@lru_cache
def scored(*conditions: Condition) -> Score:
    return evaluate(uniform_job(rung=rung(*conditions), hardware=STEADY, cache=KEPT))


def study(conditions: str, *, macro: str = "macros/yu_cicc_2020") -> str:
    text = TINY_STUDY.lstrip().replace("macros/yu_cicc_2020", macro)
    return text.replace(
        "rungs:\n  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}\n",
        "rungs:\n  - epochs: 1\n    train_level: L0\n    score_level: L1\n    chips: 2\n"
        f"    images: 100\n    conditions:\n{conditions}",
    )


def refused(write: Write, conditions: str) -> str:
    with pytest.raises(SpecError) as told:
        load_study(str(write("tiny.yaml", study(conditions))))
    return str(told.value)


LOW, HIGH = Condition(supply_v=0.43), Condition(supply_v=0.49)


def test_the_accuracy_of_a_chip_is_that_of_its_worst_condition() -> None:
    found = scored(LOW, Condition(), HIGH)
    assert [part.label for part in found.conditions] == ["0.43 V", "as stated", "0.49 V"]
    columns = [part.accuracy_per_chip for part in found.conditions]
    assert found.accuracy_per_chip == tuple(map(min, zip(*columns, strict=True)))
    assert found.accuracy_worst == min(part.accuracy_worst for part in found.conditions)
    assert found.accuracy <= min(part.accuracy for part in found.conditions)
    assert found.distribution.mean == found.accuracy_by("mean") == found.accuracy


def test_chips_are_the_same_at_every_condition() -> None:
    found, plain = scored(LOW, Condition(), HIGH), scored()
    assert plain.conditions == ()
    assert found.conditions[1].accuracy_per_chip == plain.accuracy_per_chip
    # The supply it was made for is no other condition.
    stated = scored(Condition(supply_v=STEADY.macro.supply_v))
    assert stated.accuracy_per_chip == plain.accuracy_per_chip


def test_a_condition_has_an_effect_and_does_not_depend_on_the_others() -> None:
    low = scored(LOW)
    assert low.accuracy_per_chip == low.conditions[0].accuracy_per_chip
    assert low.conditions[0] == scored(LOW, Condition(), HIGH).conditions[0]
    assert low.accuracy_per_chip != scored().accuracy_per_chip


def test_a_score_with_conditions_is_the_same_after_json() -> None:
    found = scored(LOW, Condition(), HIGH)
    assert Score.from_json(found.to_json()) == found


def test_scores_of_before_conditions_are_read() -> None:
    text = scored().to_json()
    for later in (
        '"calibration_cpu_seconds":0.0,',
        '"calibration_images":0,',
        '"conditions":[],',
        '"shared_accuracy_per_chip":[],',
    ):
        assert later in text
        text = text.replace(later, "")
    assert Score.from_json(text) == scored()


def test_the_key_of_a_job_covers_its_conditions() -> None:
    keys = {uniform_job(rung=rung(*some)).key for some in ((), (LOW,), (HIGH,), (LOW, HIGH))}
    assert len(keys) == 4


def test_a_study_states_conditions(write: Write) -> None:
    write("mine.yaml", MINE)
    some = "      - {}\n      - {supply_v: 0.43, temperature_c: 85, corner: ss}\n"
    loaded = load_study(str(write("tiny.yaml", study(some, macro="mine.yaml"))))
    wanted = (Condition(), Condition(supply_v=0.43, temperature_c=85, corner="ss"))
    assert loaded.spec.rung.conditions == wanted
    assert loaded.spec.rung.conditions[1].label == "0.43 V, 85 C, ss"
    assert Study.from_json(loaded.to_json()).spec == loaded.spec
    assert loaded.hash != load_study(str(write("plain.yaml", TINY_STUDY))).hash


def test_calibration_is_part_of_what_a_study_is(write: Write) -> None:
    plain, own = (
        load_study(str(write("tiny.yaml", f"{TINY_STUDY}{more}")))
        for more in ("", "calibration: per_chip\n")
    )
    assert (plain.spec.calibration, own.spec.calibration) == ("shared", "per_chip")
    assert plain.hash != own.hash
    with pytest.raises(SpecError, match=r"tiny.yaml:\d+:1: calibration: found \"each\""):
        load_study(str(write("tiny.yaml", f"{TINY_STUDY}calibration: each\n")))


@pytest.mark.parametrize(
    ("part", "value", "missing"),
    [
        ("age_s", "86400", "noise.drift"),
        ("supply_v", "0.4", "noise.pvt"),
        ("temperature_c", "85", "noise.pvt"),
        ("corner", "ss", "noise.pvt"),
    ],
)
def test_a_condition_without_effect_is_refused(
    write: Write, part: str, value: str, missing: str
) -> None:
    told = refused(write, f"      - {{}}\n      - {{{part}: {value}}}\n")
    assert f"tiny.yaml:19:10: rungs.0.conditions.1.{part}: found {value}" in told
    assert f"yu_cicc_2020 has no {missing}, so it would have no effect" in told


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        ("supply_v", "0.4", "gain_per_supply_frac"),
        ("temperature_c", "85", "gain_per_c"),
        ("corner", "ff", "fast_frac"),
    ],
)
def test_a_condition_that_pvt_does_not_follow_is_refused(
    write: Write, part: str, value: str, named: str
) -> None:
    own = MINE.replace("{gain_per_supply_frac: 0.5, gain_per_c: 0.001, slow_frac: -0.1}", "{}")
    write("mine.yaml", own)
    text = study(f"      - {{{part}: {value}}}\n", macro="mine.yaml")
    with pytest.raises(SpecError, match=f"{part}: found {value}; mine has no noise.pvt.{named},"):
        load_study(str(write("tiny.yaml", text)))
    write("mine.yaml", own.replace("{}", f"{{{named}: 0.1}}"))
    assert load_study(str(write("tiny.yaml", text))).spec.rung.conditions


def test_all_parts_without_effect_are_told_at_once(write: Write) -> None:
    told = refused(write, "      - {age_s: 60, corner: ff}\n")
    assert "conditions.0.age_s" in told
    assert "conditions.0.corner" in told


@pytest.mark.parametrize(
    ("conditions", "where", "message"),
    [
        (
            "      - {age_s: 60}\n      - {age_s: 60.0}\n",
            "19:9",
            "rungs.0.conditions.1: found 60 s again; allowed is once",
        ),
        (
            "      - {corner: fs}\n",
            "18:10",
            'rungs.0.conditions.0.corner: found "fs"; allowed is',
        ),
        (
            "      - {temperature_c: 300}\n",
            "18:10",
            "rungs.0.conditions.0.temperature_c: found 300; allowed is -55 to 175",
        ),
        (
            "      - {age_h: 1}\n",
            "18:10",
            "rungs.0.conditions.0.age_h: unknown field; did you mean age_s?",
        ),
    ],
)
def test_a_condition_that_is_not_valid_is_refused(
    write: Write, conditions: str, where: str, message: str
) -> None:
    assert f"tiny.yaml:{where}: {message}" in refused(write, conditions)
