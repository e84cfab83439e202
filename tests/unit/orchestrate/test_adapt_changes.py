"""One-gene changes of adapted networks: scored with the trained weights, told with their price."""

from contextlib import closing
from pathlib import Path
from zipfile import ZipFile

import pytest

from cimsearch.cli.adapt import facts, show
from cimsearch.evaluate import Job
from cimsearch.orchestrate.adapt.adapt import adapt
from cimsearch.orchestrate.adapt.choose import chosen
from cimsearch.orchestrate.derive.share import export_study, import_study
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.adaptation import Adapting, read_adaptation
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.orchestrate.read.status import read_status
from cimsearch.orchestrate.read.view import study_view
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import InlineExecutor
from tests.commands import cimsearch
from tests.once import run_once
from tests.unit.orchestrate.adapting import (
    HOW,
    Counting,
    adapted_in,
    plain,
    storage_in,
    study_in,
)

TOLD = 2
SMALL = HOW.model_copy(update={"networks": 1, "rounds": 1, "test": None, "changes": TOLD})


pytestmark = pytest.mark.usefixtures("one_cache")


@pytest.fixture(scope="module")
def found(folder: Path, cache: Path) -> Adapting:
    return adapted_in(folder, study_in(folder, SMALL), cache)


def result_in(folder: Path) -> StudyResult:
    with closing(open_storage(storage_in(folder))) as database:
        (row,) = db.list_studies(database)
        return read_result(database, row.id)


def changes_of(found: Adapting) -> list[object]:
    noted = found.result.adaptation
    assert noted is not None
    return [(c.of, c.gene, c.before, c.after) for c in noted.changes]


def test_changes_are_scored_with_the_weights_of_what_is_delivered(found: Adapting) -> None:
    noted = found.result.adaptation
    assert noted is not None
    (chain,) = found.chains
    step = found.delivered()[chain.name]
    rows = {row.id: row for row in found.result.evaluations}
    assert [change.of for change in noted.changes] == [step.label] * (1 + 2 * TOLD)
    assert noted.changes[0].gene == ""
    for change in noted.changes:
        row = rows[change.evaluation]
        job = Job.from_json(row.job)
        assert row.state == "done"
        assert job.weights_of is not None
        assert job.weights_of.key == step.work.key
        assert job.rung == SMALL.training.model_copy(update={"epochs": 0})
        assert (job.split, job.first_chip) == ("validation", 0)
        assert (job.blueprint == step.candidate.blueprint) == (not change.gene)


def test_the_cheapest_are_told_first(found: Adapting) -> None:
    (chain,) = found.chains
    told = found.changes_of(found.delivered()[chain.name])
    assert len(told) == TOLD
    for each in told:
        assert each.cost[1] < each.cost[0] == pytest.approx(chain.trained[-1].cost["energy_pj"])
        assert each.saved_frac == pytest.approx(1 - each.cost[1] / each.cost[0])
        assert each.gained == pytest.approx(each.accuracy[1] - each.accuracy[0])
        assert each.chip_error is not None
        assert 0 < each.image_error < 0.1
    lost = [max(0.0, -each.gained) / each.saved_frac for each in told]
    assert lost == sorted(lost)
    assert all(found.changes_of(chain.steps[0]) == () for chain in found.baselines)


