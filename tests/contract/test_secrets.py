"""A database's password stays with the orchestrator: no worker, record or message has it."""

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from sqlalchemy import select

from cimsearch.store import open_storage
from cimsearch.store.schema import metadata
from tests.commands import Background, cimsearch, is_worker
from tests.postgres import Server
from tests.studies import TINY_STUDY

pytestmark = pytest.mark.slow

SECRET = "tr0ub4dor"
"""What is searched for: the part of the password that is the same in a URL."""
PASSWORD = f"{SECRET}/&3 x"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """Give a server that asks for a password."""
    server = Server(mortal=True, password=PASSWORD)
    yield server
    server.close()


def with_password(url: str, password: str = PASSWORD) -> str:
    return url.replace("postgres@", f"postgres:{quote(password, safe='')}@")


@pytest.fixture
def url(guarded: Server) -> str:
    """Return an empty database's URL with the password in it."""
    return with_password(guarded.url(guarded.create_database()))


@pytest.fixture
def pass_file(tmp_path: Path) -> Path:
    """Return a file that gives libpq the password."""
    path = tmp_path / "pgpass"
    path.write_text(f"*:*:*:postgres:{PASSWORD}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def seen_by(process: psutil.Process) -> str:
    """Return the environment and the command line that a process was started with."""
    folder = Path("/proc") / str(process.pid)
    with suppress(FileNotFoundError, ProcessLookupError):
        return (folder / "environ").read_text() + (folder / "cmdline").read_text()
    return ""  # it has ended


def everything_in(url: str) -> str:
    """Return all that a database holds, as text."""
    with closing(open_storage(url, create=False)) as storage, storage.session.reading() as conn:
        tables = {t.name: conn.execute(select(t)).all() for t in metadata.sorted_tables}
    assert len(tables["evaluation"]) > 0
    assert len(tables["attempt"]) > 0
    return repr(tables)


def run_watched(folder: Path, environment: dict[str, str]) -> dict[str, set[int]]:
    """Run a study with two workers; return the processes that it started, by what they are.

    The password is looked for in each of them, as often as it takes to see all.
    """
    (folder / "tiny.yaml").write_text(TINY_STUDY, encoding="utf-8")
    running = Background(
        ["launch", "tiny.yaml", "--workers", "2"], folder, environment=environment
    )
    kinds = {"workers": set[int](), "others": set[int]()}
    while running.process.poll() is None:
        for child in psutil.Process(running.process.pid).children(recursive=True):
            text = seen_by(child)
            if SECRET in text:
                # Between fork and exec a process has what its parent has, but not for long.
                time.sleep(1.0)
                text = seen_by(child)
            assert SECRET not in text
            # What every worker has in its environment: it is the right text that is searched.
            worker = is_worker(child)
            assert not worker or "OMP_NUM_THREADS=1" in text
            kinds["workers" if worker else "others"].add(child.pid)
        time.sleep(0.05)
    assert running.finish() == 0, running.text()
    return kinds


def test_no_worker_and_no_record_has_the_password(
    url: str, pass_file: Path, tmp_path: Path
) -> None:
    in_file = {
        "CIMSEARCH_STORAGE": url.replace(f":{quote(PASSWORD, safe='')}@", "@"),
        "PGPASSFILE": str(pass_file),
    }
    in_url = {"CIMSEARCH_STORAGE": url, "PGPASSWORD": PASSWORD}
    # Every place where a password may be, at once.
    kinds = run_watched(tmp_path, in_file | in_url)
    assert len(kinds["workers"]) >= 2
    assert kinds["others"]
    assert SECRET not in everything_in(url)
    told = [
        cimsearch(*verb, cwd=tmp_path, environment=environment, apart=True).stdout
        for verb, environment in (
            (["status", "tiny", "--json"], in_url),
            (["front", "tiny", "--json"], in_file),
            (["doctor"], in_url),
            (["doctor"], in_file),
        )
    ]
    assert SECRET not in "".join(told)
    pass_file.unlink()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"background.log", "tiny.html"} <= {path.name for path in written}
    for path in written:
        assert SECRET.encode() not in path.read_bytes(), path


def refused(verb: list[str], folder: Path, url: str) -> str:
    """Run a verb on a database that cannot be used, and return all that it says."""
    (folder / "tiny.yaml").write_text(TINY_STUDY, encoding="utf-8")
    code = 1 if verb == ["doctor"] else 4
    environment = {"CIMSEARCH_STORAGE": url}
    # In a process of its own, whose log is part of what it says.
    done = cimsearch(*verb, cwd=folder, expect=code, environment=environment, apart=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "verb", [["launch", "tiny.yaml"], ["status"], ["db", "check"], ["doctor"]], ids=" ".join
)
def test_message_of_a_wrong_password_does_not_have_it(
    verb: list[str], url: str, tmp_path: Path
) -> None:
    wrong = url.replace(SECRET, f"{SECRET}wrong")
    said = refused(verb, tmp_path, wrong)
    assert "authentication failed" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "verb",
    [
        ["launch", "tiny.yaml"],
        ["resume", "tiny"],
        ["db", "upgrade"],
        ["study", "export", "tiny", "tiny.cimstudy"],
    ],
    ids=" ".join,
)
def test_message_of_a_server_that_is_gone_does_not_have_it(
    verb: list[str], tmp_path: Path
) -> None:
    gone = with_password(f"postgresql+psycopg://postgres@/study?host={tmp_path}")
    said = refused(verb, tmp_path, gone)
    assert "cannot be reached" in said
    assert SECRET not in said
