"""Taking a shared study into a database, whole or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import ValidationError
from sqlalchemy import Connection, Insert, Table, bindparam, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError

from cimsearch.errors import StorageError, StudyError, UsageError
from cimsearch.spec import Study
from cimsearch.spec.validation import first_problem
from cimsearch.store import archive, schema
from cimsearch.store.archive import (
    AttemptLine,
    DistributionsLine,
    EvaluationLine,
    FrontLine,
    LayerLine,
    StudyPart,
    TrialLine,
)
from cimsearch.store.archive_file import Archive, open_archive
from cimsearch.store.encoding import (
    canonical_json,
    content_hash,
    decode_distributions,
    encode_distributions,
    encode_trial,
    to_canonical_json,
    to_json,
)
from cimsearch.store.reads import find_study
from cimsearch.store.storage import CimStorage
from cimsearch.store.transaction import insert_once

_BATCH = 200
_BAD_ROW = (ValueError, TypeError, LookupError, AttributeError)
"""What building Optuna's objects from rows that do not fit together raises."""
_AS_IT_IS = {"number", "candidate_hash", "rung", "started", "ended", "fail_reason"}


def read_archive(storage: CimStorage, path: Path, *, name: str | None = None) -> int:
    """Add the study of a file to a database and return its id; one transaction holds all of it.

    The study is read-only; ``imported_from`` tells so. Scores in it are never reused.

    Args:
        storage: The storage.
        path: A file that ``write_archive`` wrote.
        name: Another name for the study.

    Raises:
        UsageError: The file cannot be read, or the name is none that a study may have.
        StorageError: The file is no archive, of another version, or damaged.
        StudyError: A study of this name exists.
    """
    with open_archive(path) as found:
        spec = _spec(found, name)
        try:
            with storage.session.writing() as conn:
                return _Import(conn, found, spec).write()
        except (IntegrityError, DataError) as error:
            if find_study(storage, spec.name) is not None:
                # Somebody else has just added one.
                raise _taken(spec.name) from error
            raise found.damaged("its rows do not fit together") from error


def _taken(name: str) -> StudyError:
    return StudyError(
        f"a study named {name!r} exists already", "give the imported one another: --as NAME"
    )


def _spec(found: Archive, name: str | None) -> Study:
    """Return the study's spec under the name it is to have here."""
    specs = (*archive.SPECS, archive.OPTIONAL_SPEC)
    files = {part: f"spec/{part}.json" for part in specs}
    parts = {part: found.json(name) for part, name in files.items() if found.has(name)}
    try:
        spec = Study.from_json(to_json(parts))
    except ValidationError as error:
        raise found.damaged(
            f"this version cannot read its spec: {first_problem(error)}"
        ) from error
    if spec.name != found.manifest.study:
        raise found.damaged(f"its spec is of the study {spec.name!r}")
    if name is None:
        return spec
    try:
        return Study.from_json(to_json(parts | {"study": parts["study"] | {"name": name}}))
    except ValueError as error:
        raise UsageError(
            f"--as: found {name!r}; allowed are up to 64 of a-z, 0-9, '_', '.' and '-', "
            "the first a letter or digit"
        ) from error


