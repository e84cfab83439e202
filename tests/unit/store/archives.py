"""Studies to be shared, their archives, and archives that a test has changed."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from cimsearch.spec import Study, load_study
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.archive_export import write_archive
from cimsearch.store.archive_import import read_archive
from cimsearch.store.records import (
    add_evaluation,
    add_trial,
    attempts,
    create_study,
    end_attempt,
    evaluations,
    finish_evaluation,
    front_events,
    layer_costs,
    save_spec,
    start_attempt,
    trial_rows,
)
from cimsearch.store.schema import metadata
from tests.studies import TINY_STUDY
from tests.unit.store.builders import complete, failed, new_evaluation, new_trial

OWN = {"objectives": ["accuracy", "energy_pj"], "trials": 9, "data_path": "/home/ada/data"}


def read_tiny(folder: Path) -> Study:
    """Read the tiny study from a file in a folder."""
    (folder / "tiny.yaml").write_text(TINY_STUDY)
    return load_study(str(folder / "tiny.yaml"))


def write_good(folder: Path) -> Path:
    """Write the archive of ``full_study`` into a folder."""
    storage = open_storage("sqlite:///:memory:")
    study_id = full_study(storage, read_tiny(folder))
    write_archive(storage, study_id, folder / "good.cimstudy")
    storage.close()
    return folder / "good.cimstudy"


def full_study(storage: CimStorage, study: Study) -> int:
    """Add a study that has a row of every kind; one of its trials is running."""
    spec = study.spec.model_copy(update={"objectives": ("accuracy", "energy_pj")})
    spec_hash = save_spec(storage, "study", replace(study, spec=spec).to_json())
    study_id = create_study(
        storage,
        name="tiny",
        directions=["maximize", "minimize"],
        spec_hash=spec_hash,
        user_attrs=OWN,
    )
    known = new_evaluation("known", score='{"a":[0.1,0.30000000000000004]}')
    first = add_trial(storage, study_id, new_trial(0), evaluation=known, finished=complete())
    add_trial(storage, study_id, new_trial(1), evaluation=None, finished=complete(0.0, 2.0))
    promoted = new_trial(2, promoted_from=first.trial_id, rung=1)
    for k, new in enumerate([promoted, new_trial(3), new_trial(4)]):
        ids = add_trial(storage, study_id, new, evaluation=new_evaluation(f"{k}"), finished=None)
        assert ids.evaluation_id is not None
        start_attempt(storage, ids.evaluation_id, token=f"lost {k}", worker=f"tcp://10.0.0.{k}:1")
        end_attempt(storage, f"lost {k}", state="lost", reason="KilledWorker: tcp://10.0.0.1:99")
        start_attempt(storage, ids.evaluation_id, token=f"token {k}", worker="node7:312")
        if k < 2:
            reason = None if k else "DataError: /home/ada/data/train.npz: no such file (data.py:3)"
            finish_evaluation(
                storage,
                ids.evaluation_id,
                token=f"token {k}",
                score='{"b": 1}' if k else None,
                fail_reason=reason,
                tell=complete(0.5, 1.25) if k else failed(str(reason)),
            )
    add_evaluation(storage, study_id, new_evaluation("base", role="baseline"))
    return study_id


def table_of(storage: CimStorage, study_id: int) -> dict[str, Any]:
    """Return all that is known of a study, with numbers in the place of ids."""
    trials = trial_rows(storage, study_id)
    numbers: dict[int | None, int | None] = {t.trial_id: t.number for t in trials}
    numbers[None] = None
    rows = evaluations(storage, study_id)
    places = {row.id: place for place, row in enumerate(rows)}
    return {
        "trials": [
            replace(
                t,
                trial_id=0,
                promoted_from=numbers[t.promoted_from],
                evaluation_id=None if t.evaluation_id is None else places[t.evaluation_id],
            )
            for t in trials
        ],
        "evaluations": [
            (row.role, row.label, numbers[row.trial_id], row.state, row.score, row.created)
            for row in rows
        ],
        "prices": [(json.loads(row.cost), json.loads(row.candidate)) for row in rows],
        "layers": [layer_costs(storage, row.id) for row in rows],
        "attempts": [
            [
                (a.n, a.worker, a.state, a.started, a.ended, a.reason)
                for a in attempts(storage, id_)
            ]
            for id_ in places
        ],
        "front": [
            replace(e, trial_id=numbers[e.trial_id] or 0) for e in front_events(storage, study_id)
        ],
    }


def taken(target: CimStorage, path: Path) -> dict[str, Any]:
    """Import a file, and return what it held after deleting all of it again."""
    study_id = read_archive(target, path)
    found = table_of(target, study_id)
    target.delete_study(study_id)
    with target.session.writing() as conn:
        conn.exec_driver_sql("DELETE FROM spec")
        conn.exec_driver_sql("DELETE FROM distribution_set")
    return found


def members_of(path: Path) -> dict[str, bytes]:
    """Read all members."""
    with zipfile.ZipFile(path) as whole:
        return {name: whole.read(name) for name in whole.namelist()}


def write_members(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip of these members, as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        for name, content in members.items():
            whole.writestr(name, content)
    return path


def declared(members: Mapping[str, bytes], **extra: Any) -> dict[str, bytes]:
    """Return the members with a manifest that fits them, and ``extra`` in it."""
    manifest = json.loads(members["manifest.json"])
    manifest["members"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
        if name != "manifest.json"
    }
    return {**members, "manifest.json": json.dumps(manifest | extra).encode()}


def forged(source: Path, target: Path, name: str, change: Callable[[Any], Any]) -> Path:
    """Write an archive whose member was changed by one who fits the manifest to it.

    ``change`` gets the member's lines, or its object, and may return another.
    """
    members = members_of(source)
    if name.endswith(".jsonl"):
        lines = [json.loads(line) for line in members[name].splitlines()]
        lines = change(lines) or lines
        members[name] = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    else:
        data = json.loads(members[name])
        members[name] = json.dumps(change(data) or data).encode()
    return write_members(target, declared(members))


def counts(storage: CimStorage) -> dict[str, int]:
    """Count the rows of every table."""
    with storage.session.reading() as conn:
        return {
            name: conn.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }
