"""Whole studies of several workloads: what is trained, and the same whoever runs them."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cimsearch.evaluate import JointJob, read_job
from cimsearch.orchestrate.launch import launch, resume
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.orchestrate.run import waiting
from cimsearch.orchestrate.run.progress import Progress, silent
from cimsearch.orchestrate.run.starting import Start
from cimsearch.orchestrate.steering import enqueue
from cimsearch.spec import Study, load_study
from cimsearch.store.check import check_database
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.quick import Table, table
from tests.workloads import (
    TRIALS,
    JointExecutor,
    UnreliableJointExecutor,
    copied,
    result_of,
    run,
    text,
    url_of,
)

Write = Callable[[str, str], Path]
RUNG = "  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(waiting, "LONGEST_DELAY_S", 0.05)


@pytest.fixture
def study(write: Write) -> Study:
    return load_study(str(write("two.yaml", text())))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, str]:
    """Return what a run without disturbance found, and the URL of its database, only to read."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "two.yaml").write_text(text(), encoding="utf-8")
    return run(load_study(str(folder / "two.yaml")), url_of(folder)), url_of(folder)


@pytest.fixture
def undisturbed(whole: tuple[StudyResult, str]) -> Table:
    rows = table(whole[1])
    assert len(rows) == TRIALS
    return rows


def test_a_candidate_is_a_network_of_each_workload(whole: tuple[StudyResult, str]) -> None:
    result, url = whole
    assert check_database(url).findings == ()
    assert result.front
    for trial in result.trials:
        assert trial.score is not None
        assert [part.name for part in trial.score.workloads] == ["vgg_tiny", "other"]
        chips = zip(*(part.accuracy_per_chip for part in trial.score.workloads), strict=True)
        mean = np.mean([np.mean(chip) for chip in chips])
        assert trial.objectives["accuracy"] == pytest.approx(mean)
        assert trial.cost is not None
        assert [layer["name"] for layer in trial.cost["layers"]] == [
            node.name for node in trial.candidate.blueprint.nodes
        ]
        assert trial.energy_measured_pj is not None
    assert {baseline.name for baseline in result.baselines} == {"uniform 8 bit", "uniform 4 bit"}
    assert all(len(baseline.score.workloads) == 2 for baseline in result.baselines)
    tested = [trial.test for trial in result.front]
    assert all(test is not None and len(test.workloads) == 2 for test in tested)


def test_jobs_are_those_of_the_workloads_on_the_same_chips(
    study: Study, whole: tuple[StudyResult, str]
) -> None:
    result, _ = whole
    for row in result.evaluations:
        job = read_job(row.job)
        assert isinstance(job, JointJob)
        assert [member.workload for member in job.members] == ["vgg_tiny", "other"]
        own, other = job.members
        assert (own.data, other.data) == tuple(w.data for w in study.workloads)
        assert (own.recipe.parent_epochs, other.recipe.parent_epochs) == (2, 1)
        assert own.data_fingerprint != other.data_fingerprint
        assert own.hardware == other.hardware
        for name in ("rung", "first_chip", "split", "replicate", "study_seed", "calibration"):
            assert getattr(own, name) == getattr(other, name)


def test_the_worst_workload_counts_if_the_study_says_so(write: Write, tmp_path: Path) -> None:
    worst = text().replace("genes:", "over_workloads: worst\ngenes:")
    result = run(load_study(str(write("two.yaml", worst))), url_of(tmp_path))
    for trial in result.trials:
        assert trial.score is not None
        chips = zip(*(part.accuracy_per_chip for part in trial.score.workloads), strict=True)
        assert trial.objectives["accuracy"] == pytest.approx(np.mean([min(c) for c in chips]))


@pytest.mark.parametrize("sampler", ["auto", "tpe", "qmc", "optuna_nsga3", "age_moea2"])
def test_samplers_search_the_genes_of_all_workloads(
    write: Write, tmp_path: Path, sampler: str
) -> None:
    few = text(5).replace("optuna_nsga2", sampler)
    result = run(load_study(str(write("two.yaml", few))), url_of(tmp_path))
    assert result.count("complete") == 5
    assert len({trial.candidate.hash for trial in result.trials}) == 5


