"""What is done with a study of several workloads once it has run."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cimsearch.errors import DataError, StorageError, StudyError, UsageError
from cimsearch.evaluate import JointJob, read_job
from cimsearch.orchestrate.derive.reprice import reprice
from cimsearch.orchestrate.derive.rescore import rescore
from cimsearch.orchestrate.derive.share import export_study, import_study
from cimsearch.orchestrate.launch import resume
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.orchestrate.read.uncertain import front_odds
from cimsearch.orchestrate.read.view import study_view
from cimsearch.orchestrate.table.build import build_table
from cimsearch.spec import Study, load_study
from cimsearch.spec.catalogue import find
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.store.check import check_database
from tests.unit.orchestrate.quick import table
from tests.unit.orchestrate.repriced import NOISY
from tests.unit.store.archives import declared, members_of, write_members
from tests.workloads import (
    TRIALS,
    JointExecutor,
    copied,
    joint_score_of,
    result_of,
    run,
    text,
    url_of,
)

Write = Callable[[str, str], Path]


@pytest.fixture
def study(write: Write) -> Study:
    return load_study(str(write("two.yaml", text())))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, str]:
    """Return what a study has found, and the URL of its database, only to read."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "two.yaml").write_text(text(), encoding="utf-8")
    return run(load_study(str(folder / "two.yaml")), url_of(folder)), url_of(folder)


def test_an_archive_holds_all_of_it_and_no_places(write: Write, tmp_path: Path) -> None:
    write("mine/vgg_tiny.yaml", find("spaces", "vgg_tiny").read_text(encoding="utf-8"))
    own = text().replace("    space: vgg_tiny", "    space: mine/vgg_tiny.yaml")
    x = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "private.npz", x=x, y=np.arange(200) % 10)
    own = own.replace("{kind: digits, shape: [1, 8, 8], classes: 10, split_seed: 1}", PRIVATE)
    study = load_study(str(write("two.yaml", own)))
    url, there = url_of(tmp_path), url_of(tmp_path, "there")
    result = run(study, url)
    file = export_study("two", str(tmp_path / "two.cimstudy"), storage=url)
    imported = import_study(str(file), storage=there)
    assert (imported.trials, imported.front) == (TRIALS, len(result.front))
    copy = result_of(there)
    assert copy.study.workloads[1].space == study.workloads[1].space
    assert copy.study.hash == study.hash
    assert [trial.objectives for trial in copy.trials] == [t.objectives for t in result.trials]
    storage = open_storage(there)
    row = db.list_studies(storage)[0]
    assert row.user_attrs["also_data"][0]["path"] is None
    texts = [db.load_spec(storage, row.spec_hash or "")]
    texts += [each.job for each in db.evaluations(storage, row.id)]
    storage.close()
    for each in texts:
        assert str(tmp_path) not in each
        assert "private.npz" not in each
        assert "mine/" not in each


@pytest.mark.parametrize(
    "spaces",
    [[], 5, {"a": 1}, [{"name": "x"}], None],
    ids=["none", "number", "map", "bad", "null"],
)
def test_an_archive_with_other_spaces_than_workloads_is_refused(
    whole: tuple[StudyResult, str], tmp_path: Path, spaces: object
) -> None:
    there = url_of(tmp_path, "there")
    good = export_study("two", str(tmp_path / "good.cimstudy"), storage=whole[1])
    members = members_of(good) | {"spec/also.json": json.dumps(spaces).encode()}
    bad = write_members(tmp_path / "bad.cimstudy", declared(members))
    with pytest.raises(StorageError) as told:
        import_study(str(bad), storage=there)
    assert "\n" not in told.value.message
    assert not (tmp_path / "there.db").exists()


PRIVATE = "{kind: npz, path: private.npz, shape: [1, 8, 8], classes: 10}"


