"""Copying a study out of one of Optuna's own storages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, Connection, create_engine, insert, inspect, update
from sqlalchemy.exc import ArgumentError, IntegrityError

from cimsearch.errors import StorageError, StudyError
from cimsearch.store.encoding import (
    content_hash,
    editable,
    encode_distributions,
    encode_trial,
    to_json,
)
from cimsearch.store.failures import name_of, told, url_of
from cimsearch.store.schema import VERSION_TABLE, distribution_set, study, trial
from cimsearch.store.storage import CimStorage
from cimsearch.store.transaction import insert_once

INTERRUPTED = "it was running when the study was imported"
"""Why a trial that was running in the source is failed in the copy."""

_FORMS = (
    "a URL such as sqlite:///optuna.db, postgresql+psycopg://user@host/name, or a journal file"
)
_OPTUNA_TABLES = {"studies", "trials", "alembic_version"}
# Where Optuna's genetic samplers keep the ids of the parents of a generation.
_PARENTS = ":parent:"


@dataclass(frozen=True)
class Imported:
    """What has been copied.

    Attributes:
        study_id: The new study.
        name: Its name here.
        trials: How many trials it has.
        interrupted: How many of them were running in the source, and are failed here.
    """

    study_id: int
    name: str
    trials: int
    interrupted: int


@dataclass(frozen=True)
class OptunaStudy:
    """A study as it was found in one of Optuna's storages, with its trials in order of number."""

    study: FrozenStudy
    trials: Sequence[FrozenTrial]


def read_optuna(source: str, name: str) -> OptunaStudy:
    """Read a study from one of Optuna's storages, which stays as it is.

    Args:
        source: The URL of a database as Optuna's `RDBStorage` takes it, or the path of a journal
            file.
        name: The study's name there.

    Raises:
        StorageError: The source cannot be read, or is not Optuna's.
        StudyError: There is no such study.
    """
    with _opened(source) as (origin, shown):
        found = _find(origin, name, shown)
        return OptunaStudy(found, origin.get_all_trials(found._study_id, deepcopy=False))


def import_optuna(
    storage: CimStorage, found: OptunaStudy, *, rename: str | None = None
) -> Imported:
    """Add a study of Optuna's with all its trials, in one transaction.

    Numbers, states, values, parameters, distributions, intermediate values, constraints,
    attributes and times stay as they are. A trial that is running in the source fails here,
    because nobody is going to finish it; a waiting one goes on waiting.

    Args:
        storage: Where to.
        found: The study, from `read_optuna`.
        rename: Its name here, if it is to be another.

    Raises:
        StudyError: There is a study of that name here.
    """
    name = found.study.study_name if rename is None else rename
    # Before the transaction, which keeps others from writing.
    sets: dict[str, str] = {}
    rows = [_row(number, each, sets) for number, each in enumerate(found.trials)]
    with storage.session.writing() as conn:
        study_id = _insert_study(conn, found.study, name)
        for digest, text in sets.items():
            insert_once(conn, distribution_set, {"hash": digest, "json": text})
        new_ids = _insert_trials(conn, [{**row, "study_id": study_id} for row in rows])
        ids = {t._trial_id: new for t, new in zip(found.trials, new_ids, strict=True)}
        attrs = _with_new_ids(found.study.system_attrs, ids)
        here = update(study).where(study.c.id == study_id)
        conn.execute(here.values(system_attrs=to_json(attrs), n_trials=len(rows)))
    interrupted = sum(t.state == TrialState.RUNNING for t in found.trials)
    return Imported(study_id, name, len(rows), interrupted)


@contextmanager
def _opened(source: str) -> Iterator[tuple[BaseStorage, str]]:
    """Give Optuna's storage, and its name for messages, without a password."""
    if "://" not in source:
        yield _journal(Path(source)), source
        return
    url = url_of(source, f"give {_FORMS}")
    _require_optuna(url)
    with told(url):
        try:
            opened = RDBStorage(source, skip_table_creation=True)
        except RuntimeError as error:
            raise StorageError(
                f"the Optuna storage {name_of(url)} is of another version: {error}",
                "make a copy of it before",
            ) from error
        try:
            yield opened, name_of(url)
        finally:
            opened.scoped_session.remove()
            opened.engine.dispose()


