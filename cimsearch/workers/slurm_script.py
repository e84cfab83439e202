"""The batch script of an orchestrator: login nodes end long processes, jobs have a wall time."""

import math
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from cimsearch.errors import UsageError
from cimsearch.spec import Study
from cimsearch.spec.execution import Slurm
from cimsearch.workers.slurm import EXAMPLE

_PASSWORDS = ("password", "sslpassword")
_LEAST_WARNING_S = 300
_CLOSING_S = 120
"""Seconds from the last trial to the end: what is to be recorded, the worker jobs to cancel."""


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """What the orchestrator's job runs.

    Attributes:
        study: The study.
        named: How ``launch`` is given it: a catalogue name, or an absolute path.
        storage: Database URL.
        workers: How many workers; the study's own number if None.
        data: Where the data lies, if not where the study says.
        folder: Where it runs, and puts its report.
    """

    study: Study
    named: str
    storage: str
    workers: int | None
    data: str | None
    folder: Path


def batch_script(job: Orchestrator) -> str:
    """Return the script.

    Raises:
        UsageError: The study does not say what Slurm is to be asked for, or waits longer for its
            running trials than a job lasts; or the database cannot be named in a script.
    """
    slurm = job.study.spec.cluster.slurm
    if slurm is None:
        raise UsageError(
            f"study {job.study.name!r} does not say what Slurm is to be asked for",
            f"add to it: {EXAMPLE}",
        )
    url = database_of(job.storage, job.folder)
    fields = {
        "name": job.study.name,
        "directives": "\n".join(f"#SBATCH {line}" for line in _directives(slurm)),
        "warning_s": _warning_s(job.study, slurm),
        "folder": shlex.quote(str(job.folder)),
        "setup": "\n".join([*slurm.setup, *_password_file(url), "export PYTHONUNBUFFERED=1"]),
        "command": " \\\n    ".join(_command(job, url)),
    }
    return _SCRIPT % fields


def database_of(storage: str, folder: Path) -> URL:
    """Return the URL of a database for another machine: a SQLite file has its whole path.

    Args:
        storage: The URL.
        folder: What a relative path starts from.

    Raises:
        UsageError: It is no URL, holds a password, or is a database in memory.
    """
    try:
        url = make_url(storage)
    except ArgumentError as error:
        raise UsageError("--storage: not a database URL") from error
    if url.password is not None or not url.query.keys().isdisjoint(_PASSWORDS):
        bare = url._replace(password=None).difference_update_query(_PASSWORDS)
        raise UsageError(
            "--storage: found a password in the URL; others can read a script and a command line",
            f"write {url.host}:{url.port or 5432}:{url.database}:{url.username}:PASSWORD into "
            "~/.pgpass (or the file that PGPASSFILE names), `chmod 600` it, "
            f"and give {bare.render_as_string()}",
        )
    if url.get_backend_name() != "sqlite":
        return url
    if url.database in (None, "", ":memory:"):
        raise UsageError("--storage: a database in memory ends with the job", "give a file")
    return url.set(database=str((folder / str(url.database)).absolute()))


def _warning_s(study: Study, slurm: Slurm) -> int:
    """Return how long before the wall time the orchestrator has to stop."""
    warning_s = max(_LEAST_WARNING_S, math.ceil(study.spec.limits.drain_s) + _CLOSING_S)
    if warning_s > slurm.wall_time_s / 2:
        raise UsageError(
            f"study {study.name!r}: limits.drain_s = {study.spec.limits.drain_s:g} leaves nothing "
            f"of cluster.slurm.wall_time = {slurm.wall_time}",
            "wait less for running trials, or ask for longer jobs",
        )
    return warning_s


def _directives(slurm: Slurm) -> list[str]:
    given = {"partition": slurm.partition, "account": slurm.account, "qos": slurm.qos}
    return [
        f"--time={slurm.wall_time}",
        *(f"--{name}={value}" for name, value in given.items() if value),
    ]


def _password_file(url: URL) -> list[str]:
    file = os.environ.get("PGPASSFILE")
    if url.get_backend_name() != "postgresql" or not file:
        return []
    return [f"export PGPASSFILE={shlex.quote(str(Path(file).absolute()))}"]


def _command(job: Orchestrator, url: URL) -> list[str]:
    python = shlex.quote(sys.executable)
    words = [
        f"{python} -m cimsearch launch {shlex.quote(job.named)}",
        "--cluster slurm",
        f"--storage {shlex.quote(url.render_as_string(hide_password=False))}",
    ]
    if job.workers is not None:
        words.append(f"--workers {job.workers}")
    if job.data is not None:
        words.append(f"--data {shlex.quote(job.data)}")
    return words


_SCRIPT = """\
#!/bin/bash
# The orchestrator of the study %(name)s: it proposes trials, asks Slurm for workers, and records
# what they find. Before its wall time it stops, goes back into the queue, and later goes on where
# it was. `cimsearch slurm` wrote this; the lines are yours to change.
#
#   sbatch THIS_FILE                 start it, or go on with the study at any time
#   scancel JOB                      stop it: what is recorded stays
#
#SBATCH --job-name=cimsearch-%(name)s
#SBATCH --output=cimsearch-%(name)s-%%j.log
# A job that is started again goes on with its log.
#SBATCH --open-mode=append
# It trains nothing itself.
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
%(directives)s
# Start it again if its node fails, and when the last lines of this script ask for it.
#SBATCH --requeue
# Tell this shell so many seconds before the wall time.
#SBATCH --signal=B:USR1@%(warning_s)s

cd -- %(folder)s || exit 1
%(setup)s

%(command)s &
orchestrator=$!

# SIGTERM lets the orchestrator wait for running trials, record them, and end.
wall_time_is_near=
heard=
stop() {
    heard=yes
    kill -TERM "$orchestrator" 2>/dev/null
}
trap 'wall_time_is_near=yes; stop' USR1
trap stop TERM

# A signal ends `wait` before its time.
while :; do
    heard=
    wait "$orchestrator"
    code=$?
    [ -z "$heard" ] && break
done

# 0: the study has finished. 130 (or 143, if it was still starting): it was told to stop.
if [ -n "$wall_time_is_near" ] && { [ "$code" -eq 130 ] || [ "$code" -eq 143 ]; }; then
    echo "the wall time is near: back into the queue"
    scontrol requeue "$SLURM_JOB_ID" && exit 0
    echo "Slurm does not start it again; go on with sbatch and the same script"
fi
exit "$code"
"""
