"""A study of Optuna's own storages is the same study here, and the source stays as it was."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from cimsearch.errors import StorageError, StudyError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.check import check_database
from cimsearch.store.optuna_import import (
    INTERRUPTED,
    Imported,
    import_optuna,
    read_optuna,
)
from cimsearch.store.records import list_studies, trial_rows
from tests.postgres import Server

DISTRIBUTIONS = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "drop": FloatDistribution(0.0, 0.5, step=0.25),
    "width": IntDistribution(4, 64, log=True),
    "bits": IntDistribution(2, 8, step=2),
    "act": CategoricalDistribution(("relu", None, True, 3, 0.5)),
}
PARAMS = {"lr": 0.01, "drop": 0.25, "width": 8, "bits": 4, "act": None}


@contextmanager
def rdb(url: str) -> Iterator[RDBStorage]:
    opened = RDBStorage(url)
    yield opened
    opened.scoped_session.remove()
    opened.engine.dispose()


@contextmanager
def journal(path: str) -> Iterator[JournalStorage]:
    yield JournalStorage(JournalFileBackend(path))


@pytest.fixture
def here() -> Iterator[CimStorage]:
    with closing(open_storage("sqlite:///:memory:")) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql", "journal"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where an Optuna storage is to be, on each of its kinds."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path}/optuna.db" if request.param == "sqlite" else f"{tmp_path}/log"


def opened(source: str) -> Any:
    return rdb(source) if "://" in source else journal(source)


def fill(storage: BaseStorage) -> optuna.Study:
    """Make a study with a trial of each state and each kind of content."""
    study = optuna.create_study(
        storage=storage, study_name="from Optuna", directions=["minimize", "maximize"]
    )
    study.set_user_attr("note", {"text": "μ\u0000", "list": [1, 2.5, None]})
    with pytest.warns(ExperimentalWarning):
        study.set_metric_names(["energy", "accuracy"])
    parts: dict[str, Any] = {"params": PARAMS, "distributions": DISTRIBUTIONS}
    study.add_trial(
        create_trial(
            values=[1.5, float("inf")],
            constraints={"energy": -1.0, "area": 0.5},
            user_attrs={"path": "a/b", "deep": {"x": [1]}},
            system_attrs={"NSGAIISampler:generation": 3},
            **parts,
        )
    )
    steps = {0: 0.5, 1: float("nan"), 7: float("-inf")}
    study.add_trial(create_trial(state=TrialState.FAIL, intermediate_values=steps, **parts))
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values=steps, **parts))
    study.enqueue_trial({"lr": 0.5}, user_attrs={"by": "hand"})
    running = create_trial(state=TrialState.RUNNING, intermediate_values={3: 0.25}, **parts)
    study.add_trial(running)
    study.add_trial(create_trial(values=[0.0, -1.0]))
    return study


def plain(trial: FrozenTrial) -> dict[str, Any]:
    """Return all that a trial is but for its id, comparable also where it holds NaN."""
    return {k: repr(v) for k, v in vars(trial).items() if k != "_trial_id"}


def test_import_keeps_everything(here: CimStorage, source: str) -> None:
    with opened(source) as storage:
        original = fill(storage)
        before = original.trials
        done = import_optuna(here, read_optuna(source, "from Optuna"))
        after = original.trials
    assert [plain(t) for t in after] == [plain(t) for t in before]
    assert done == Imported(done.study_id, "from Optuna", len(before), 1)
    copy = optuna.load_study(study_name="from Optuna", storage=here)
    assert copy.directions == original.directions
    assert copy.metric_names == ["energy", "accuracy"]
    assert copy.user_attrs == {"note": {"text": "μ\u0000", "list": [1, 2.5, None]}}
    states = [t.state for t in before]
    assert set(states) == set(TrialState)
    for old, new in zip(before, copy.trials, strict=True):
        if old.state == TrialState.RUNNING:
            assert new.state == TrialState.FAIL
            assert new.datetime_complete is not None
            old.state, old.datetime_complete = new.state, new.datetime_complete
        assert plain(new) == plain(old)
    reasons = [row.fail_reason for row in trial_rows(here, done.study_id)]
    assert reasons == [INTERRUPTED if s == TrialState.RUNNING else None for s in states]


def test_database_with_an_imported_study_is_whole(tmp_path: Path) -> None:
    source, target = f"{tmp_path}/log", f"sqlite:///{tmp_path}/own.db"
    with journal(source) as storage:
        fill(storage)
    with closing(open_storage(target)) as own:
        import_optuna(own, read_optuna(source, "from Optuna"))
    report = check_database(target)
    assert report.ok, report.findings
    assert (report.studies, report.trials) == (1, 6)


def test_imported_study_goes_on(here: CimStorage, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    with rdb(url) as storage:
        fill(storage)
    import_optuna(here, read_optuna(url, "from Optuna"))
    study = optuna.load_study(study_name="from Optuna", storage=here)
    study.optimize(lambda t: (t.suggest_float("lr", 1e-5, 1.0, log=True), 1.0), n_trials=2)
    assert study.trials[3].state == TrialState.COMPLETE
    assert study.trials[3].params == {"lr": 0.5}
    assert [t.number for t in study.trials] == list(range(7))


def objective(trial: optuna.Trial) -> tuple[float, float]:
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_int("y", 0, 100)
    trial.set_constraint("sum", x + y - 90)
    return x * y, (x - 1) ** 2 - y


def test_genetic_sampler_breeds_as_it_would_have_there(here: CimStorage, tmp_path: Path) -> None:
    def sampler(seed: int) -> optuna.samplers.NSGAIISampler:
        return optuna.samplers.NSGAIISampler(population_size=4, seed=seed)

    # Trials of another study first, so that ids differ.
    optuna.create_study(storage=here).optimize(lambda _: 0.0, n_trials=5)
    url = f"sqlite:///{tmp_path}/optuna.db"
    with rdb(url) as storage:
        there = optuna.create_study(
            storage=storage,
            study_name="bred",
            directions=["minimize", "maximize"],
            sampler=sampler(1),
        )
        there.optimize(objective, n_trials=10)
        import_optuna(here, read_optuna(url, "bred"))
        copy = optuna.load_study(study_name="bred", storage=here, sampler=sampler(2))
        there.sampler = sampler(2)
        for study in (there, copy):
            study.optimize(objective, n_trials=10)
        assert [t.params for t in copy.trials] == [t.params for t in there.trials]
        ids = {t._trial_id for t in copy.trials}
        attrs = copy._storage.get_study_system_attrs(copy._study_id)
        parents = {k: set(v) for k, v in attrs.items() if ":parent:" in k}
        assert parents
        assert all(some <= ids for some in parents.values())
        assert [t.number for t in copy.best_trials] == [t.number for t in there.best_trials]


def test_name_that_is_taken(here: CimStorage, tmp_path: Path) -> None:
    source = str(tmp_path / "log")
    with journal(source) as storage:
        fill(storage)
    import_optuna(here, read_optuna(source, "from Optuna"))
    with pytest.raises(StudyError, match="named 'from Optuna' exists already") as caught:
        import_optuna(here, read_optuna(source, "from Optuna"))
    assert "--as NAME" in caught.value.hint
    again = import_optuna(here, read_optuna(source, "from Optuna"), rename="copy")
    assert [s.name for s in list_studies(here)] == ["from Optuna", "copy"]
    assert (again.name, again.trials) == ("copy", 6)


def test_study_that_is_not_there(here: CimStorage, source: str) -> None:
    with opened(source) as storage:
        fill(storage)
    with pytest.raises(StudyError, match="no study 'other'") as caught:
        import_optuna(here, read_optuna(source, "other"))
    assert caught.value.hint == "studies there: from Optuna"
    assert list_studies(here) == []


def text_file(folder: Path) -> str:
    (folder / "notes").write_text("not a journal\n" * 2, encoding="utf-8")
    return f"{folder}/notes"


def json_file(folder: Path) -> str:
    (folder / "notes").write_text('{"a": 1}\n' * 2, encoding="utf-8")
    return f"{folder}/notes"


def other_database(folder: Path) -> str:
    with closing(open_storage(f"sqlite:///{folder}/own.db")):
        return f"sqlite:///{folder}/own.db"


def broken_database(folder: Path) -> str:
    (folder / "broken.db").write_bytes(b"no database at all" * 100)
    return f"sqlite:///{folder}/broken.db"


def empty_database(folder: Path) -> str:
    (folder / "empty.db").touch()
    return f"sqlite:///{folder}/empty.db"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: f"sqlite:///{folder}/none.db", "there is no Optuna storage"),
        (lambda folder: f"{folder}/none", "there is no Optuna journal file"),
        (text_file, "is not a journal file"),
        (json_file, "is not a journal file"),
        (other_database, "is cimsearch's, not Optuna's"),
        (empty_database, "holds no Optuna storage"),
        (broken_database, "is not a SQLite database"),
        (lambda _: "mysql+absent://user:topsecret@host/name", "cannot read a mysql database"),
        (lambda _: "postgresql+psycopg2://user:topsecret@host/name", "psycopg2 is not installed"),
        (lambda _: "://user:topsecret@host", "not a database URL"),
    ],
)
def test_source_that_is_none(
    here: CimStorage, tmp_path: Path, make: Callable[[Path], str], message: str
) -> None:
    source = make(tmp_path)
    before = {p: hashlib.sha256(p.read_bytes()).digest() for p in tmp_path.iterdir()}
    with pytest.raises(StorageError, match=message) as caught:
        import_optuna(here, read_optuna(source, "study"))
    assert caught.value.hint
    assert "topsecret" not in str(caught.value)
    assert {p: hashlib.sha256(p.read_bytes()).digest() for p in tmp_path.iterdir()} == before


def test_source_of_an_older_optuna(here: CimStorage, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    with rdb(url) as storage, storage.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = 'v3.0.0.a'")
    with pytest.raises(StorageError, match="of another version") as caught:
        import_optuna(here, read_optuna(url, "study"))
    assert "optuna storage upgrade" in caught.value.message


def test_server_that_is_gone(here: CimStorage, mortal_postgres: Server) -> None:
    url = mortal_postgres.url("postgres").replace("postgres@", "postgres:topsecret@")
    mortal_postgres.kill()
    with pytest.raises(StorageError, match="cannot be reached") as caught:
        import_optuna(here, read_optuna(url, "study"))
    assert "topsecret" not in str(caught.value)
