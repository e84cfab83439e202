"""What the script of a worker's job says, and that its shell does it."""

import os
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cimsearch.spec.execution import Slurm
from cimsearch.workers.environment import worker_environment
from cimsearch.workers.slurm_jobs import WorkerJob, job_environment, options_of
from tests.fake_slurm import directives

PLAIN = Slurm(memory_gb=4, wall_time="04:00:00")
WHOLE = Slurm(
    memory_gb=8.5,
    wall_time="1-00:00:00",
    cores=2,
    gpus=1,
    partition="gpu",
    account="lab-42",
    qos="normal",
    interface="ib0",
    scratch="$NODE_DISK/cim search",
    setup=("export FROM_SETUP='a b'", "export LATE_TOKEN=x"),
    directives=("--constraint=avx2",),
)


def script_of(slurm: Slurm, python: str = "", **resources: float) -> str:
    options = options_of(slurm, resources)
    if python:
        options["python"] = shlex.quote(python)
    made: Any = WorkerJob
    return str(made("tcp://10.0.0.1:8786", name="cimsearch-0", **options).job_script())


@pytest.mark.parametrize("slurm", [PLAIN, WHOLE])
def test_the_script_is_one_that_bash_reads(slurm: Slurm) -> None:
    script = script_of(slurm, GPU=1)
    assert script.startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    # Slurm reads no directive behind the first command.
    assert len(directives(script)) == sum(
        len(shlex.split(line)) - 1 for line in script.splitlines() if line.startswith("#SBATCH")
    )


def test_a_plain_job_asks_for_no_more_than_it_needs() -> None:
    assert directives(script_of(PLAIN)) == [
        *("-J", "cimsearch-worker", "-n", "1", "--cpus-per-task=1", "--mem=3815M"),
        *("-t", "04:00:00", "--output=slurm-logs/worker-%j.log", "--no-requeue"),
    ]


def test_a_job_asks_for_what_the_study_says() -> None:
    asked = directives(script_of(WHOLE))
    for words in (
        ["-p", "gpu"],
        ["-A", "lab-42"],
        ["--cpus-per-task=2", "--mem=8107M", "-t", "1-00:00:00"],
        ["--qos=normal", "--gres=gpu:1", "--constraint=avx2"],
    ):
        assert any(asked[at : at + len(words)] == words for at in range(len(asked))), words


def test_the_worker_is_one_thread_with_a_nanny_and_what_it_declares() -> None:
    command = shlex.split(script_of(WHOLE, GPU=1, big=0.5).splitlines()[-1])
    assert command[:4] == [
        *command[:1],
        "-m",
        "distributed.cli.dask_worker",
        "tcp://10.0.0.1:8786",
    ]
    given = dict(pairwise(command))
    assert given["--nthreads"] == "1"
    assert "--nanny" in command
    # The last one counts: dask_jobqueue gives one of its own.
    assert given["--memory-limit"] == "0"
    assert given["--resources"] == "GPU=1 big=0.5"
    assert given["--interface"] == "ib0"
    assert given["--preload"] == "cimsearch.workers.slurm_drain"
    assert "--lifetime" not in command
    assert "--resources" not in script_of(PLAIN)


def test_the_shell_prepares_the_worker(tmp_path: Path) -> None:
    shown = tmp_path / "a worker's python"
    shown.write_text('#!/bin/sh\nenv -0 > "$SHOWN"; echo "$@"\n', encoding="utf-8")
    shown.chmod(0o755)
    secrets = {
        "CIMSEARCH_STORAGE": "sqlite:///x.db",
        "PGPASSWORD": "x",
        "pgpassfile": "x",
        "My_Secret_Key": "x",
        "HF_TOKEN": "x",
        "DB": "postgresql://me:x@db/cim",
        "DB_IN_FULL": "postgresql://db/cim?user=me&password=x",
    }
    kept = {"CIMSEARCH_DATA": "/data", "NODE_DISK": str(tmp_path / "disk"), "COLON": "http://a:1"}
    # The node may bring an environment of its own, which nobody has looked through before.
    environment = {"PATH": os.environ["PATH"], "SHOWN": str(tmp_path / "env")} | secrets | kept
    done = subprocess.run(
        ["bash"],
        input=script_of(WHOLE, str(shown)),
        text=True,
        env=environment,
        capture_output=True,
        check=True,
    )
    assert not done.stderr
    raw = (tmp_path / "env").read_text(encoding="utf-8")
    seen = dict(line.split("=", 1) for line in raw.split("\0") if line)
    assert not (secrets.keys() | {"LATE_TOKEN"}) & seen.keys()
    assert kept.items() <= seen.items()
    assert seen["FROM_SETUP"] == "a b"
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["TMPDIR"].startswith(f"{tmp_path}/disk/cim search/cimsearch-")
    assert f"--local-directory {seen['TMPDIR']}" in done.stdout
    assert not list((tmp_path / "disk" / "cim search").iterdir())
    # The same as workers of one's own machine are kept from.
    assert not secrets.keys() & worker_environment(secrets).keys()
    assert kept.items() <= worker_environment(kept).items()


def test_a_worker_leaves_in_the_last_third_of_its_job(tmp_path: Path) -> None:
    shown = tmp_path / "python"
    shown.write_text('#!/bin/sh\necho "$drain_at_s"; date +%s\n', encoding="utf-8")
    shown.chmod(0o755)
    script = script_of(PLAIN, str(shown)).replace(
        "drain_at_s=$", "export drain_at_s; drain_at_s=$"
    )
    lives = []
    for _ in range(20):
        done = subprocess.run(["bash"], input=script, text=True, capture_output=True, check=True)
        leaves_s, now_s = map(int, done.stdout.split())
        lives.append(leaves_s - now_s)
    assert 0.65 * 14_400 - 10 <= min(lives) < max(lives) <= 0.75 * 14_400
    assert len(set(lives)) > 5


def test_a_job_does_not_take_itself_for_another() -> None:
    mine = {"SLURM_JOB_ID": "7", "SLURM_CONF": "/etc/slurm.conf", "HOME": "/home/me"}
    seen = job_environment(mine | {"PGPASSWORD": "x"})
    assert "SLURM_JOB_ID" not in seen
    assert "PGPASSWORD" not in seen
    assert seen["SLURM_CONF"] == "/etc/slurm.conf"
    assert seen["HOME"] == "/home/me"
