"""Steering by hand: stop rules, candidates of one's own, and what a study begins with."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from cimsearch.errors import SpaceError, StudyError, UsageError
from cimsearch.evaluate import Job
from cimsearch.orchestrate.launch import launch, resume
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.orchestrate.read.status import read_status
from cimsearch.orchestrate.read.view import study_view
from cimsearch.orchestrate.run import lease, starting
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.proposing import add_proposal
from cimsearch.orchestrate.run.stalling import has_stalled
from cimsearch.orchestrate.run.starting import Start
from cimsearch.orchestrate.run.state import INHERITED, front_of
from cimsearch.orchestrate.steering import enqueue
from cimsearch.search.baselines import baselines, uniform_genes
from cimsearch.search.history import Seen
from cimsearch.search.pricing import directions, price
from cimsearch.space import Space
from cimsearch.spec import Study, load_study
from cimsearch.spec.study import Stalled
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.store.check import check_database
from tests.studies import TINY_STUDY, copy_database
from tests.unit.orchestrate.quick import QuickExecutor, table

Write = Callable[[str, str], Path]
RANDOM = TINY_STUDY.replace("name: optuna_nsga2", "name: random")


@dataclass
class Recorder(QuickExecutor):
    """Notes the candidates that it is sent to be trained for the search and its baselines."""

    sent: list[str] = field(default_factory=list)

    def submit(self, token: str, payload: bytes) -> None:
        job = Job.from_json(payload.decode())
        if job.split == "validation":
            self.sent.append(job.candidate_hash)
        super().submit(token, payload)


def quick(slots: int = 1) -> Recorder:
    return Recorder(slots, Random(0))


def url_of(directory: Path) -> str:
    return f"sqlite:///{directory / 'cimsearch.db'}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the database of a finished study of four trials."""
    folder = tmp_path_factory.mktemp("steered")
    (folder / "tiny.yaml").write_text(RANDOM.lstrip(), encoding="utf-8")
    launch(load_study(str(folder / "tiny.yaml")), storage=url_of(folder), executor=quick())
    return folder


@pytest.fixture
def url(finished: Path, tmp_path: Path) -> str:
    """Return the URL of a copy of the finished study's database."""
    copy_database(finished, tmp_path)
    return url_of(tmp_path)


def study_of(write: Write, *changes: tuple[str, str], name: str = "tiny", more: str = "") -> Study:
    text = RANDOM.replace("name: tiny", f"name: {name}") + more
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_study(str(write(f"{name}.yaml", text)))


def result_of(url: str, name: str = "tiny") -> StudyResult:
    storage = open_storage(url)
    row = db.find_study(storage, name)
    assert row is not None
    result = read_result(storage, row.id)
    storage.close()
    return result


def noted(url: str, name: str) -> list[object]:
    """Return what was noted with the proposal of each trial."""
    storage = open_storage(url)
    row = db.find_study(storage, name)
    assert row is not None
    found: list[object] = [t.user_attrs["sampler"] for t in db.trial_rows(storage, row.id)]
    storage.close()
    return found


# Stop rules


def result_seen(number: int, accuracy: float, *, inherited: bool = False) -> Seen:
    values = (accuracy, 1.0, 1.0)
    attrs = {INHERITED: True} if inherited else {}
    return Seen(number, (), str(number), True, "complete", values, (), attrs)


def test_the_last_results_must_gain_something(tiny_study: Study) -> None:
    plan, rule = Plan(tiny_study, None, "", 4), Stalled(trials=2, gain=0.01)
    growing = [result_seen(n, 0.2 + n / 10) for n in range(4)]
    flat = [result_seen(n, 0.5) for n in range(4)]
    assert not has_stalled(rule, plan, growing)
    assert has_stalled(rule, plan, flat)
    assert has_stalled(rule, plan, flat[:3])
    assert not has_stalled(rule, plan, flat[:2])  # nothing before them to compare with
    assert not has_stalled(None, plan, flat)
    brought = [result_seen(n, 0.5, inherited=True) for n in range(4)]
    assert not has_stalled(rule, plan, brought)
    assert has_stalled(rule, plan, [*brought, result_seen(4, 0.5), result_seen(5, 0.5)])
    assert not has_stalled(rule, plan, [*brought, result_seen(4, 0.5), result_seen(5, 0.9)])


