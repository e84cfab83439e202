"""The server that the tests bring up: it keeps what it confirmed and leaves nothing behind."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.postgres import Server

ROOT = Path(__file__).parents[2]
START_AND_DIE = """
import os
from tests.postgres import Server
server = Server()
print(server.directory, server.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def connect(server: Server) -> "psycopg.Connection[tuple[int]]":
    return psycopg.connect(host=str(server.directory), user="postgres", dbname="postgres")


def wait_until_gone(directory: Path) -> None:
    end = time.monotonic() + 30
    while directory.exists():
        assert time.monotonic() < end, "its files are still there"
        time.sleep(0.02)


def test_killed_server_keeps_what_it_confirmed(mortal_postgres: Server) -> None:
    for n in range(3):
        with connect(mortal_postgres) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (n integer)")
            connection.execute("INSERT INTO kept VALUES (%s)", [n])
        mortal_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            connect(mortal_postgres)
        mortal_postgres.start()
    with connect(mortal_postgres) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(0,), (1,), (2,)]


def test_server_ends_with_the_process_that_started_it() -> None:
    died = subprocess.run([sys.executable, "-c", START_AND_DIE], cwd=ROOT, capture_output=True)
    directory, pid = died.stdout.decode().split()
    wait_until_gone(Path(directory))
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == "zombie"


def test_closing_removes_the_files_also_of_a_killed_server() -> None:
    server = Server()
    server.kill()
    server.close()
    assert not server.directory.exists()


def test_programs_out_of_reach_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **extra: object) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.CompletedProcess([], 1)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", refuse)
        patch.setattr(Server, "_init", lambda _: None)
        patch.setattr(Server, "start", lambda _: None)
        server = Server()
    assert (server.directory / "software").is_dir()
    server._init()
    server.start()
    server.execute("SELECT 1")
    server.close()


def test_server_with_a_password_asks_for_it() -> None:
    server = Server(password="a secret")
    server.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        connect(server)
    server.close()
