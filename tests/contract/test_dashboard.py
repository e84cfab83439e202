"""optuna-dashboard shows a study of ours, asked over HTTP as its pages ask it."""

import csv
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from optuna_dashboard import wsgi

import cimsearch
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import find_study, trial_rows
from tests.databases import copy_rows

Ask = Callable[..., Any]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing about requests."""


@pytest.fixture
def storage(finished_study: Path, database_url: str) -> Iterator[CimStorage]:
    """Give the finished study in a database that the dashboard may write to."""
    with closing(open_storage(database_url)) as opened:
        copy_rows(f"sqlite:///{finished_study / 'cimsearch.db'}", opened)
        yield opened


@pytest.fixture
def study_id(storage: CimStorage) -> int:
    row = find_study(storage, "tiny")
    assert row is not None
    return row.id


@pytest.fixture
def result(storage: CimStorage, study_id: int) -> StudyResult:
    return read_result(storage, study_id)


@pytest.fixture
def ask(storage: CimStorage) -> Iterator[Ask]:
    """Serve the dashboard, and return a function that sends it a request."""
    with make_server("127.0.0.1", 0, wsgi(storage), handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()

        def send(path: str, method: str = "GET", body: Any = None) -> Any:
            request = Request(
                f"http://127.0.0.1:{server.server_port}{path}",
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
            )
            with urlopen(request, timeout=60) as answer:
                text = answer.read().decode()
                kind = answer.headers.get_content_type()
            return json.loads(text) if kind == "application/json" and text else text

        yield send
        server.shutdown()
        thread.join()


def test_studies_are_listed(ask: Ask, study_id: int) -> None:
    (listed,) = ask("/api/studies")["study_summaries"]
    assert (listed["study_id"], listed["study_name"]) == (study_id, "tiny")
    assert listed["directions"] == ["maximize", "minimize", "minimize"]


def test_trials_are_shown_as_they_are(ask: Ask, study_id: int, result: StudyResult) -> None:
    shown = ask(f"/api/studies/{study_id}")
    assert [t["number"] for t in shown["trials"]] == [t.number for t in result.trials]
    for found, trial in zip(shown["trials"], result.trials, strict=True):
        assert found["state"] == "Complete"
        assert found["values"] == list(trial.objectives.values())
        assert {p["name"] for p in found["params"]} >= set(trial.genes)
    assert {t["number"] for t in shown["best_trials"]} == {t.number for t in result.front}
    later = ask(f"/api/studies/{study_id}?after=2")
    assert [t["number"] for t in later["trials"]] == [t.number for t in result.trials[2:]]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_plots_are_drawn(ask: Ask, study_id: int) -> None:
    for kind in ("slice", "parallel_coordinate", "edf", "timeline", "pareto_front"):
        assert ask(f"/api/studies/{study_id}/plot/{kind}")["data"], kind


def test_importances(ask: Ask, study_id: int) -> None:
    found = ask(f"/api/studies/{study_id}/param_importances")["param_importances"]
    assert len(found) == 3
    assert all(one["importance"] >= 0 for objective in found for one in objective)


def test_table_is_downloaded(ask: Ask, study_id: int, result: StudyResult) -> None:
    table = list(csv.DictReader(StringIO(ask(f"/csv/{study_id}"))))
    assert [int(row["Number"]) for row in table] == [t.number for t in result.trials]
    accuracy = [float(row["Objective 0"]) for row in table]
    assert accuracy == [t.objectives["accuracy"] for t in result.trials]


def test_notes_are_kept_and_change_no_trial(
    ask: Ask, study_id: int, storage: CimStorage, result: StudyResult
) -> None:
    before = trial_rows(storage, study_id)
    ask(f"/api/studies/{study_id}/note", "PUT", {"version": 1, "body": "a note"})
    note = {"version": 1, "body": "a note on a trial"}
    ask(f"/api/studies/{study_id}/{before[0].trial_id}/note", "PUT", note)
    shown = ask(f"/api/studies/{study_id}")
    assert shown["note"]["body"] == "a note"
    assert shown["trials"][0]["note"]["body"] == "a note on a trial"
    assert trial_rows(storage, study_id) == before
    assert read_result(storage, study_id).front == result.front


def test_finished_trial_cannot_be_told_again(ask: Ask, study_id: int, storage: CimStorage) -> None:
    before = trial_rows(storage, study_id)
    with pytest.raises(HTTPError):
        ask(f"/api/trials/{before[0].trial_id}/tell", "POST", {"state": "Fail"})
    assert trial_rows(storage, study_id) == before


def test_study_is_deleted_as_a_whole(ask: Ask, study_id: int, storage: CimStorage) -> None:
    ask(f"/api/studies/{study_id}", "DELETE", {})
    assert ask("/api/studies")["study_summaries"] == []
    assert find_study(storage, "tiny") is None


def test_open_storage_of_the_api_is_what_it_takes(finished_study: Path) -> None:
    url = f"sqlite:///{finished_study / 'cimsearch.db'}"
    with closing(cimsearch.open_storage(url)) as opened:
        assert wsgi(opened)
