"""The networks of a study on other hardware: prices, fronts, and what is said of accuracies."""

import json
from pathlib import Path

import numpy as np
import pytest

from cimsearch import pareto
from cimsearch.errors import HardwareError, StudyError, UsageError
from cimsearch.orchestrate.derive.reprice import reprice
from cimsearch.orchestrate.derive.rescore import rescore
from cimsearch.orchestrate.derive.share import export_study, import_study
from cimsearch.orchestrate.launch import launch, resume
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.orchestrate.read.stale import stale_labels
from cimsearch.orchestrate.read.view import study_view
from cimsearch.search.baselines import uniform_candidate
from cimsearch.search.pricing import price
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_study
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import InlineExecutor
from tests.studies import copy_database
from tests.unit.orchestrate.repriced import NOISY, assert_whole, quick_study, result_of, steady

RUNGS = (
    (
        "  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}\n",
        "  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}\n"
        "  - {epochs: 2, train_level: L0, score_level: L1, chips: 2, images: 100}\n"
        "halving: {cohort: 6, eta: 3}\n",
    ),
)
WAN = "macros/wan_nature_2022"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished study and what it is on other hardware."""
    folder = tmp_path_factory.mktemp("searched")
    url = quick_study(folder)
    reprice("tiny", WAN, storage=url, new_name="wan")
    reprice("tiny", str(folder / "cheap.yaml"), storage=url)
    return folder


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'cimsearch.db'}"


def front_numbers(result: StudyResult) -> set[int]:
    return {trial.number for trial in result.front}


def test_every_trial_has_the_price_of_the_new_hardware_and_its_own_accuracy(
    searched: Path,
) -> None:
    old, new = result_of(url_of(searched), "tiny"), result_of(url_of(searched), "wan")
    assert new.study.hardware == load_hardware(WAN)
    assert len(new.trials) == len(old.trials) == 12
    for before, after in zip(old.trials, new.trials, strict=True):
        priced = price(new.study, before.candidate)
        assert after.candidate == before.candidate
        assert after.genes == before.genes
        assert after.score == before.score
        assert tuple(after.objectives.values()) == (
            before.objectives["accuracy"],
            *priced.objectives,
        )
        assert after.cost == json.loads(json.dumps(priced.report.to_dict()))
        assert after.energy_measured_pj != before.energy_measured_pj
    assert [b.name for b in new.baselines] == [b.name for b in old.baselines]
    for baseline in new.baselines:
        report = price(new.study, baseline.candidate).report
        assert baseline.objectives["energy_pj"] == report.energy_pj
    assert_whole(url_of(searched))


def test_the_front_and_its_reference_are_those_of_the_new_prices(searched: Path) -> None:
    result = result_of(url_of(searched), "wan")
    values = [tuple(trial.objectives.values()) for trial in result.trials]
    mask = pareto.front_mask(pareto.signed(values, result.directions))
    assert front_numbers(result) == set(np.flatnonzero(mask))
    uniform = uniform_candidate(Space(result.study.space), result.study.hardware, 8)
    prices = [1.1 * value for value in price(result.study, uniform).objectives]
    assert result.reference == pytest.approx([0.1, *prices])
    storage = open_storage(url_of(searched))
    row = db.find_study(storage, "wan")
    assert row is not None
    events = db.front_events(storage, row.id)
    assert [event.action for event in events] == ["add"] * len(result.front)
    assert {event.hypervolume for event in events} == {result.hypervolume}
    layers = db.layer_costs(storage, result.trials[0].evaluation_id or 0)
    assert result.trials[0].cost is not None
    total = sum(layer.energy_pj for layer in layers)
    assert total == pytest.approx(result.trials[0].cost["energy_pj"])
    storage.close()


def test_accuracies_are_stale_where_the_hardware_scores_otherwise_and_only_there(
    searched: Path,
) -> None:
    stale = stale_labels(result_of(url_of(searched), "wan"))
    assert set(stale) == {f"trial {n}" for n in range(12)} | {"uniform 8 bit", "uniform 4 bit"}
    assert {hardware.name for hardware in stale.values()} == {"yu_cicc_2020"}
    cheap = result_of(url_of(searched), "tiny.cheap")
    assert stale_labels(cheap) == {}
    assert stale_labels(result_of(url_of(searched), "tiny")) == {}
    # What was found on test images is of another front and stays where it holds.
    old = result_of(url_of(searched), "tiny")
    assert [t.test for t in cheap.trials] == [t.test for t in old.trials]
    assert not any(t.test for t in result_of(url_of(searched), "wan").trials)


def test_a_report_says_where_accuracies_are_from(searched: Path) -> None:
    view = study_view(result_of(url_of(searched), "wan"))
    assert "accuracies are those found on yu_cicc_2020, unless rescored" in view.summary
    assert view.hardware == "wan_nature_2022 in enough_macros"


def test_there_and_back_is_where_it_was(searched: Path, tmp_path: Path) -> None:
    copy_database(searched, tmp_path)
    url = url_of(tmp_path)
    first = reprice("tiny", WAN, storage=url, new_name="there")
    assert first.differences
    back = reprice("there", "macros/yu_cicc_2020", storage=url, new_name="back")
    assert back.differences == ()
    before, after = result_of(url, "tiny"), result_of(url, "back")
    assert [t.objectives for t in after.trials] == [t.objectives for t in before.trials]
    assert front_numbers(after) == front_numbers(before)
    assert after.reference == before.reference
    assert after.hypervolume == before.hypervolume
    assert stale_labels(after) == {}
    assert first.source_front == back.front
    assert_whole(url)


def test_what_cannot_run_there_is_told_and_stays_with_its_reason(tmp_path: Path) -> None:
    fewer = ("adc_bits: [3, 4, 5]", "adc_bits: [4, 5]")
    url = quick_study(tmp_path, trials=24, changes=(fewer, ("optuna_nsga2", "random")))
    done = reprice("tiny", str(tmp_path / "coarse.yaml"), storage=url)
    result = result_of(url, "tiny.coarse")
    assert done.refused
    assert done.priced == sum(trial.state == "complete" for trial in result.trials) > 0
    for trial in result.trials:
        refused = done.refused.get(f"trial {trial.number}")
        assert (trial.state == "failed") == (refused is not None)
        if refused is not None:
            assert trial.reason == f"coarse: {refused}"
            assert "adc bits: found 5; allowed are 3, 4 on coarse" in refused
    baselines = {"uniform 8 bit", "uniform 4 bit"}
    assert {b.name for b in result.baselines} == baselines - set(done.refused)
    assert_whole(url)


def test_hardware_that_can_run_nothing_leaves_nothing(searched: Path) -> None:
    before = {row.name for row in db.list_studies(open_storage(url_of(searched)))}
    with pytest.raises(HardwareError, match="none of the 12 trained networks of tiny can run on"):
        reprice("tiny", "macros/jia_jssc_2020", storage=url_of(searched))
    assert {row.name for row in db.list_studies(open_storage(url_of(searched)))} == before


def test_a_constraint_is_judged_at_the_new_prices(tmp_path: Path) -> None:
    limit = ("recipe:", "constraints: {energy_pj: {max: 300000}}\nrecipe:")
    url = quick_study(tmp_path, changes=(limit,))
    old = result_of(url, "tiny")
    done = reprice("tiny", WAN, storage=url, new_name="wan")
    new = result_of(url, "wan")
    assert done.infeasible
    assert done.untrained == old.count("infeasible")
    for before, after in zip(old.trials, new.trials, strict=True):
        assert before.number == after.number
        over = price(new.study, before.candidate).report.energy_pj > 300000
        if over:
            assert after.state == "infeasible"
            assert after.constraints["energy_pj"] > 0
            assert after.objectives["accuracy"] == 0
        elif before.state == "infeasible":
            assert after.state == "failed"
            assert after.reason == "never trained: it was infeasible on yu_cicc_2020"
        else:
            assert after.state == "complete"
    assert {t.number for t in new.trials if t.state == "complete"} >= front_numbers(new)
    assert_whole(url)


def test_it_can_only_be_read_and_shared(searched: Path, tmp_path: Path) -> None:
    url = url_of(searched)
    with pytest.raises(StudyError, match="imported from study tiny, repriced on wan_nature_2022"):
        resume("wan", storage=url, executor=InlineExecutor())
    text = (searched / "tiny.yaml").read_text().replace("name: tiny", "name: wan")
    (tmp_path / "wan.yaml").write_text(text)
    with pytest.raises(StudyError, match="can only be read"):
        launch(load_study(str(tmp_path / "wan.yaml")), storage=url, executor=InlineExecutor())
    file = tmp_path / "wan.cimstudy"
    export_study("wan", str(file), storage=url)
    there = f"sqlite:///{tmp_path / 'there.db'}"
    import_study(str(file), storage=there)
    theirs, ours = result_of(there, "wan"), result_of(url, "wan")
    assert [t.objectives for t in theirs.trials] == [t.objectives for t in ours.trials]
    assert front_numbers(theirs) == front_numbers(ours)
    assert set(stale_labels(theirs)) == set(stale_labels(ours))


def test_scores_of_a_repriced_study_are_never_taken_for_those_of_its_hardware(
    searched: Path,
) -> None:
    storage = open_storage(url_of(searched))
    row = db.find_study(storage, "wan")
    assert row is not None
    rows = db.evaluations(storage, row.id)
    assert rows
    assert all(each.key.startswith("imported:") for each in rows)
    storage.close()


def test_bad_use_is_one_clear_line(searched: Path, tmp_path: Path) -> None:
    url = url_of(searched)
    with pytest.raises(StudyError, match="a study named 'wan' exists already"):
        reprice("tiny", WAN, storage=url, new_name="wan")
    with pytest.raises(UsageError, match="--as: found 'Not a name'"):
        reprice("tiny", WAN, storage=url, new_name="Not a name")
    with pytest.raises(StudyError, match="no study 'tony'"):
        reprice("tony", WAN, storage=url)
    (tmp_path / "noisy.yaml").write_text(NOISY)
    done = reprice("tiny", str(tmp_path / "noisy.yaml"), storage=url)
    assert done.differences == ("noise.cell_sigma_frac: 0.05 -> 0.2",)


def test_rungs_and_promotions_stay_as_they_were(tmp_path: Path) -> None:
    url = quick_study(tmp_path, changes=RUNGS)
    old = result_of(url, "tiny")
    reprice("tiny", WAN, storage=url, new_name="wan")
    new = result_of(url, "wan")
    promoted = [(t.rung, t.promoted_from) for t in old.trials]
    assert [(t.rung, t.promoted_from) for t in new.trials] == promoted
    assert new.by_rung == old.by_rung
    assert min(new.by_rung) > 0
    assert {trial.rung for trial in new.front} == {1}
    assert new.budget == 12
    assert_whole(url)
    done = rescore("wan", storage=url, front_only=True, executor=steady())
    last = {f"trial {t.number}" for t in new.trials if t.rung == 1}
    assert {change.label for change in done.changes} <= last | {b.name for b in new.baselines}
    assert stale_labels(result_of(url, "wan")).keys() == set(done.stale)
    assert_whole(url)
