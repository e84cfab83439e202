"""The orchestrator's batch script: what it says, and what it does when the wall time comes."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cimsearch.errors import UsageError
from cimsearch.spec import Study, load_study
from cimsearch.workers.slurm_script import Orchestrator, batch_script, database_of
from tests.fake_slurm import FakeJob, FakeSlurm, directives, slurm_here, wait_for
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

SLURM = """
cluster:
  slurm:
    memory_gb: 2
    wall_time: 00:20:00
    partition: gpu
    account: lab-42
    gpus: 1
    setup: ["export FROM_SETUP='a b'"]
    directives: [--constraint=avx2]
"""


@pytest.fixture
def study(write: Write) -> Study:
    return load_study(str(write("tiny.yaml", TINY_STUDY + SLURM)))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    with slurm_here(tmp_path, monkeypatch) as made:
        yield made


def script_of(study: Study, folder: Path = Path("/shared/me"), **other: object) -> str:
    given: dict[str, object] = {
        "named": "tiny",
        "storage": "sqlite:///study.db",
        "workers": None,
        "data": None,
    }
    return batch_script(Orchestrator(study=study, folder=folder, **(given | other)))  # type: ignore[arg-type]


def command_of(script: str) -> list[str]:
    """Return the words of the command that runs in the background."""
    text = script.replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if line.endswith(" &"))
    return shlex.split(line.removesuffix("&"))


def test_the_job_is_small_and_is_told_in_time(study: Study) -> None:
    script = script_of(study)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    asked = directives(script)
    assert asked == [
        *("--job-name=cimsearch-tiny", "--output=cimsearch-tiny-%j.log", "--open-mode=append"),
        *("--ntasks=1", "--cpus-per-task=1", "--mem=4G", "--time=00:20:00"),
        *("--partition=gpu", "--account=lab-42", "--requeue", "--signal=B:USR1@300"),
    ], "a graphics card and the like are for workers"
    assert script.count("#SBATCH") == len(asked)


def test_it_launches_the_study(study: Study) -> None:
    assert command_of(script_of(study)) == [
        *(sys.executable, "-m", "cimsearch", "launch", "tiny", "--cluster", "slurm"),
        *("--storage", "sqlite:////shared/me/study.db"),
    ]
    odd = Path('/shared/it\'s $HOME/`a` "b"')
    words = command_of(
        script_of(
            study,
            folder=odd,
            named=f"{odd}/my study.yaml",
            workers=32,
            data=f"{odd}/data",
        )
    )
    assert words[4] == f"{odd}/my study.yaml"
    assert words[-4:] == ["--workers", "32", "--data", f"{odd}/data"]


def test_it_waits_as_long_as_the_study_drains(write: Write, study: Study) -> None:
    text = TINY_STUDY + SLURM + "limits: {drain_s: 400.5}\n"
    longer = load_study(str(write("longer.yaml", text)))
    assert "--signal=B:USR1@521" in directives(script_of(longer))
    ever = load_study(str(write("ever.yaml", text.replace("400.5", "1000"))))
    with pytest.raises(UsageError, match=r"limits.drain_s = 1000 leaves nothing"):
        script_of(ever)


def test_a_study_that_says_nothing_of_slurm_is_told(tiny_study: Study) -> None:
    with pytest.raises(UsageError, match="does not say what Slurm is to be asked for"):
        script_of(tiny_study)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hunter2@db/cim",
        "postgresql+psycopg://me@db/cim?password=hunter2",
        "postgresql+psycopg://me@db/cim?sslpassword=hunter2",
    ],
)
def test_a_password_is_refused_and_not_repeated(study: Study, url: str) -> None:
    with pytest.raises(UsageError, match="found a password in the URL") as caught:
        script_of(study, storage=url)
    assert "hunter2" not in str(caught.value)
    assert "db:5432:cim:me:PASSWORD into ~/.pgpass" in caught.value.hint
    assert caught.value.hint.endswith("give postgresql+psycopg://me@db/cim")


def test_a_file_with_the_password_is_named(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://me@db/cim"
    assert "PGPASSFILE" not in script_of(study, storage=url)
    monkeypatch.setenv("PGPASSFILE", "/home/me/my passwords")
    assert "export PGPASSFILE='/home/me/my passwords'\n" in script_of(study, storage=url)
    assert "PGPASSFILE" not in script_of(study)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "study.db"])
def test_a_database_that_no_job_can_open_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--storage"):
        database_of(url, Path("/shared"))


def test_a_file_in_the_folder_gets_its_whole_path() -> None:
    folder = Path("/shared/my folder")
    assert database_of("sqlite:///a/b.db", folder).database == "/shared/my folder/a/b.db"
    assert database_of("sqlite:////c/b.db", folder).database == "/c/b.db"


# What the shell does is tried with a stand-in that ends as the orchestrator does, and at once.

_STAND_IN = """\
import os, signal, sys, time
starts = int(os.environ["SLURM_RESTART_COUNT"])
print("start", starts, os.environ["FROM_SETUP"], os.getcwd(), flush=True)
def stop(*_):
    print("asked to stop", flush=True)
    time.sleep(0.3)
    sys.exit({stopped})