def _journal(path: Path) -> JournalStorage:
    if not path.is_file():
        raise StorageError(f"there is no Optuna journal file {path}", _FORMS)
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}", _FORMS) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is not a journal file of Optuna's", _FORMS) from error


def _require_optuna(url: URL) -> None:
    """Look before Optuna does, which would make tables in any database that has none."""
    path = None if url.get_backend_name() != "sqlite" else url.database
    if path is not None and not Path(path).is_file():
        raise StorageError(f"there is no Optuna storage {name_of(url)}", _FORMS)
    try:
        engine = create_engine(url)
    except ImportError as error:
        raise StorageError(
            f"the database driver {error.name} is not installed",
            "install it, or name another in the URL, such as postgresql+psycopg://",
        ) from error
    except ArgumentError as error:
        raise StorageError(
            f"cannot read a {url.get_backend_name()} database", f"give {_FORMS}"
        ) from error
    try:
        with told(url):
            tables = set(inspect(engine).get_table_names())
    finally:
        engine.dispose()
    if VERSION_TABLE in tables:
        raise StorageError(
            f"the database {name_of(url)} is cimsearch's, not Optuna's",
            "share its studies by `cimsearch study export` and `cimsearch study import`",
        )
    if not tables >= _OPTUNA_TABLES:
        raise StorageError(f"the database {name_of(url)} holds no Optuna storage", _FORMS)


def _find(origin: BaseStorage, name: str, shown: str) -> FrozenStudy:
    studies = origin.get_all_studies()
    for found in studies:
        if found.study_name == name:
            return found
    known = ", ".join(s.study_name for s in studies) or "none"
    raise StudyError(f"no study {name!r} in the Optuna storage {shown}", f"studies there: {known}")


def _insert_study(conn: Connection, found: FrozenStudy, name: str) -> int:
    row = {
        "name": name,
        "directions": to_json([d.name.lower() for d in found.directions]),
        "spec_hash": None,
        "user_attrs": to_json(found.user_attrs),
        "system_attrs": to_json({}),
        "n_trials": 0,
        "revision": 1,
        "created": datetime.now(UTC),
    }
    try:
        return int(conn.execute(insert(study).returning(study.c.id), row).scalar_one())
    except IntegrityError as error:
        raise StudyError(
            f"a study named {name!r} exists already", "give the imported one a name: --as NAME"
        ) from error


def _row(number: int, original: FrozenTrial, sets: dict[str, str]) -> dict[str, Any]:
    """Return a trial's row but for its study, and add its distributions to ``sets``, by hash."""
    frozen = _ended(original) if original.state == TrialState.RUNNING else original
    text = encode_distributions(frozen.distributions)
    digest = content_hash(text)
    sets[digest] = text
    return {
        **encode_trial(frozen),
        "number": number,
        "dists_hash": digest,
        "fail_reason": None if frozen is original else INTERRUPTED,
        "revision": 1,
    }


def _insert_trials(conn: Connection, rows: Sequence[dict[str, Any]]) -> Sequence[int]:
    """Insert rows of trials and return their ids."""
    if not rows:
        return ()
    inserted = insert(trial).returning(trial.c.id, sort_by_parameter_order=True)
    return conn.scalars(inserted, rows).all()


def _ended(running: FrozenTrial) -> FrozenTrial:
    failed = editable(running)
    failed.state, failed.values = TrialState.FAIL, None
    failed.datetime_complete = datetime.now()
    return failed


def _with_new_ids(attrs: Mapping[str, Any], ids: Mapping[int, int]) -> dict[str, Any]:
    """Return a study's system attributes, where they name trials with their ids here."""
    return {
        key: [ids.get(old, old) for old in value] if _PARENTS in key else value
        for key, value in attrs.items()
    }
