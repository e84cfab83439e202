"""`cimsearch study import-optuna` as its users call it."""

import json
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.commands import cimsearch


def test_import_shows_what_came_and_leaves_the_source(tmp_path: Path) -> None:
    source = tmp_path / "journal.log"
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(source))), study_name="theirs"
    )
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    study.ask()
    before = source.read_bytes()
    arguments = ["study", "import-optuna", "journal.log", "theirs"]
    done = cimsearch(*arguments, "--as", "ours", cwd=tmp_path)
    assert done.stdout == "imported ours: 4 trials, 1 of them running there and failed here\n"
    done = cimsearch(*arguments, cwd=tmp_path)
    assert "imported theirs: 4 trials" in done.stdout
    refused = cimsearch(*arguments, cwd=tmp_path, expect=1)
    assert "error: a study named 'theirs' exists already\nhint:" in refused.stderr
    known = json.loads(cimsearch("status", "--json", cwd=tmp_path).stdout)
    assert [(s["study"], s["trials"]) for s in known] == [("ours", 4), ("theirs", 4)]
    assert source.read_bytes() == before


def test_source_that_is_not_there(tmp_path: Path) -> None:
    done = cimsearch("study", "import-optuna", "sqlite:///no.db", "x", cwd=tmp_path, expect=4)
    assert "error: there is no Optuna storage" in done.stderr
    assert list(tmp_path.iterdir()) == []
