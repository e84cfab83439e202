"""Adapting what a search found: baselines, chains of networks, their ends, and test images."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cimsearch.api import estimate
from cimsearch.cli.adapt import facts, show
from cimsearch.errors import StudyError, UsageError
from cimsearch.evaluate.pruning import PruneJob, is_prune_job
from cimsearch.evaluate.report import OnReport
from cimsearch.orchestrate.adapt.adapt import adapt
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.adaptation import Adapting, read_adaptation
from cimsearch.orchestrate.read.adapted_steps import accuracy_of
from cimsearch.orchestrate.read.results import read_result
from cimsearch.orchestrate.read.view import study_view
from cimsearch.orchestrate.run.plan import TEST_FIRST_CHIP
from cimsearch.spec import load_study
from cimsearch.spec.settings import with_settings
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import InlineExecutor
from tests.once import run_once
from tests.unit.orchestrate.adapting import (
    HOW,
    Counting,
    adapted_in,
    plain,
    storage_in,
    study_in,
)
from tests.unit.orchestrate.test_macro_search import OPENED

pytestmark = pytest.mark.usefixtures("one_cache")


@pytest.fixture(scope="module")
def found(folder: Path, cache: Path) -> Adapting:
    return adapted_in(folder, study_in(folder), cache)


def test_baselines_are_trained_as_the_networks_are(found: Adapting) -> None:
    assert [chain.name for chain in found.baselines] == ["uniform 8 bit", "uniform 4 bit"]
    for chain in found.baselines:
        (step,) = chain.trained
        assert step.score is not None
        assert (step.score.epochs, len(step.score.accuracy_per_chip)) == (1, 2)
    best = max(accuracy_of(c.trained[0], "mean") for c in found.baselines)
    assert found.least_accuracy == pytest.approx(best - 0.5)


def test_networks_are_trained_and_pruned_in_turn(found: Adapting) -> None:
    assert len(found.chains) == 2
    hardware = found.plan.study.hardware
    for chain in found.chains:
        kinds = [step.kind for step in chain.steps]
        assert kinds == ["trained", "pruned"] * (len(kinds) // 2) + ["trained"]
        assert chain.ended_by in ("all rounds are done", "less accurate than allowed")
        energies = [estimate(step.candidate, hardware).energy_pj for step in chain.trained]
        assert energies == sorted(energies, reverse=True)
        assert energies[-1] <= 0.81 * energies[0] or len(chain.trained) < 3


def test_what_is_delivered_is_scored_on_test_images_with_new_chips(found: Adapting) -> None:
    delivered = found.delivered()
    assert set(delivered) == {chain.name for chain in (*found.baselines, *found.chains)}
    for step in delivered.values():
        score = found.test_score(step)
        assert score is not None
        assert (score.split, score.images, len(score.accuracy_per_chip)) == ("test", 359, 3)
        assert found.test_of(step).first_chip == TEST_FIRST_CHIP
    for chain in found.chains:
        least = found.least_accuracy or 1.0
        good = [step for step in chain.trained if accuracy_of(step, "mean") >= least]
        assert delivered[chain.name] == good[-1]


def test_what_is_there_is_not_done_again(found: Adapting, folder: Path) -> None:
    executor = Counting(0)
    again = adapt(study_in(folder), storage=storage_in(folder), executor=executor)
    assert executor.given == 0
    assert again.delivered() == found.delivered()


def test_stopped_anywhere_it_goes_on_to_the_same(
    found: Adapting, folder: Path, tmp_path: Path
) -> None:
    storage, stops = storage_in(tmp_path), 0
    study = study_in(folder)
    while True:
        try:
            again = adapt(study, storage=storage, executor=Counting(3))
        except KeyboardInterrupt:
            stops += 1
            continue
        break
    assert stops >= 5
    assert plain(again) == plain(found)


def test_a_network_that_loses_too_much_is_pruned_no_more(folder: Path, tmp_path: Path) -> None:
    strict = HOW.model_copy(
        update={"max_accuracy_drop": 0.0, "networks": 1, "rounds": 1, "test": None}
    )
    found = adapt(
        study_in(folder, strict), storage=storage_in(tmp_path), executor=InlineExecutor(run_once)
    )
    (chain,) = found.chains
    least = found.least_accuracy or 0.0
    too_low = accuracy_of(chain.trained[-1], "mean") < least
    assert chain.ended_by == ("less accurate than allowed" if too_low else "all rounds are done")
    step = found.delivered()[chain.name]
    assert accuracy_of(step, "mean") >= least or step == chain.trained[0]


def without_pruning(payload: bytes, on_report: OnReport) -> bytes:
    """Run a job as workers do, but for pruning."""
    if is_prune_job(payload.decode()):
        raise UsageError("no memory left")
    return run_once(payload, on_report)


def test_a_step_that_fails_ends_its_chain_alone_and_is_tried_again(
    found: Adapting, folder: Path, tmp_path: Path
) -> None:
    study, storage = study_in(folder), storage_in(tmp_path)
    failed = adapt(study, storage=storage, executor=InlineExecutor(without_pruning))
    for chain in failed.chains:
        assert chain.ended_by.startswith("failed: UsageError: no memory left")
        assert failed.delivered()[chain.name] == chain.steps[0]
    assert plain(adapt(study, storage=storage, executor=InlineExecutor(run_once))) == plain(found)


def test_weights_that_are_gone_are_made_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = HOW.model_copy(update={"networks": 1, "rounds": 1})
    study, storage = study_in(folder, short), storage_in(tmp_path)
    whole = f"sqlite:///{tmp_path / 'whole.db'}"
    found = adapt(study, storage=whole, executor=InlineExecutor(run_once))
    with pytest.raises(KeyboardInterrupt):
        adapt(study, storage=storage, executor=Counting(13))
    with closing(open_storage(storage)) as database:
        (row,) = db.list_studies(database)
        rows = db.evaluations(database, row.id, role="adapted")
    assert [row.state for row in rows if is_prune_job(row.job)] == ["done"]
    monkeypatch.setenv("CIMSEARCH_CACHE", str(tmp_path / "empty"))
    assert plain(adapt(study, storage=storage, executor=InlineExecutor())) == plain(found)


class WithoutBaselines(InlineExecutor):
    """An executor on which the adaptation's training of uniform 8 bit fails."""

    def __init__(self) -> None:
        super().__init__(self.run_but_for_it)

    @staticmethod
    def run_but_for_it(payload: bytes, on_report: OnReport) -> bytes:
        job = json.loads(payload)
        bits = {node["w_bits"] for node in job.get("blueprint", {}).get("nodes", ())}
        if job.get("rung", {}).get("score_level") == "L2" and bits <= {0, 8}:
            raise UsageError("no memory left")
        return run_once(payload, on_report)


