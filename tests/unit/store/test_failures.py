"""A database that fails while it is used: one clear line, nothing half-written, and then on."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cimsearch.errors import ExitCode, StorageError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.check import check_database
from cimsearch.store.records import (
    add_trial,
    attempts,
    finish_evaluation,
    front_events,
    start_attempt,
    take_lease,
    trial_rows,
)
from tests.unit.store.builders import complete, new_evaluation, new_study, new_trial


def refusal(call: Callable[[], object]) -> StorageError:
    with pytest.raises(StorageError) as caught:
        call()
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == ExitCode.STORAGE
    return caught.value


def add(storage: CimStorage, study_id: int, k: int) -> int:
    """Add a trial that is running, and return its evaluation."""
    ids = add_trial(storage, study_id, new_trial(k), evaluation=new_evaluation(), finished=None)
    assert ids.evaluation_id is not None
    start_attempt(storage, ids.evaluation_id, token=f"t{k}", worker="w")
    return ids.evaluation_id


def finish(storage: CimStorage, evaluation_id: int, k: int, score: str = "{}") -> bool:
    return finish_evaluation(
        storage, evaluation_id, token=f"t{k}", score=score, fail_reason=None, tell=complete()
    )


def fill(storage: CimStorage, study_id: int) -> tuple[int, StorageError]:
    """Add trials until that fails; return how many were added, and the failure."""
    for k in range(100_000):
        try:
            add_trial(
                storage,
                study_id,
                new_trial(k, user_attrs={"note": "x" * 2000}),
                evaluation=None,
                finished=complete(),
            )
        except StorageError as error:
            return k, error
    raise AssertionError("the disk never got full")


def test_full_disk_is_told_and_what_was_recorded_stays(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    storage = open_storage(url)
    study_id = new_study(storage)
    evaluation_id = add(storage, study_id, 0)
    before = trial_rows(storage, study_id), attempts(storage, evaluation_id)
    with storage.session.reading() as conn:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    error = refusal(lambda: finish(storage, evaluation_id, 0, score=f'"{"x" * 100_000}"'))
    assert error.message == f"no room is left for the database {tmp_path / 'a.db'}"
    assert "cimsearch resume" in error.hint
    assert (trial_rows(storage, study_id), attempts(storage, evaluation_id)) == before
    assert front_events(storage, study_id) == []
    with storage.session.reading() as conn:
        conn.exec_driver_sql("PRAGMA max_page_count = 100000")
    assert finish(storage, evaluation_id, 0, score=f'"{"x" * 100_000}"')
    storage.close()


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk of 1 MB on a folder, where that is allowed; tell whether it was."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(command).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_that_is_emptied_is_worked_on(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with small_disk(folder) as mounted:
        # Where nothing may be mounted, the test above stands alone.
        if mounted:
            fill_and_go_on(folder)
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
            error = refusal(lambda: open_storage(f"sqlite:///{folder / 'a.db'}", create=False))
            assert error.message.endswith("a.db: its file system is read-only")


def fill_and_go_on(folder: Path) -> None:
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(300_000))
    url = f"sqlite:///{folder / 'a.db'}"
    storage = open_storage(url)
    study_id = new_study(storage)
    added, error = fill(storage, study_id)
    assert error.message == f"no room is left for the database {folder / 'a.db'}"
    assert added > 10
    assert len(trial_rows(storage, study_id)) == added
    # Nor can a database be opened anew for writing, or made.
    refusal(lambda: open_storage(f"sqlite:///{folder / 'b.db'}"))
    ballast.unlink()
    ids = add_trial(storage, study_id, new_trial(), evaluation=None, finished=complete())
    assert ids.number == added
    storage.close()
    fresh = open_storage(url)
    assert [row.number for row in trial_rows(fresh, study_id)] == list(range(added + 1))
    with fresh.session.reading() as conn:
        assert conn.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    fresh.close()


@contextmanager
def without_privileges() -> Iterator[None]:
    """Give up root's right to ignore permissions for a while."""
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(uid)


def test_read_only_file_is_read_and_not_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), Path(name) / "a.db"
        storage = open_storage(f"sqlite:///{path}")
        study_id = new_study(storage)
        add(storage, study_id, 0)
        storage.close()
        folder.chmod(0o777)
        path.chmod(0o444)
        with without_privileges():
            reader = open_storage(f"sqlite:///{path}", create=False)
            assert len(trial_rows(reader, study_id)) == 1
            error = refusal(lambda: add(reader, study_id, 1))
            assert error.message == f"the database {path} cannot be written: it is read-only"
            refusal(lambda: take_lease(reader, study_id, owner="x", seconds=60))
            assert len(trial_rows(reader, study_id)) == 1
            reader.close()
        path.chmod(0o666)
        storage = open_storage(f"sqlite:///{path}")
        add(storage, study_id, 1)
        storage.close()


def test_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    storage = open_storage(f"sqlite:///{path}")
    study_id = new_study(storage)
    for k in range(30):
        add(storage, study_id, k)
    storage.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 8192))
    error = refusal(lambda: check_database(f"sqlite:///{path}"))
    assert f"the database {path} is damaged" in error.message