def test_data_of_every_workload_is_checked_and_found_again(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)

    def save(name: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        x = rng.integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
        np.savez(tmp_path / name, x=x, y=np.arange(200) % 10)

    def written(place: str) -> Study:
        digits = "{kind: digits, shape: [1, 8, 8], classes: 10, split_seed: 1}"
        changed = PRIVATE.replace("private.npz", place)
        return load_study(str(write("two.yaml", text(4).replace(digits, changed))))

    url = url_of(tmp_path)
    with pytest.raises(DataError, match=r"a.npz: no such file .* of the workload other"):
        run(written("a.npz"), url)
    save("a.npz")
    # CIMSEARCH_DATA is for data that a file does not place.
    monkeypatch.setenv("CIMSEARCH_DATA", str(tmp_path / "nowhere"))
    run(written("a.npz"), url)
    before = table(url)
    monkeypatch.delenv("CIMSEARCH_DATA")
    (tmp_path / "b").mkdir()
    (tmp_path / "a.npz").rename(tmp_path / "b" / "a.npz")
    with pytest.raises(DataError, match="launch that: the study goes on"):
        resume("two", storage=url, executor=JointExecutor(1, Random(0)))
    run(written("b/a.npz"), url)
    assert table(url) == before
    resume("two", storage=url, trials=5, executor=JointExecutor(1, Random(0)))
    assert len(table(url)) == 5
    save("b/a.npz")
    with pytest.raises(StudyError, match="data of other: other files than the study was started"):
        run(written("b/a.npz"), url)


def test_it_is_priced_and_scored_anew_on_other_hardware(
    whole: tuple[StudyResult, str], write: Write, tmp_path: Path
) -> None:
    url, noisy, (before, _) = copied(whole[1], tmp_path), write("noisy.yaml", NOISY), whole
    found = reprice("two", str(noisy), storage=url, new_name="noisy")
    assert found.priced == TRIALS
    assert any("cell_sigma_frac" in line for line in found.differences)
    done = rescore("noisy", storage=url, executor=JointExecutor(2, Random(0)))
    assert not done.stale
    assert len(done.changes) == TRIALS + len(before.baselines)
    after = result_of(url, "noisy")
    for row in after.evaluations:
        job = read_job(row.job)
        assert isinstance(job, JointJob)
        if row.role != "test":
            assert {member.hardware.name for member in job.members} == {"noisy"}
            assert row.score == joint_score_of(row.job.encode()).decode()
    assert check_database(url).findings == ()


def test_it_is_shown_as_other_studies_are(whole: tuple[StudyResult, str]) -> None:
    result, _ = whole
    view = study_view(result)
    for point in view.front:
        assert sum(layer.energy_pj for layer in point.layers) == pytest.approx(point.values[1])
        assert {layer.name.split("/")[0] for layer in point.layers} == {"vgg_tiny", "other"}
    odds = front_odds(result, draws=50)
    assert {point.trial.number for point in odds.points} >= {t.number for t in result.front}


def test_a_table_is_of_one_workload(study: Study, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two: found 2 workloads; a table is of one"):
        build_table(study, tmp_path / "two.npz")


def test_a_macro_for_two_is_one_candidate(tmp_path: Path) -> None:
    study = load_study("macro_for_two")
    budget = study.spec.budget.model_copy(update={"trials": 6})
    small = Study(
        study.spec.model_copy(update={"budget": budget}),
        study.space,
        study.hardware,
        study.path,
        study.others,
    )
    result = run(small, url_of(tmp_path))
    for trial in result.trials:
        assert trial.candidate.settings
        assert any(name.startswith("hardware.") for name in trial.genes)
        row = next(row for row in result.evaluations if row.id == trial.evaluation_id)
        machine = study.machine(trial.candidate.settings)
        assert {member["hardware"]["name"] for member in json.loads(row.job)["members"]} == {
            machine.name
        }
        job = read_job(row.job)
        assert isinstance(job, JointJob)
        assert all(member.hardware == machine for member in job.members)
