"""What verbs tell beside a front's points: their hardware, the baselines, random search."""

import re
from pathlib import Path

import pytest

from tests.unit.cli.verbs import shown, verb
from tests.unit.orchestrate.repriced import Changes, quick_study

SEARCHED: Changes = (
    ("hardware: macros/yu_cicc_2020", "hardware: macros/charge_28nm"),
    (
        "genes: {adc_bits: [3, 4, 5]}",
        "genes: {hardware: {active_rows: [64, 128], supply_v: [0.8, 0.9]}}",
    ),
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a study over networks and two fields of the macro."""
    made = tmp_path_factory.mktemp("searched")
    quick_study(made, trials=8, changes=SEARCHED)
    return made


def test_front_tells_the_hardware_of_each_row(searched: Path) -> None:
    lines = verb(searched, "front", "tiny").splitlines()
    start = next(
        i for i, line in enumerate(lines) if re.fullmatch(r" +active rows +supply \[V\]", line)
    )
    facts = shown(searched, "front", "tiny")
    rows = [re.split(r"  +", line) for line in lines[start + 1 :]]
    for row, each in zip(rows, facts["front"], strict=False):
        settings = each["settings"]
        assert row == [
            f"trial {each['number']}",
            str(settings["active_rows"]),
            f"{settings['supply_v']}",
        ]
        assert settings == {
            "active_rows": each["genes"]["hardware.active_rows"],
            "supply_v": each["genes"]["hardware.supply_v"],
        }
    own = facts["baselines"][0]["settings"]
    assert ["uniform 8 bit", str(own["active_rows"]), f"{own['supply_v']}"] in rows
    assert own == {"active_rows": 128, "supply_v": 0.9}


def test_a_trial_and_the_report_tell_them_too(searched: Path) -> None:
    number = str(shown(searched, "front", "tiny")["front"][0]["number"])
    facts = shown(searched, "trial", "tiny", number)
    rows = facts["settings"]["active_rows"]
    assert re.search(
        rf"^  hardware.active_rows +{rows}$", verb(searched, "trial", "tiny", number), re.M
    )
    path = searched / "tiny.html"
    verb(searched, "report", "tiny", "-o", str(path))
    page = path.read_text(encoding="utf-8")
    assert "searched with the networks: active rows 64, 128; supply [V] 0.8, 0.9" in page
    assert f"hardware: active rows {rows}, supply {facts['settings']['supply_v']} V" in page


def test_front_tells_random_search_and_the_baselines_alone(searched: Path) -> None:
    alone = shown(searched, "front", "tiny")["hypervolume_alone"]
    assert alone["draws"] == 6
    assert 0 < alone["random"] < 1
    text = (
        f"6 uniform draws of the search alone {100 * alone['random']:.1f} %; "
        f"uniform baselines alone {100 * alone['baselines']:.1f} %"
    )
    assert text in verb(searched, "front", "tiny")


def test_front_says_why_a_baseline_is_no_choice(tmp_path: Path) -> None:
    limit = ("budget:", "constraints: {latency_ns: {max: 150000}}\nbudget:")
    quick_study(tmp_path, trials=4, changes=(limit,))
    out = verb(tmp_path, "front", "tiny")
    assert re.search(r"^uniform 8 bit( \(broken\))? \(infeasible\) ", out, re.M)
    assert re.search(r"uniform 8 bit is infeasible: it misses latency_ns by \d+ %", out)
    assert "the hardware of each" not in out
    facts = shown(tmp_path, "front", "tiny")
    found = {baseline["name"]: baseline["infeasible"] for baseline in facts["baselines"]}
    assert found["uniform 4 bit"] == ""
    assert facts["baselines"][0]["constraints"]["latency_ns"] > 0
    assert facts["missing_baselines"] == {}


def test_front_says_why_a_baseline_has_no_accuracy(tmp_path: Path) -> None:
    quick_study(tmp_path, trials=4, changes=(("adc_bits: [3, 4, 5]", "adc_bits: [3, 4]"),))
    verb(tmp_path, "study", "reprice", "tiny", "--hardware", str(tmp_path / "coarse.yaml"))
    facts = shown(tmp_path, "front", "tiny.coarse")
    out = verb(tmp_path, "front", "tiny.coarse")
    named = {baseline["name"] for baseline in facts["baselines"]} | set(facts["missing_baselines"])
    assert named == {"uniform 8 bit", "uniform 4 bit"}
    for name, why in facts["missing_baselines"].items():
        assert f"{name}: no accuracy: {why}" in out
