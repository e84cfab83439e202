"""``cimsearch slurm`` as its users meet it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import cimsearch, unwrapped
from tests.fake_slurm import directives
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

STUDY = f"{TINY_STUDY}cluster: {{slurm: {{memory_gb: 2, wall_time: 01:00:00}}}}\n"


def test_it_prints_a_script(tmp_path: Path, write: Write) -> None:
    write("tiny.yaml", STUDY)
    done = cimsearch("slurm", "tiny.yaml", "--workers", "3", "--data", "mine", cwd=tmp_path)
    subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)
    assert "--time=01:00:00" in directives(done.stdout)
    assert f"launch {tmp_path}/tiny.yaml" in done.stdout
    assert f"--storage sqlite:///{tmp_path}/cimsearch.db" in done.stdout
    assert f"--data {tmp_path}/mine" in done.stdout
    assert "PostgreSQL is the safe choice" in unwrapped(done.stderr)


def test_it_writes_a_new_file(tmp_path: Path, write: Write) -> None:
    write("tiny.yaml", STUDY)
    url = "postgresql+psycopg://me@db/cim"
    words = ("slurm", "tiny.yaml", "--storage", url, "--out", "tiny.sh")
    done = cimsearch(*words, cwd=tmp_path)
    assert "sbatch tiny.sh" in done.stdout
    assert not done.stderr
    text = (tmp_path / "tiny.sh").read_text(encoding="utf-8")
    assert text.startswith("#!/bin/bash\n")
    assert url in text
    (tmp_path / "tiny.sh").write_text("mine", encoding="utf-8")
    assert "is there already" in cimsearch(*words, cwd=tmp_path, expect=2).stderr
    assert (tmp_path / "tiny.sh").read_text(encoding="utf-8") == "mine"
    nowhere = cimsearch(*words[:-1], "none/tiny.sh", cwd=tmp_path, expect=2)
    assert "--out: none/tiny.sh cannot be written" in nowhere.stderr


def test_a_password_in_the_environment_is_refused_too(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("tiny.yaml", STUDY)
    monkeypatch.setenv("CIMSEARCH_STORAGE", "postgresql+psycopg://me:hunter2@db/cim")
    done = cimsearch("slurm", "tiny.yaml", cwd=tmp_path, expect=2)
    assert "hunter2" not in done.stdout + done.stderr
    assert ".pgpass" in done.stderr


def test_a_catalogue_study_keeps_its_name(tmp_path: Path) -> None:
    done = cimsearch("slurm", "quickstart", cwd=tmp_path, expect=2)
    assert "study 'quickstart' does not say what Slurm is to be asked for" in done.stderr