@dataclass(frozen=True)
class _Import:
    """Writes the rows of an archive, which refer to each other by number or place."""

    conn: Connection
    found: Archive
    spec: Study
    sets: list[tuple[str, dict[str, BaseDistribution]]] = field(default_factory=list)
    trial_ids: list[int] = field(default_factory=list)
    evaluation_ids: list[int] = field(default_factory=list)

    def write(self) -> int:
        """Write everything and return the study's id."""
        study = self.found.part(archive.STUDY, StudyPart)
        if study.name != self.found.manifest.study:
            raise self.found.damaged(f"{archive.STUDY} is of the study {study.name!r}")
        if len(study.directions) != len(self.spec.spec.objectives):
            raise self.found.damaged(f"{archive.STUDY}: it does not have the spec's objectives")
        study_id = self._add_study(study)
        self._add_distributions()
        self._add_trials(study_id, len(study.directions))
        self._add_evaluations(study_id)
        self._add(insert(schema.attempt), self._attempts())
        self._add(insert(schema.layer_cost), self._layers())
        self._add(insert(schema.front_event), self._front(study_id))
        return study_id

    def _add_study(self, study: StudyPart) -> int:
        name, table, now = self.spec.name, schema.study, datetime.now(UTC)
        if self.conn.scalar(select(table.c.id).where(table.c.name == name)) is not None:
            raise _taken(name)
        text = canonical_json(self.spec.to_json())
        spec = {"hash": content_hash(text), "kind": "study", "json": text, "created": now}
        insert_once(self.conn, schema.spec, spec)
        origin = {
            "file": self.found.path.name,
            "sha256": self.found.sha256,
            "at": now.isoformat(timespec="seconds"),
        }
        row = {
            "name": name,
            "directions": to_json(study.directions),
            "spec_hash": spec["hash"],
            "user_attrs": to_json({**study.user_attrs, archive.IMPORTED: origin}),
            "system_attrs": to_json(study.system_attrs),
            "n_trials": 0,
            "revision": 1,
            "created": study.created,
        }
        return int(self.conn.execute(insert(table).returning(table.c.id), row).scalar_one())

    def _add_distributions(self) -> None:
        for line in self.found.lines(archive.DISTRIBUTIONS, DistributionsLine):
            try:
                distributions = decode_distributions(to_json(line.distributions))
            except _BAD_ROW as error:
                raise self.found.damaged(f"{archive.DISTRIBUTIONS}: {error}") from error
            text = encode_distributions(distributions)
            digest = content_hash(text)
            insert_once(self.conn, schema.distribution_set, {"hash": digest, "json": text})
            self.sets.append((digest, distributions))

    def _add_trials(self, study_id: int, objectives: int) -> None:
        table = schema.trial
        promoted_from: dict[int, int] = {}
        rows = self._trials(study_id, objectives, promoted_from)
        self._add_returning(table, rows, self.trial_ids)
        promote = update(table).where(table.c.id == bindparam("id_"))
        promotions = [
            {"id_": self.trial_ids[number], "from_": self.trial_ids[below]}
            for number, below in promoted_from.items()
        ]
        if promotions:
            self.conn.execute(promote.values(promoted_from=bindparam("from_")), promotions)
        count = update(schema.study).where(schema.study.c.id == study_id)
        self.conn.execute(count.values(n_trials=len(self.trial_ids)))

    def _trials(
        self, study_id: int, objectives: int, promoted_from: dict[int, int]
    ) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(self.found.lines(archive.TRIALS, TrialLine)):
            where = f"{archive.TRIALS}: trial {line.number}"
            if line.number != number:
                raise self.found.damaged(f"{where} is not in its place")
            if line.promoted_from is not None:
                if line.promoted_from >= number:
                    raise self.found.damaged(f"{where} is promoted from a later one")
                promoted_from[number] = line.promoted_from
            if len(line.values or ()) not in (0, objectives):
                raise self.found.damaged(f"{where} does not have {objectives} values")
            try:
                digest, distributions = self.sets[line.distributions]
                frozen = _frozen(line, distributions)
            except _BAD_ROW as error:
                raise self.found.damaged(f"{where}: {error}") from error
            yield {
                **encode_trial(frozen),
                **line.model_dump(include=_AS_IT_IS),
                "study_id": study_id,
                "dists_hash": digest,
                "revision": 1,
            }

    def _add_evaluations(self, study_id: int) -> None:
        self._add_returning(schema.evaluation, self._evaluations(study_id), self.evaluation_ids)

    def _evaluations(self, study_id: int) -> Iterator[dict[str, Any]]:
        of_trials: set[int] = set()
        for line in self.found.lines(archive.EVALUATIONS, EvaluationLine):
            where = f"{archive.EVALUATIONS}: {line.label!r}"
            if line.trial in of_trials or (line.role == "trial") != (line.trial is not None):
                raise self.found.damaged(f"{where} is not the one evaluation of its trial")
            of_trials |= set() if line.trial is None else {line.trial}
            ended = line.state != "pending"
            scored = line.state == "done"
            if (line.score is not None) != scored or (line.ended is not None) != ended:
                raise self.found.damaged(f"{where} does not have what its state asks for")
            texts = {"candidate": line.candidate, "job": line.job, "score": line.score}
            yield {
                **line.model_dump(include={"role", "label", "state", "fail_reason"}),
                **{k: None if v is None else to_canonical_json(v) for k, v in texts.items()},
                "study_id": study_id,
                "trial_id": None if line.trial is None else self._trial_id(line.trial),
                "key": archive.KEY_PREFIX + line.key,
                "cost": to_json(line.cost),
                "created": line.created,
                "ended": line.ended,
            }

    def _attempts(self) -> Iterator[dict[str, Any]]:
        for line in self.found.lines(archive.ATTEMPTS, AttemptLine):
            evaluation_id = self._evaluation_id(archive.ATTEMPTS, line.evaluation)
            values = line.model_dump(exclude={"evaluation"})
            # Its own token was its owner's to use; this one is as unique and of no use.
            token = f"{archive.KEY_PREFIX}{evaluation_id}:{line.n}"
            yield {"evaluation_id": evaluation_id, "token": token, **values}

    def _layers(self) -> Iterator[dict[str, Any]]:
        for line in self.found.lines(archive.LAYERS, LayerLine):
            values = line.model_dump(exclude={"evaluation", "components"})
            evaluation_id = self._evaluation_id(archive.LAYERS, line.evaluation)
            components = to_json(line.components)
            yield {"evaluation_id": evaluation_id, **values, "components": components}

    def _front(self, study_id: int) -> Iterator[dict[str, Any]]:
        on_front: set[tuple[int | None, int]] = set()
        for seq, line in enumerate(self.found.lines(archive.FRONT, FrontLine), start=1):
            point = (line.rung, line.trial)
            if line.seq != seq or (point in on_front) != (line.action == "remove"):
                raise self.found.damaged(f"{archive.FRONT}: change {line.seq} does not fit")
            on_front ^= {point}
            values = line.model_dump(exclude={"trial"})
            yield {"study_id": study_id, "trial_id": self._trial_id(line.trial), **values}

    def _trial_id(self, number: int) -> int:
        if number >= len(self.trial_ids):
            raise self._dangling(archive.TRIALS, number)
        return self.trial_ids[number]

    def _evaluation_id(self, name: str, place: int) -> int:
        if place >= len(self.evaluation_ids):
            raise self._dangling(name, place)
        return self.evaluation_ids[place]

    def _dangling(self, name: str, place: int) -> StorageError:
        return self.found.damaged(f"{name}: there is no row {place} to refer to")

    def _add(self, statement: Insert, rows: Iterator[dict[str, Any]]) -> None:
        while batch := list(islice(rows, _BATCH)):
            self.conn.execute(statement, batch)

    def _add_returning(self, into: Table, rows: Iterator[dict[str, Any]], ids: list[int]) -> None:
        """Insert rows and append their ids, in their order."""
        statement = insert(into).returning(into.c.id, sort_by_parameter_order=True)
        while batch := list(islice(rows, _BATCH)):
            ids += self.conn.scalars(statement, batch)


def _frozen(line: TrialLine, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    """Build Optuna's trial, which checks that its parts fit together."""
    frozen = create_trial(
        state=TrialState[line.state.upper()],
        values=line.values,
        params=line.params,
        distributions=distributions,
        user_attrs=line.user_attrs,
        system_attrs=line.system_attrs,
        intermediate_values={int(step): value for step, value in line.intermediate.items()},
    )
    if not all(isinstance(value, int | float) for value in frozen.constraints.values()):
        raise ValueError("a constraint is no number")
    if (line.ended is not None) != frozen.state.is_finished():
        raise ValueError(f"a trial that is {line.state} ended at {line.ended}")
    if line.started is None and line.state != "waiting":
        raise ValueError(f"a trial that is {line.state} was never started")
    return frozen