def test_report_and_verb_tell_them(
    found: Adapting, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (chain,) = found.chains
    told = found.changes_of(found.delivered()[chain.name])
    view = study_view(result_in(folder)).adaptation
    assert view is not None
    assert [network.changes == () for network in view.networks] == [True, True, False]
    assert [change.gene for change in view.networks[-1].changes] == [each.gene for each in told]
    said = facts(found)["networks"][-1]["changes"]
    assert [change["saved"]["energy_pj"] for change in said] == pytest.approx(
        [each.cost[0] - each.cost[1] for each in told]
    )
    show(found)
    printed = capsys.readouterr().out
    assert "the cheapest changes of one gene, nothing trained again:" in printed
    assert f"{told[0].gene} {told[0].before} -> {told[0].after}" in printed


def test_they_are_not_scored_twice_and_go_on_after_a_stop(
    found: Adapting, folder: Path, tmp_path: Path
) -> None:
    again = adapt(study_in(folder, SMALL), storage=storage_in(folder), executor=Counting(0))
    assert changes_of(again) == changes_of(found)
    storage, stops = storage_in(tmp_path), 0
    while True:
        try:
            other = adapt(study_in(folder, SMALL), storage=storage, executor=Counting(7))
        except KeyboardInterrupt:
            stops += 1
            continue
        break
    assert stops >= 2
    assert plain(other) == plain(found)
    step = found.delivered()[found.chains[0].name]
    assert other.changes_of(step) == found.changes_of(step)


def test_with_0_nothing_is_changed_and_nothing_else_is_other(
    found: Adapting, folder: Path, tmp_path: Path
) -> None:
    off = study_in(folder, SMALL.model_copy(update={"changes": 0}))
    other = adapt(off, storage=storage_in(tmp_path), executor=InlineExecutor(run_once))
    assert changes_of(other) == []
    assert plain(other) == plain(found)
    assert other.changes_of(other.chains[0].steps[0]) == ()


def test_an_adaptation_keeps_its_choice_though_the_front_has_changed(
    folder: Path, tmp_path: Path
) -> None:
    only_trained = SMALL.model_copy(update={"pruning": None, "rounds": 0, "changes": 0})
    study, storage = study_in(folder, only_trained), storage_in(tmp_path)

    def run(*, choose_anew: bool = False) -> Adapting:
        executor = InlineExecutor(run_once)
        return adapt(study, storage=storage, executor=executor, choose_anew=choose_anew)

    first = run()
    budget = study.spec.budget.model_copy(update={"trials": 8})
    longer = study.spec.model_copy(update={"budget": budget, "adapt": None})
    launch(
        type(study)(longer, study.space, study.hardware),
        storage=storage,
        executor=InlineExecutor(run_once),
    )
    now = chosen(result_in(tmp_path), only_trained)
    assert now != first.numbers, "the front has to change for this test to show anything"
    assert run().numbers == first.numbers
    assert run(choose_anew=True).numbers == now
    assert run().numbers == now


def test_status_says_how_far_it_is_and_what_goes_on(
    found: Adapting, folder: Path, tmp_path: Path
) -> None:
    study, storage = study_in(tmp_path, SMALL), storage_in(tmp_path)
    # What the search has trained likewise is not trained again: all but the last two.
    total = len(found.chains[0].steps) + len(found.baselines)
    launch(study, storage=storage, executor=InlineExecutor(run_once))
    ask = ("status", "tiny", "--storage", storage)
    assert "adaptation" not in cimsearch(*ask, cwd=tmp_path).stdout
    with pytest.raises(KeyboardInterrupt):
        adapt(study, storage=storage, executor=Counting(0))
    with closing(open_storage(storage)) as database:
        told = read_status(database, "tiny").adaptation
    assert told is not None
    assert (told.phase, told.done, told.waiting, told.failed) == ("networks", total - 2, 1, 0)
    assert told.done + told.waiting + told.to_come == total
    printed = cimsearch(*ask, cwd=tmp_path).stdout
    assert "of 1 network: networks are trained and pruned: 3 steps done, 0 failed" in printed
    assert f"up to {told.to_come} to come" in printed
    assert "go on with: cimsearch adapt tiny.yaml" in printed
    adapt(study, storage=storage, executor=InlineExecutor(run_once))
    printed = cimsearch(*ask, cwd=tmp_path).stdout
    assert "of 1 network: over: " in printed
    assert "go on with" not in printed


def test_what_an_earlier_version_noted_is_read(found: Adapting, folder: Path) -> None:
    result = result_in(folder)
    assert result.adaptation is not None
    ids = [row.id for row in result.evaluations]
    attr = result.adaptation.to_attr(ids)
    for name in ("changes", "phase", "to_come", "file", "by"):
        del attr[name]
    del attr["how"]["changes"]
    for name in ("steps", "tests"):
        attr[name] = {label: ids[place] for label, place in attr[name].items()}
    older = type(result.adaptation).from_attr(attr, ids)
    assert (older.numbers, older.steps, older.changes) == (found.numbers, found_steps(found), ())


def found_steps(found: Adapting) -> dict[str, int]:
    read = read_adaptation(found.result)
    assert read is not None
    chains = (*read.baselines, *read.chains)
    return {s.label: s.row.id for chain in chains for s in chain.steps if s.row}


def test_an_adapted_study_is_read_the_same_in_another_database(
    found: Adapting, folder: Path, tmp_path: Path
) -> None:
    file, elsewhere = tmp_path / "tiny.cimstudy", f"sqlite:///{tmp_path / 'other.db'}"
    export_study("tiny", str(file), storage=storage_in(folder))
    for name in ("one", "two"):
        import_study(str(file), name=name, storage=elsewhere)
    with closing(open_storage(elsewhere)) as database:
        read = [read_result(database, study.id) for study in db.list_studies(database)]
        told = read_status(database, "two").adaptation
    own = result_in(folder)
    assert read[1].evaluations[0].id != own.evaluations[0].id
    for result in read:
        assert study_view(result).adaptation == study_view(own).adaptation
    assert told is not None
    assert told.has_ended
    assert told.file == ""
    with ZipFile(file) as archive:
        texts = [archive.read(name) for name in archive.namelist()]
    assert any(b"weights_of" in text for text in texts)
    assert not any(str(folder).encode() in text for text in texts)
