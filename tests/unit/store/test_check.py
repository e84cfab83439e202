"""The check of a database: a whole one passes, and each kind of fault is found and named."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cimsearch import pareto
from cimsearch.cli import cli
from cimsearch.errors import ExitCode, StorageError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.check import CheckReport, check_database
from cimsearch.store.records import (
    Direction,
    FrontChange,
    add_evaluation,
    add_trial,
    create_study,
    finish_evaluation,
    start_attempt,
    take_lease,
)
from tests.unit.store.builders import complete, failed, new_evaluation, new_trial

DIRECTIONS: tuple[Direction, ...] = ("maximize", "minimize")
REFERENCE = (0.1, 10.0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


@pytest.fixture
def storage(url: str) -> Iterator[CimStorage]:
    opened = open_storage(url)
    yield opened
    opened.close()


def share(*points: tuple[float, float]) -> float:
    return pareto.share_of(points, DIRECTIONS, REFERENCE)


def small_study(storage: CimStorage) -> int:
    """Make a study whose second trial drives the first from the front; two more are not on it."""
    study_id = create_study(
        storage,
        name="study",
        directions=DIRECTIONS,
        spec_hash=None,
        user_attrs={"reference": list(REFERENCE)},
    )
    add_evaluation(storage, study_id, new_evaluation("base", role="baseline"))
    tells = (
        complete(0.5, 4.0, hypervolume=share((0.5, 4.0))),
        complete(
            0.6,
            3.0,
            front=(FrontChange(1, "remove"), FrontChange(None, "add")),
            hypervolume=share((0.6, 3.0)),
        ),
        complete(0.4, 5.0, front=(), hypervolume=share((0.6, 3.0))),
        failed("poison"),
    )
    for k, tell in enumerate(tells):
        ids = add_trial(
            storage, study_id, new_trial(k), evaluation=new_evaluation(str(k)), finished=None
        )
        assert ids.evaluation_id is not None
        start_attempt(storage, ids.evaluation_id, token=f"t{k}", worker="w")
        finish_evaluation(
            storage,
            ids.evaluation_id,
            token=f"t{k}",
            score="{}" if tell.state == "complete" else None,
            fail_reason=tell.fail_reason,
            tell=tell,
        )
    # An infeasible trial beats all, but was never trained.
    beats = complete(0.9, 1.0, front=(), hypervolume=None)
    add_trial(storage, study_id, new_trial(4), evaluation=None, finished=beats)
    return study_id


def problems(report: CheckReport) -> list[str]:
    assert {f.study for f in report.findings} <= {"study", None}
    return [f.text for f in report.findings if f.kind == "problem"]


def test_whole_database_passes(storage: CimStorage, url: str) -> None:
    assert check_database(url) == CheckReport(True, 0, 0, ())
    small_study(storage)
    assert check_database(url) == CheckReport(True, 1, 5, ())


def test_attempts_that_nobody_looks_after_are_a_warning(storage: CimStorage, url: str) -> None:
    study_id = small_study(storage)
    start_attempt(storage, 1, token="running", worker="w")
    report = check_database(url)
    assert report.ok
    assert [(f.kind, f.study) for f in report.findings] == [("warning", "study")]
    assert "1 of its attempts are running" in report.findings[0].text
    take_lease(storage, study_id, owner="host:1", seconds=60)
    assert check_database(url).findings == ()
    take_lease(storage, study_id, owner="host:1", seconds=-1)
    assert len(check_database(url).findings) == 1


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("UPDATE study SET n_trials = 6", ["numbers below 6, but see [5]"]),
        (
            "UPDATE trial SET number = 9 WHERE number = 2",
            ["its trials should have the numbers below 5, but see [2, 9]"],
        ),
        (
            'UPDATE trial SET "values" = NULL WHERE number = 2',
            ["trial 2 is complete without 2 values"],
        ),
        (
            "UPDATE trial SET \"values\" = '[0.4' WHERE number = 2",
            ["trial 2 is complete without 2 values"],
        ),
        (
            "UPDATE trial SET state = 'running' WHERE number = 2",
            ["trial 2 is running, but its evaluation is done"],
        ),
        (
            "UPDATE evaluation SET score = NULL WHERE label LIKE '% 2'",
            ["evaluation 4 is done without a score"],
        ),
        (
            "UPDATE evaluation SET fail_reason = NULL WHERE state = 'failed'",
            ["evaluation 5 has failed without a reason"],
        ),
        (
            "UPDATE attempt SET state = 'running' WHERE token = 't2'",
            ["evaluation 4 is done, but 1 attempts at it are running"],
        ),
        (
            "UPDATE evaluation SET state = 'running' WHERE role = 'baseline'",
            ["evaluation 1 is running, but 0 attempts at it are running"],
        ),
        (
            "INSERT INTO attempt (evaluation_id, n, token, worker, state, started) "
            "SELECT evaluation_id, 2, 'twice', worker, state, started FROM attempt WHERE id = 1",
            ["evaluation 2 is done, but 2 results of it were applied"],
        ),
        ("DELETE FROM front_event WHERE seq = 3", ["front of rung 0 lacks the trials 1"]),
        (
            "DELETE FROM front_event WHERE seq = 2",
            ["front of rung 0 should not have the trials 0"],
        ),
        (
            "DELETE FROM front_event WHERE seq = 1",
            [
                "front event 2: trial id 1 leaves, but is not on it",
                "front of rung 0 should not have the trials 0",
            ],
        ),
        (
            "UPDATE front_event SET hypervolume = 0.25 WHERE seq = 3",
            ["the hypervolume recorded for rung 0 is 0.25, but it is 0."],
        ),
        (
            "UPDATE study SET user_attrs = '{\"reference\":[0.1]}'",
            ["its reference point is [0.1]"],
        ),
        (
            "UPDATE study SET user_attrs = '{\"reference\":[1.0,9.0]}'",
            ["its reference point is [1.0, 9.0]"],
        ),
        (
            "UPDATE study SET user_attrs = '{\"reference\":[0.1'",
            ["its record cannot be read: "],
        ),
        ("UPDATE study SET user_attrs = '[]'", ["its record cannot be read: "]),
        (
            "DELETE FROM trial WHERE number = 4; UPDATE study SET n_trials = 4; "
            "UPDATE trial SET promoted_from = 77 WHERE number = 0",
            ["trial: row 1 refers to no row of trial"],
        ),
    ],
)
def test_fault_is_found(storage: CimStorage, url: str, fault: str, found: list[str]) -> None:
    small_study(storage)
    conn = sqlite3.connect(url.removeprefix("sqlite:///"))
    conn.executescript(fault)
    conn.close()
    report = check_database(url)
    assert not report.ok
    texts = problems(report)
    assert len(texts) == len(found)
    for text, part in zip(texts, found, strict=True):
        assert part in text


def test_server_is_checked_too(postgres_url: str) -> None:
    storage = open_storage(postgres_url)
    small_study(storage)
    assert check_database(postgres_url) == CheckReport(True, 1, 5, ())
    with storage.session.writing() as conn:
        conn.exec_driver_sql("UPDATE evaluation SET score = NULL WHERE id = 2")
    assert problems(check_database(postgres_url)) == ["evaluation 2 is done without a score"]
    storage.close()


def test_database_that_is_not_there_is_told(url: str) -> None:
    with pytest.raises(StorageError, match="no cimsearch database"):
        check_database(url)


def test_verb_prints_what_it_found_and_fails(storage: CimStorage, url: str) -> None:
    small_study(storage)

    def run(*options: str) -> tuple[int, str]:
        done = CliRunner().invoke(
            cli, ["db", "check", "--storage", url, *options], standalone_mode=False
        )
        return done.return_value, done.output

    assert run() == (ExitCode.OK, "1 studies with 5 trials: whole\n")
    with storage.session.writing() as conn:
        conn.exec_driver_sql("UPDATE evaluation SET score = NULL WHERE id = 2")
    code, text = run()
    assert code == ExitCode.FAILED
    assert text == (
        "problem: study 'study': evaluation 2 is done without a score\n"
        "1 studies with 5 trials: NOT whole\n"
    )
    code, text = run("--json")
    assert code == ExitCode.FAILED
    assert json.loads(text) == {
        "ok": False,
        "studies": 1,
        "trials": 5,
        "findings": [
            {
                "kind": "problem",
                "study": "study",
                "text": "evaluation 2 is done without a score",
            }
        ],
    }