def test_a_stalled_search_ends_at_the_same_trial_whoever_runs_it(
    write: Write, tmp_path: Path
) -> None:
    rule = ("{trials: 4}", "{trials: 9, stalled: {trials: 2, gain: 1}}")
    study = study_of(write, rule)
    tables = []
    for slots in (1, 3):
        storage = f"sqlite:///{tmp_path / f'{slots}.db'}"
        result = launch(study, storage=storage, executor=quick(slots))
        tables.append(table(storage))
        # Three results may be known once the lag hides two more.
        assert (result.count("complete"), result.ended_by) == (5, "stalled")
        assert study_view(result).search.endswith("ended as the hypervolume has stalled")
    assert tables[0] == tables[1]
    status = read_status(open_storage(storage), "tiny")
    assert status.ended_by == "stalled"
    on = launch(study_of(write, ("trials: 4", "trials: 6")), storage=storage, executor=quick())
    # Of two budgets the larger holds, but the rule is the file's.
    assert on.count("complete") == 9
    assert on.ended_by == "budget"


def test_when_its_time_is_up_a_search_begins_nothing(
    write: Write, url: str, finished: Path
) -> None:
    genes = Space(result_of(url).study.space).sample(3).genes
    added = enqueue("tiny", [genes], storage=url)
    executor = quick()
    late = study_of(write, ("{trials: 4}", "{trials: 7, time_s: 1.0e-9}"))
    result = launch(late, storage=url, executor=executor)
    assert result.ended_by == "time"
    assert executor.sent == []
    assert [trial.state for trial in result.trials] == ["complete"] * 4 + ["running"]
    on = launch(study_of(write, ("trials: 4", "trials: 7")), storage=url, executor=quick())
    assert (on.count("complete"), on.ended_by) == (7, "budget")
    assert added.to_train == (4,)
    assert [t.genes for t in on.trials[:4]] == [t.genes for t in result_of(url).trials[:4]]


# Candidates of one's own


def test_what_is_enqueued_is_run_by_the_next_resume(url: str) -> None:
    before = result_of(url)
    space = Space(before.study.space)
    new = space.sample(1).genes
    by_name = space.choices(space.sample(2).genes)
    done = enqueue("tiny", [new, before.trials[2].genes, by_name, new], storage=url)
    assert (done.to_train, done.scored, done.known) == ((4, 5), (), (2, 4))
    assert result_of(url).ended_by is None
    executor = quick()
    after = resume("tiny", storage=url, executor=executor)
    assert after.count("complete") == 6
    assert executor.sent == [trial.candidate.hash for trial in after.trials[4:]]
    assert after.trials[5].genes == by_name
    drawn, added = {"uniform": True}, {"from": "enqueued"}
    assert noted(url, "tiny")[3:] == [drawn, added, added]
    assert after.ended_by == "budget"
    assert check_database(url).findings == ()


def test_the_search_goes_on_after_what_was_enqueued(write: Write, url: str) -> None:
    enqueue("tiny", [Space(result_of(url).study.space).sample(1).genes], storage=url)
    after = resume("tiny", storage=url, trials=7, executor=quick())
    assert after.count("complete") == 7
    assert len({trial.candidate.hash for trial in after.trials}) == 7


def test_genes_that_do_not_fit_are_refused_before_anything_is_added(url: str) -> None:
    good = Space(result_of(url).study.space).sample(1).genes
    with pytest.raises(SpaceError):
        enqueue("tiny", [good, (1, 2)], storage=url)
    with pytest.raises(SpaceError, match="missing"):
        enqueue("tiny", [good, {"stage0.width": 14}], storage=url)
    with pytest.raises(SpaceError, match="found rows, which vgg_tiny does not have"):
        enqueue("tiny", [good, {"rows": 14}], storage=url)
    with pytest.raises(StudyError, match="no study 'huge'"):
        enqueue("huge", [good], storage=url)
    assert len(result_of(url).trials) == 4