def test_without_a_baseline_nothing_is_accurate_enough(folder: Path, tmp_path: Path) -> None:
    rung = HOW.training.model_copy(update={"score_level": "L2", "images": 20, "chips": 1})
    how = HOW.model_copy(update={"training": rung, "networks": 1, "test": None})
    storage = storage_in(tmp_path)
    found = adapt(study_in(folder, how), storage=storage, executor=WithoutBaselines())
    assert found.least_accuracy is None
    (chain,) = found.chains
    assert chain.ended_by.startswith("no baseline to compare with")
    assert len(chain.steps) == 1
    with closing(open_storage(storage)) as database:
        (row,) = db.list_studies(database)
        view = study_view(read_result(database, row.id)).adaptation
    assert view is not None
    first = view.networks[0]
    assert first.ended_by.startswith("failed: UsageError: no memory left")


def test_a_study_adapted_twice_is_read_as_it_was_last(folder: Path, tmp_path: Path) -> None:
    storage, short = storage_in(tmp_path), HOW.model_copy(update={"networks": 1, "rounds": 1})
    other = short.pruning.model_copy(update={"cost_frac": 0.8}) if short.pruning else None
    studies = [study_in(folder, short.model_copy(update={"pruning": p}))
               for p in (short.pruning, other, short.pruning)]  # fmt: skip
    numbers: list[dict[str, int]] = []
    for study in studies:
        made = adapt(study, storage=storage, executor=InlineExecutor(run_once))
        with closing(open_storage(storage)) as database:
            (row,) = db.list_studies(database)
            read = read_adaptation(read_result(database, row.id))
        assert read is not None
        assert plain(read) == plain(made)
        assert read.how == made.how
        numbers.append(
            {s["label"]: s["evaluation"] for n in facts(read)["networks"] for s in n["steps"]}
        )
    # Both adaptations call their steps the same: the numbers tell them apart.
    assert numbers[0].keys() == numbers[1].keys()
    assert {label for label in numbers[0] if numbers[0][label] != numbers[1][label]} == {
        label for label in numbers[0] if "round" in label
    }
    assert numbers[2] == numbers[0]


