"""Exporting a study while it runs, and an import that is killed."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from cimsearch.spec import Study
from cimsearch.store import open_storage
from cimsearch.store.archive_export import write_archive
from cimsearch.store.archive_import import read_archive
from cimsearch.store.records import (
    add_trial,
    evaluations,
    find_study,
    front_events,
    trial_rows,
)
from tests.unit.store.archives import counts, full_study, table_of
from tests.unit.store.builders import complete, new_evaluation, new_trial

IMPORT = """
import sys
from pathlib import Path
from cimsearch.store import open_storage
from cimsearch.store.archive_import import read_archive
url, path, name = sys.argv[1:]
storage = open_storage(url)
print("begun", flush=True)
read_archive(storage, Path(path), name=name)
"""


def test_study_that_is_running_is_written_as_it_was_at_one_moment(
    database_url: str, tiny_study: Study, tmp_path: Path
) -> None:
    study_id = full_study(open_storage(database_url), tiny_study)
    ended = Event()

    def run() -> int:
        storage, k = open_storage(database_url), 0
        while not ended.is_set():
            k += 1
            known = new_evaluation(f"new {k}", score="{}")
            tell = complete(0.5 + k / 10_000)
            add_trial(storage, study_id, new_trial(k), evaluation=known, finished=tell)
        storage.close()
        return k

    path, there = tmp_path / "a.cimstudy", open_storage("sqlite:///:memory:")
    sizes = []
    with ThreadPoolExecutor(1) as pool, closing(open_storage(database_url)) as storage:
        running = pool.submit(run)
        try:
            for k in range(8):
                write_archive(storage, study_id, path)
                found = read_archive(there, path, name=f"copy-{k}")
                sizes.append(len(trial_rows(there, found)))
                # Each of the trials came with its evaluation and its change of the front.
                assert len(evaluations(there, found)) == sizes[-1]
                assert len(front_events(there, found)) == sizes[-1] - 2
        finally:
            ended.set()
        assert running.result() > 0
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]
    there.close()


@pytest.mark.slow
def test_import_that_is_killed_leaves_nothing_or_all(tiny_study: Study, tmp_path: Path) -> None:
    own = open_storage("sqlite:///:memory:")
    study_id = full_study(own, tiny_study)
    for k in range(5, 1000):
        add_trial(own, study_id, new_trial(k), evaluation=None, finished=complete())
    path, url = tmp_path / "a.cimstudy", f"sqlite:///{tmp_path / 'there.db'}"
    write_archive(own, study_id, path)
    there, rng = open_storage(url), np.random.default_rng(0)
    kills = 0
    for k in range(4):
        name = f"copy-{k}"
        process = subprocess.Popen(
            [sys.executable, "-c", IMPORT, url, str(path), name], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        with suppress(subprocess.TimeoutExpired):
            process.wait(float(rng.uniform(0.0, 0.8)))
        process.kill()
        process.stdout.close()
        kills += process.wait(30) == -signal.SIGKILL
        found = find_study(there, name)
        before = counts(there)
        if found is not None:
            assert table_of(there, found.id)["trials"][-1].number == 999
            there.delete_study(found.id)
        assert {counts(there)[table] for table in ("study", "trial", "evaluation")} == {0}
        assert before["trial"] == (0 if found is None else 1000)
    assert kills > 0
    there.close()