def test_an_infeasible_candidate_is_refused_with_its_constraint(
    write: Write, tmp_path: Path
) -> None:
    study = study_of(write, ("trials: 4", "trials: 1"), more="constraints: {macros: {max: 5}}\n")
    launch(study, storage=url_of(tmp_path), executor=quick())
    largest = uniform_genes(study)[0]
    macros = price(study, Space(study.space).decode(largest)).report.macros
    with pytest.raises(UsageError, match=f"macros = {macros}; allowed is max 5"):
        enqueue("tiny", [largest], storage=url_of(tmp_path))


def test_a_study_that_runs_is_left_alone(url: str) -> None:
    storage = open_storage(url)
    parent = lease.owner().replace(f":{os.getpid()} ", f":{os.getppid()} ")
    db.take_lease(storage, db.list_studies(storage)[0].id, owner=parent, seconds=60)
    storage.close()
    with pytest.raises(StudyError) as caught:
        enqueue("tiny", [Space(result_of(url).study.space).sample(1).genes], storage=url)
    assert parent in str(caught.value)
    assert len(result_of(url).trials) == 4


# What a study begins with


def test_other_objectives_re_use_all_scores(write: Write, url: str) -> None:
    first = result_of(url)
    derived = study_of(
        write,
        ("recipe:", "objectives: [accuracy, area_um2]\nrecipe:"),
        ("trials: 4", "trials: 1"),
        name="derived",
    )
    executor = quick()
    found = launch(derived, storage=url, executor=executor, start=Start("tiny"))
    assert [t.candidate.hash for t in found.trials[:4]] == [t.candidate.hash for t in first.trials]
    assert [t.objectives["accuracy"] for t in found.trials[:4]] == [
        t.objectives["accuracy"] for t in first.trials
    ]
    assert [t.reused for t in found.trials] == [True] * 4 + [False]
    # One candidate of its own, which is all that its budget counts, and all that was trained.
    assert executor.sent == [found.trials[4].candidate.hash]
    points = [
        (t.number, (t.objectives["accuracy"], price(derived, t.candidate).report.area_um2))
        for t in found.trials
    ]
    expected = front_of(points, directions(derived), found.reference)
    assert sorted(t.number for t in found.front) == list(expected.trial_ids)
    assert found.hypervolume == expected.hypervolume
    assert found.started is not None
    assert found.started["fates"] == {"reused": 4}
    assert check_database(url).findings == ()
    again = launch(derived, storage=url, executor=quick(), start=Start("tiny"))
    assert len(again.trials) == 5


def test_of_scores_that_do_not_fit_the_front_is_trained_anew(write: Write, url: str) -> None:
    first = result_of(url)
    other = study_of(write, ("qat_lr: 0.05", "qat_lr: 0.04"), name="other")
    found = launch(other, storage=url, executor=quick(), start=Start("tiny"))
    front = [t.candidate.hash for t in first.trials if t.on_front]
    assert [t.candidate.hash for t in found.trials[: len(front)]] == front
    assert not any(t.reused for t in found.trials)
    assert found.count("complete") == 4
    assert found.started is not None
    assert found.started["fates"] == {"to_train": len(front), "left": 4 - len(front)}


def test_what_the_new_study_cannot_have_is_left_out(write: Write, url: str) -> None:
    macros = sorted(t.cost["macros"] for t in result_of(url).trials if t.cost)
    bound = (macros[0] + macros[-1]) // 2
    more = f"constraints: {{macros: {{max: {bound}}}}}\n"
    tight = study_of(write, ("trials: 4", "trials: 1"), name="tight", more=more)
    found = launch(tight, storage=url, executor=quick(), start=Start("tiny"))
    fits = sum(n <= bound for n in macros)
    assert found.started is not None
    assert found.started["fates"] == {"reused": fits, "infeasible": 4 - fits}
    narrow = study_of(write, ("[3, 4, 5]", "[5]"), ("trials: 4", "trials: 1"), name="narrow")
    found = launch(narrow, storage=url, executor=quick(), start=Start("tiny"))
    assert found.started is not None
    assert found.started["fates"]["outside"] >= 1
    assert sum(found.started["fates"].values()) == 4
    reasons = [reason for reason in found.started["outside"] if reason != "..."]
    assert reasons
    assert all(re.fullmatch(r"stage\d\.layer\d\.adc_bits [34]", reason) for reason in reasons)


