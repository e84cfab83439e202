"""Taking a study to other hardware with the command line, and choosing from its front."""

from pathlib import Path

import pytest

from cimsearch.errors import StudyError, UsageError
from cimsearch.orchestrate.derive.rescore import rescore
from tests.commands import unwrapped
from tests.unit.cli.verbs import shown, verb
from tests.unit.orchestrate.repriced import quick_study, steady


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished study."""
    made = tmp_path_factory.mktemp("verbs")
    quick_study(made, trials=8)
    return made


def test_reprice_prints_the_new_front_and_what_is_stale(folder: Path) -> None:
    out = verb(folder, "study", "reprice", "tiny", "--hardware", str(folder / "noisy.yaml"))
    assert out.startswith("tiny.noisy: ")
    assert "8 trained trials of tiny priced on noisy" in out
    assert "noise.cell_sigma_frac: 0.05 -> 0.2" in out
    assert "find them anew with: cimsearch study rescore tiny.noisy" in out
    facts = shown(folder, "front", "tiny.noisy")
    numbers = [point["number"] for point in facts["front"]]
    for number in numbers:
        assert f"trial {number} (stale)" in out
    assert all(each["stale"] for each in [*facts["front"], *facts["baselines"]])
    assert not any(point["stale"] for point in shown(folder, "front", "tiny")["front"])
    one = str(numbers[0])
    assert "accuracies are stale: they were found on yu_cicc" in verb(
        folder, "trial", "tiny.noisy", one
    )
    assert shown(folder, "trial", "tiny.noisy", one)["stale"]
    assert not shown(folder, "trial", "tiny", one)["stale"]


def test_reprice_says_where_accuracies_hold(folder: Path) -> None:
    path = str(folder / "cheap.yaml")
    out = verb(folder, "study", "reprice", "tiny", "--hardware", path, "--as", "b")
    assert out.startswith("b: ")
    assert "accuracies hold: the two differ in nothing that they depend on" in out
    assert "stale" not in out


def test_rescore_ends_with_nothing_stale(tmp_path: Path) -> None:
    url = quick_study(tmp_path, trials=4)
    path = str(tmp_path / "noisy.yaml")
    verb(tmp_path, "study", "reprice", "tiny", "--hardware", path, "--as", "noisy")
    rescore("noisy", storage=url, executor=steady())
    out = verb(tmp_path, "study", "rescore", "noisy")
    assert "0 accuracies found anew, 0 are stale" in out
    assert "(stale)" not in out
    with pytest.raises(StudyError, match="was not repriced in this database"):
        verb(tmp_path, "study", "rescore", "tiny")


def test_uncertain_states_coverage_and_source(folder: Path) -> None:
    out = unwrapped(verb(folder, "front", "tiny", "--uncertain", "--draws", "50"))
    assert "how often a trial is on the front, in 50 draws" in out
    assert "x or / 2.87 for 80.0 % (held: 83.3 % of chips left out)" in out
    assert "Source: meets 2 measured points of this chip" in out
    assert "No chip has validated" in out
    facts = shown(folder, "front", "tiny", "--uncertain", "--draws", "50")
    assert facts["draws"] == 50
    assert facts["band_factor"] == pytest.approx(2.87, abs=0.01)
    front = [point["number"] for point in shown(folder, "front", "tiny")["front"]]
    assert [p["number"] for p in facts["points"] if p["on_front"]] == front
    assert all(0 <= point["on_front_frac"] <= 1 for point in facts["points"])
    assert facts == shown(folder, "front", "tiny", "--uncertain", "--draws", "50")


def test_fitness_prints_one_network_and_its_normalisation(folder: Path) -> None:
    out = verb(folder, "front", "tiny", "--fitness", "0.3", "0.1")
    assert out.startswith("fitness = accuracy - 0.3 x energy / ")
    assert "the largest network at uniform 8 bit, priced" in out
    (energy_line,) = (line for line in out.splitlines() if line.startswith("energy "))
    assert "[pJ]" not in energy_line
    assert "hardware" not in out
    facts = shown(folder, "front", "tiny", "--fitness", "0.3", "0.1")
    assert f"trial {facts['trial']['number']}" in out
    assert (facts["alpha"], facts["beta"]) == (0.3, 0.1)
    assert facts["trial"]["on_front"]
    objectives = facts["trial"]["objectives"]
    energy = 0.3 * objectives["energy_pj"] / facts["energy_ref_pj"]
    latency = 0.1 * objectives["latency_ns"] / facts["latency_ref_ns"]
    assert facts["fitness"] == pytest.approx(objectives["accuracy"] - energy - latency)


def test_one_choice_at_a_time(folder: Path) -> None:
    with pytest.raises(UsageError, match="--uncertain and --fitness; allowed is one of them"):
        verb(folder, "front", "tiny", "--uncertain", "--fitness", "1", "1")


def test_reprice_lists_what_cannot_run_there_with_its_reason(tmp_path: Path) -> None:
    fewer = (("adc_bits: [3, 4, 5]", "adc_bits: [4, 5]"), ("optuna_nsga2", "random"))
    quick_study(tmp_path, trials=24, changes=fewer)
    path = str(tmp_path / "coarse.yaml")
    out = verb(tmp_path, "study", "reprice", "tiny", "--hardware", path)
    refused = [t for t in range(24) if shown(tmp_path, "trial", "tiny.coarse", str(t))["reason"]]
    assert 0 < len(refused) < 24
    assert "x: adc bits: found 5; allowed are 3, 4 on coarse" in out
    assert f"those are trial {refused[0]}, trial {refused[1]}, " in out
    assert f"{24 - len(refused)} trained trials of tiny priced on coarse" in out
