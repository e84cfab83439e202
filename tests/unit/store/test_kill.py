"""A writer killed at any moment leaves each trial whole or absent, and loses no reported one."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import (
    attempts,
    evaluations,
    front_events,
    layer_costs,
    recover,
    trial_rows,
)
from tests.unit.store.builders import LAYERS, new_study

KILLS = 5


def kill_a_writer(url: str, delay_s: float) -> list[str]:
    """Start a writer, kill it some time after its first trial, and return the lines it printed."""
    command = [sys.executable, "-m", "tests.unit.store.writer", url]
    root = Path(__file__).parents[3]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(delay_s)
    process.kill()
    rest = process.stdout.read()
    assert process.wait(30) == -signal.SIGKILL
    process.stdout.close()
    # The last line may have been cut in two.
    return (first + rest).split("\n")[:-1]


def check_whole(storage: CimStorage, study_id: int) -> None:
    """Check that the tables agree with each other about every trial."""
    rows = trial_rows(storage, study_id)
    by_id = {e.id: e for e in evaluations(storage, study_id)}
    on_front = [event.trial_id for event in front_events(storage, study_id)]
    assert [r.number for r in rows] == list(range(len(rows)))
    assert len(by_id) == len(rows)
    for row in rows:
        evaluation = by_id[row.evaluation_id or 0]
        tries = [a.state for a in attempts(storage, evaluation.id)]
        assert tuple(layer_costs(storage, evaluation.id)) == LAYERS
        if row.state == "complete":
            assert row.values == (0.9, 3.75)
            assert (evaluation.state, evaluation.score, tries) == ("done", "{}", ["done"])
            assert on_front.count(row.trial_id) == 1
        else:
            assert row.state == "running"
            assert (evaluation.state, tries) in [("pending", []), ("running", ["running"])]
            assert row.trial_id not in on_front


def test_killed_writer_leaves_every_trial_whole_or_absent(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    storage = open_storage(url)
    study_id = new_study(storage)
    rng = np.random.default_rng(0)
    for _ in range(KILLS):
        reported = kill_a_writer(url, float(rng.uniform(0.02, 0.3)))
        fresh = open_storage(url)
        check_whole(fresh, study_id)
        states = {r.number: r.state for r in trial_rows(fresh, study_id)}
        for line in reported:
            verb, number = line.split()
            assert int(number) in states
            assert verb == "added" or states[int(number)] == "complete"
        with fresh.session.reading() as conn:
            assert conn.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            n_trials = conn.exec_driver_sql("SELECT n_trials FROM study").scalar()
        assert n_trials == len(states)
        assert trial_rows(storage, study_id) == trial_rows(fresh, study_id)
        fresh.close()
    running = [r for r in trial_rows(storage, study_id) if r.state == "running"]
    assert [e.trial_id for e in recover(storage, study_id)] == [r.trial_id for r in running]
    storage.close()