def dominates(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Return whether ``a`` is no worse in anything and better in something."""
    signs = {name: -1 if name == "accuracy" else 1 for name in a}
    pairs = [(signs[name] * a[name], signs[name] * b[name]) for name in a]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def test_with_rungs_promotions_re_use_scores_too(write: Write, tmp_path: Path) -> None:
    rung = RANDOM[RANDOM.index("  - {epochs: 1") : RANDOM.index("budget:")]
    rungs = (rung, rung.replace("epochs: 1", "epochs: 0") + rung)
    url, halving = url_of(tmp_path), "halving: {cohort: 4, eta: 2}\n"
    first = launch(study_of(write, rungs, more=halving), storage=url, executor=quick())
    assert first.by_rung == (4, 2)
    budget = ("trials: 4", "trials: 1")
    more = halving + "constraints: {macros: {max: 100000}}\n"
    derived = study_of(write, rungs, budget, name="derived", more=more)
    executor = quick()
    found = launch(derived, storage=url, executor=executor, start=Start("tiny"))
    # Four candidates that were there, with their two promotions, and a fifth: its cohort promotes
    # the best of all that were not.
    assert found.by_rung == (5, 3)
    assert [t.reused for t in found.trials].count(True) == 6
    own = [t.candidate.hash for t in found.trials if not t.reused]
    assert executor.sent == own
    there = {t.candidate.hash for t in found.trials if t.rung == 1 and t.reused}
    left = [t for t in found.trials if t.rung == 0 and t.candidate.hash not in there]
    (best,) = (t for t in left if t.candidate.hash == own[1])
    assert not any(dominates(t.objectives, best.objectives) for t in left)
    assert check_database(url).findings == ()


def test_the_uniform_baselines_can_go_first(write: Write, tmp_path: Path) -> None:
    study = study_of(write)
    executor = quick()
    found = launch(study, storage=url_of(tmp_path), executor=executor, start=Start(baselines=True))
    # Each is trained once, as a trial, and is a baseline with the same score.
    assert len(executor.sent) == len(set(executor.sent)) == 4
    assert [b.candidate.hash for b in found.baselines] == executor.sent[:2]
    assert all(b.test is not None for b in found.baselines)
    uniform = [candidate.hash for candidate in baselines(study).values()]
    assert [t.candidate.hash for t in found.trials[:2]] == uniform
    assert found.count("complete") == 4
    assert noted(url_of(tmp_path), "tiny")[:3] == [
        {"from": "baselines"},
        {"from": "baselines"},
        {"uniform": True},
    ]


def test_killed_while_it_begins_it_begins_the_same(
    write: Write, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = study_of(write, ("lag: 2", "lag: 1"), ("trials: 4", "trials: 1"), name="derived")
    calls = []

    def killed(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        add_proposal(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(starting, "add_proposal", killed)
        with pytest.raises(KeyboardInterrupt):
            launch(derived, storage=url, executor=quick(), start=Start("tiny"))
    assert len(result_of(url, "derived").trials) == 2
    after = resume("derived", storage=url, executor=quick())
    assert [t.candidate.hash for t in after.trials[:4]] == [
        t.candidate.hash for t in result_of(url).trials
    ]
    assert after.started == {"study": "tiny", "baselines": False, "fates": {"reused": 4}}
    assert json.dumps(noted(url, "derived")[0]) == '{"from": "tiny", "inherited": true}'


def test_a_study_that_exists_does_not_begin_anew(write: Write, url: str) -> None:
    with pytest.raises(StudyError, match="exists and began otherwise"):
        launch(study_of(write), storage=url, executor=quick(), start=Start("tiny"))
    with pytest.raises(StudyError, match="no study 'huge'"):
        launch(study_of(write, name="new"), storage=url, executor=quick(), start=Start("huge"))
    storage = open_storage(url)
    assert db.find_study(storage, "new") is None
    storage.close()