signal.signal(signal.SIGTERM, stop)
if starts == 1:
    sys.exit({second})
print("running", flush=True)
{first}
time.sleep(60)
"""


def submitted(
    study: Study, fake: FakeSlurm, *, first: str = "", stopped: int = 130, second: int = 0
) -> FakeJob:
    """Submit the script with the stand-in; return the job when that runs or has ended."""
    folder = Path("a folder's name")
    folder.mkdir()
    stand_in = folder / "stand_in.py"
    text = _STAND_IN.format(first=first, stopped=stopped, second=second)
    stand_in.write_text(text, encoding="utf-8")
    script = script_of(study, folder=folder.absolute())
    command = "-m cimsearch launch tiny"
    assert command in script
    file = Path("batch.sh")
    file.write_text(
        script.replace(command, shlex.quote(str(stand_in.absolute()))), encoding="utf-8"
    )
    subprocess.run(["sbatch", str(file)], check=True, capture_output=True)
    (job,) = fake.jobs("cimsearch-tiny")
    wait_for(lambda: job.ended or "running" in job.log)
    return job


def test_near_its_wall_time_it_goes_back_into_the_queue(study: Study, fake: FakeSlurm) -> None:
    job = submitted(study, fake)
    job.near_wall_time()
    wait_for(lambda: job.ended)
    assert job.code == 0
    assert job.starts == 2
    where = Path("a folder's name").absolute()
    assert job.log.splitlines() == [
        f"start 0 a b {where}",
        "running",
        "asked to stop",
        "the wall time is near: back into the queue",
        f"start 1 a b {where}",
    ]


def test_a_study_that_finishes_meanwhile_is_finished(study: Study, fake: FakeSlurm) -> None:
    job = submitted(study, fake, stopped=0)
    job.near_wall_time()
    wait_for(lambda: job.ended)
    assert (job.code, job.starts) == (0, 1)


def test_a_cancelled_job_stays_cancelled(study: Study, fake: FakeSlurm) -> None:
    job = submitted(study, fake)
    subprocess.run(["scancel", job.id], check=True)
    wait_for(lambda: job.ended)
    assert (job.code, job.starts) == (130, 1)
    assert "asked to stop" in job.log


def test_what_is_wrong_is_not_tried_again(study: Study, fake: FakeSlurm) -> None:
    job = submitted(study, fake, first="sys.exit(3)")
    wait_for(lambda: job.ended)
    assert (job.code, job.starts) == (3, 1)


def test_where_slurm_does_not_requeue_it_says_how_to_go_on(
    study: Study, fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake.path / "scontrol").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    job = submitted(study, fake)
    job.near_wall_time()
    wait_for(lambda: job.ended)
    assert (job.code, job.starts) == (130, 1)
    assert "go on with sbatch and the same script" in job.log