@pytest.mark.parametrize(("how", "chance"), [("mean", 0.3), ("worst", 0.1)])
def test_the_reference_point_is_chance_over_the_workloads(
    write: Write, tmp_path: Path, how: str, chance: float
) -> None:
    x = np.random.default_rng(0).integers(0, 256, (80, 1, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "halves.npz", x=x, y=np.arange(80) % 2)
    write("pair.yaml", TWO_CLASSES)
    other = "{kind: npz, path: halves.npz, shape: [1, 8, 8], classes: 2}"
    two = text().replace("{kind: digits, shape: [1, 8, 8], classes: 10, split_seed: 1}", other)
    two = two.replace("    space: vgg_tiny", "    space: ./pair.yaml")
    two = two.replace("genes:", f"over_workloads: {how}\ngenes:")
    study = load_study(str(write("two.yaml", two)))
    result = run(study, url_of(tmp_path))
    assert result.reference[0] == pytest.approx(chance)
    uniform = next(each for each in result.baselines if each.name == "uniform 8 bit")
    assert result.reference[1] == pytest.approx(1.1 * uniform.objectives["energy_pj"])


TWO_CLASSES = """
schema: cimsearch/space/1
name: pair
summary: networks that tell two things apart
source: made for a test
family: vgg
input_shape: [1, 8, 8]
classes: 2
stages:
  - {width: [4, 6], depth: [1], downsample: true}
genes: {weight_bits: [2, 4], activation_bits: [4], prune_ratio: [0.0]}
first_layer: {placement: digital, bits: 8}
classifier: {placement: digital, bits: 8}
"""


@pytest.mark.parametrize("seed", range(3))
def test_neither_workers_nor_their_troubles_change_it(
    study: Study, tmp_path: Path, undisturbed: Table, seed: int
) -> None:
    executor = UnreliableJointExecutor(1 + seed, Random(seed))
    launch(study, storage=url_of(tmp_path), executor=executor)
    assert table(url_of(tmp_path)) == undisturbed


@pytest.mark.parametrize("slots", [1, 2])
def test_stopped_and_resumed_it_is_the_same(
    study: Study, tmp_path: Path, undisturbed: Table, slots: int
) -> None:
    url, moments = url_of(tmp_path), Random(slots)

    def stop(_: Progress) -> None:
        if moments.random() < 0.1:
            raise KeyboardInterrupt

    def executor() -> JointExecutor:
        return JointExecutor(slots, Random(moments.random()))

    stopped = 0
    for _ in range(100):
        try:
            launch(study, storage=url, executor=executor(), on_progress=stop)
            break
        except KeyboardInterrupt:
            stopped += 1
    assert stopped
    resume("two", storage=url, executor=executor(), on_progress=silent)
    assert table(url) == undisturbed


def test_rungs_train_every_workload_further(write: Write, tmp_path: Path) -> None:
    rungs = RUNG.replace("epochs: 1", "epochs: 0") + RUNG
    halved = text().replace(RUNG, rungs) + "halving: {cohort: 4, eta: 2}\n"
    result = run(load_study(str(write("two.yaml", halved))), url_of(tmp_path))
    assert result.by_rung == (TRIALS, 6)
    jobs = {row.id: read_job(row.job) for row in result.evaluations}
    for trial in result.trials:
        job = jobs[trial.evaluation_id or 0]
        assert isinstance(job, JointJob)
        assert {len(member.earlier) for member in job.members} == {trial.rung}


def test_it_can_begin_with_baselines_and_what_another_has_trained(
    study: Study, write: Write, tmp_path: Path
) -> None:
    url = url_of(tmp_path)
    first = run(study, url, start=Start(baselines=True))
    named = text().replace("name: two", "name: again")
    again = load_study(str(write("again.yaml", named)))
    result = run(again, url, start=Start(study="two"))
    assert result.started is not None
    assert result.started["fates"] == {"reused": len(first.trials)}
    before = {trial.candidate.hash: trial.objectives for trial in first.trials}
    taken = [trial for trial in result.trials if trial.candidate.hash in before]
    assert len(taken) == len(first.trials)
    assert all(trial.objectives == before[trial.candidate.hash] for trial in taken)


def test_a_study_of_one_workload_gives_it_nothing(
    study: Study, write: Write, tmp_path: Path
) -> None:
    url = url_of(tmp_path)
    run(load_study(str(write("tiny.yaml", TINY_STUDY))), url)
    result = run(study, url, start=Start(study="tiny"))
    assert result.started is not None
    assert set(result.started["fates"]) == {"outside"}


def test_candidates_are_enqueued_by_the_names_of_their_workloads(
    whole: tuple[StudyResult, str], tmp_path: Path
) -> None:
    first, url = whole[0], copied(whole[1], tmp_path)
    wanted = dict(first.trials[0].genes) | {"other/stage0.width": 8, "vgg_tiny/stage0.width": 20}
    added = enqueue("two", [wanted], storage=url)
    assert added.to_train == (TRIALS,)
    resume("two", storage=url, trials=TRIALS + 1, executor=JointExecutor(1, Random(0)))
    trial = result_of(url).trials[TRIALS]
    assert trial.genes["other/stage0.width"] == 8
    assert trial.state == "complete"