def test_the_search_is_the_same_study_with_and_without(folder: Path, tmp_path: Path) -> None:
    storage = storage_in(tmp_path)
    plain_study = load_study(str(folder / "tiny.yaml"))
    launch(plain_study, storage=storage, executor=InlineExecutor(run_once))
    how = HOW.model_copy(update={"pruning": None, "rounds": 0, "networks": 1})
    found = adapt(study_in(folder, how), storage=storage, executor=InlineExecutor(run_once))
    assert [len(chain.steps) for chain in found.chains] == [1]
    with closing(open_storage(storage)) as database:
        assert len(db.list_studies(database)) == 1


def test_studies_that_say_nothing_of_it_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="tiny: does not say how networks are adapted"):
        adapt(load_study(str(folder / "tiny.yaml")), storage=storage_in(folder))


def test_a_search_whose_time_is_up_is_not_adapted(folder: Path, tmp_path: Path) -> None:
    study = study_in(folder)
    budget = study.spec.budget.model_copy(update={"time_s": 1e-6})
    short = replace(study, spec=study.spec.model_copy(update={"budget": budget}))
    with pytest.raises(StudyError, match="the search has not ended: its time is up"):
        adapt(short, storage=storage_in(tmp_path), executor=InlineExecutor(run_once))


def test_the_report_and_the_verb_tell_what_was_done(
    found: Adapting, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(open_storage(storage_in(folder))) as database:
        (row,) = db.list_studies(database)
        view = study_view(read_result(database, row.id)).adaptation
    assert view is not None
    assert [n.name for n in view.networks] == [c.name for c in (*found.baselines, *found.chains)]
    assert view.least_accuracy == found.least_accuracy
    for network, chain in zip(view.networks[2:], found.chains, strict=True):
        assert len(network.steps) == len(chain.trained)
        (best,) = [step for step in network.steps if step.delivered]
        assert best.test_accuracy is not None
        for layer in network.layers:
            assert layer.channels[1] <= layer.channels[0]
    told = facts(found)
    assert [n["delivered"] for n in told["networks"]] == [
        step.label for step in found.delivered().values()
    ]
    show(found)
    printed = capsys.readouterr().out
    assert f"accurate enough is {100 * (found.least_accuracy or 0):.1f} %" in printed
    assert all(f"{step.label} *" in printed for step in found.delivered().values() if step.round)
    trained = [step.row for chain in found.chains for step in chain.trained]
    assert all(f"#{row.id} " in printed for row in trained if row)
    ids = [step["evaluation"] for network in told["networks"] for step in network["steps"]]
    chains = (*found.baselines, *found.chains)
    assert ids == [s.row.id for chain in chains for s in chain.steps if s.row]


def test_a_pruned_network_stays_on_its_machine(folder: Path, tmp_path: Path) -> None:
    text = OPENED.replace("trials: 4", "trials: 2")
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    opened = load_study(str(tmp_path / "tiny.yaml"))
    how = HOW.model_copy(
        update={"networks": 1, "rounds": 1, "max_accuracy_drop": 1.0, "test": None}
    )
    study = replace(opened, spec=opened.spec.model_copy(update={"adapt": how}))
    found = adapt(study, storage=storage_in(tmp_path), executor=InlineExecutor(run_once))
    (chain,) = found.chains
    settings = chain.steps[0].candidate.settings
    assert len(settings) == 3
    assert [step.kind for step in chain.steps] == ["trained", "pruned", "trained"]
    machine = with_settings(study.hardware, settings)
    for step in chain.steps:
        job = step.work.job if isinstance(step.work, PruneJob) else step.work
        assert step.candidate.settings == settings
        assert job.hardware.macro == machine.macro
        assert step.cost["energy_pj"] == pytest.approx(
            estimate(step.candidate.blueprint, machine).energy_pj
        )
