"""SQLite on a network file system: found, and used by one process at a time."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cimsearch.errors import StorageError
from cimsearch.store import filesystem, open_storage, upgrade
from cimsearch.store.filesystem import file_system_of, network_type
from cimsearch.store.records import add_trial, trial_rows
from tests.unit.store.builders import new_study, new_trial

ROOT = Path(__file__).parents[3]
MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
30 27 0:40 / /home rw,relatime shared:9 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/local rw,relatime - xfs /dev/vdb rw
32 27 0:42 / /mnt/with\040space rw - cifs //server/share rw
33 27 0:43 / /scratch rw - lustre mgs@tcp:/scratch rw
34 27 0:44 / /over rw - nfs server:/over rw
35 27 0:45 / /over rw - tmpfs tmpfs rw
36 27 0:46 / /odd rw,relatime
"""
OPEN = """
import sys
from pathlib import Path
from cimsearch.store import filesystem, open_storage
filesystem.MOUNTS = Path(sys.argv[2])
storage = open_storage(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/tmp/a.db", "ext4"),
        ("/home/me/a.db", "nfs4"),
        ("/home", "nfs4"),
        ("/homely/a.db", "ext4"),
        ("/home/local/a.db", "xfs"),
        ("/mnt/with space/a.db", "cifs"),
        ("/scratch/run/a.db", "lustre"),
        ("/over/a.db", "tmpfs"),
        ("/odd/a.db", "ext4"),
    ],
)
def test_longest_mount_point_counts_and_of_equal_ones_the_last(path: str, found: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == found


def test_nothing_is_known_without_a_list() -> None:
    assert file_system_of(Path("/tmp"), "") is None


def test_link_into_a_network_file_system_is_followed(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(network)
    assert network_type(tmp_path / "link" / "a.db") == "nfs4"
    assert network_type(tmp_path / "a.db") != "nfs4"
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "absent")
    assert network_type(network / "a.db") is None


def test_folder_is_looked_up_after_it_was_mounted(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts, resolve = tmp_path / "mounts", Path.resolve
    automounter = mounts.read_text().replace("nfs4", "autofs")

    def mounting(path: Path, strict: bool = False) -> Path:
        mounts.write_text(automounter + automounter.replace("autofs", "nfs4"))
        return resolve(path, strict)

    mounts.write_text(automounter)
    monkeypatch.setattr(Path, "resolve", mounting)
    assert network_type(network / "a.db") == "nfs4"


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is said to be on a network file system."""
    folder = tmp_path / "network"
    folder.mkdir()
    mounts = f"1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / {folder} rw - nfs4 server:/x rw\n"
    (tmp_path / "mounts").write_text(mounts)
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "mounts")
    return folder


def opened_elsewhere(url: str, network: Path) -> "subprocess.Popen[str]":
    """Open a database in another process, which keeps it open until it is sent a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN, url, str(network.parent / "mounts")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_one_process_works_with_a_rollback_journal(network: Path) -> None:
    url = f"sqlite:///{network / 'a.db'}"
    storage = open_storage(url)
    study_id = new_study(storage)
    add_trial(storage, study_id, new_trial(), evaluation=None, finished=None)
    with storage.session.reading() as conn:
        modes = [
            conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "locking_mode", "foreign_keys", "synchronous")
        ]
    assert modes == ["delete", "exclusive", 1, 2]
    assert [p.name for p in network.iterdir() if "wal" in p.name or "shm" in p.name] == []
    storage.close()
    again = open_storage(url)
    assert len(trial_rows(again, study_id)) == 1
    again.close()


def test_second_process_is_refused_with_the_server_as_the_way_out(network: Path) -> None:
    url = f"sqlite:///{network / 'a.db'}"
    process = opened_elsewhere(url, network)
    for call in (lambda: open_storage(url), lambda: upgrade(url)):
        with pytest.raises(StorageError, match="on a network file system") as caught:
            call()
        assert "(nfs4)" in caught.value.message
        assert "another has it open" in caught.value.message
        assert "postgresql+psycopg://" in caught.value.hint
    process.communicate("\n", timeout=60)
    storage = open_storage(url)
    new_study(storage)
    storage.close()


def test_forgotten_storage_gives_the_file_free(network: Path) -> None:
    url = f"sqlite:///{network / 'a.db'}"
    open_storage(url)
    open_storage(url).close()


def test_database_made_on_a_local_disk_gives_up_its_write_ahead_log(
    network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = network / "a.db"
    with monkeypatch.context() as local:
        local.setattr(filesystem, "MOUNTS", network / "absent")
        storage = open_storage(f"sqlite:///{path}")
        study_id = new_study(storage)
        storage.close()
    storage = open_storage(f"sqlite:///{path}")
    assert trial_rows(storage, study_id) == []
    storage.close()
    conn = sqlite3.connect(path)
    assert conn.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    conn.close()
