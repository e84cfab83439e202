"""Writing a study into a file that others can read."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sqlalchemy import Connection, Select, select

import cimsearch
from cimsearch.errors import UsageError
from cimsearch.store import archive, schema
from cimsearch.store.archive_places import (
    attrs_without_places,
    job_without_places,
    spec_without_places,
    text_without_places,
)
from cimsearch.store.encoding import from_json, to_json
from cimsearch.store.storage import CimStorage

_EPOCH = (1980, 1, 1, 0, 0, 0)
_BATCH = 200


def write_archive(
    storage: CimStorage,
    study_id: int,
    path: Path,
    *,
    weights: Iterable[tuple[str, bytes]] = (),
) -> None:
    """Write a study that has a spec to a file, which is whole or as it was before.

    Equal studies give equal bytes. Where the owner's data, cache and workers are is left out, and
    so is what was running: its evaluations are written as still to be done.

    Args:
        storage: The storage.
        study_id: The study.
        path: The file, replaced if there is one.
        weights: Trained networks by name (``NAME.safetensors``), each taken when it is its turn.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        with _replacing(path) as file, ZipFile(file, "w", ZIP_DEFLATED, compresslevel=6) as whole:
            writer = _Writer(whole)
            with storage.session.reading() as conn:
                name = _Export(conn, study_id, writer).write()
            for member, content in weights:
                writer.add(f"weights/{member}", iter([content]))
            writer.add_manifest(name)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a file that takes the place of ``path`` once it is whole and on disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Writer:
    whole: ZipFile
    members: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, chunks: Iterator[bytes]) -> None:
        """Write a member and note its size and hash."""
        digest, size = hashlib.sha256(), 0
        with self.whole.open(_entry(name), "w", force_zip64=True) as member:
            for chunk in chunks:
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self.members[name] = {"bytes": size, "sha256": digest.hexdigest()}

    def add_lines(self, name: str, rows: Iterator[dict[str, Any]]) -> None:
        self.add(name, (f"{to_json(row)}\n".encode() for row in rows))

    def add_readable(self, name: str, data: Any) -> None:
        self.add(name, iter([_readable(data)]))

    def add_manifest(self, study: str) -> None:
        manifest = {
            "schema": archive.SCHEMA,
            "cimsearch": cimsearch.__version__,
            "layout": schema.SCHEMA,
            "study": study,
            "members": self.members,
        }
        with self.whole.open(_entry(archive.MANIFEST), "w") as member:
            member.write(_readable(manifest))


def _entry(name: str) -> ZipInfo:
    # No time of writing and no owner: equal studies give equal bytes.
    entry = ZipInfo(name, _EPOCH)
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _readable(data: Any) -> bytes:
    return f"{json.dumps(data, indent=2, sort_keys=True)}\n".encode()


@dataclass(frozen=True)
class _Export:
    """Reads a study's rows in a fixed order; rows refer to each other by number or place."""

    conn: Connection
    study_id: int
    writer: _Writer
    numbers: dict[int, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    sets: dict[str, int] = field(default_factory=dict)
    workers: dict[str, str] = field(default_factory=dict)

    def write(self) -> str:
        """Write all members but the manifest, and return the study's name."""
        row = self.conn.execute(
            select(schema.study).where(schema.study.c.id == self.study_id)
        ).one()
        spec = self.conn.scalar(
            select(schema.spec.c.json).where(schema.spec.c.hash == row.spec_hash)
        )
        study = {
            "name": row.name,
            "directions": from_json(row.directions),
            "user_attrs": attrs_without_places(from_json(row.user_attrs)),
            "system_attrs": from_json(row.system_attrs),
            "created": _time(row.created),
        }
        self.writer.add_readable(archive.STUDY, study)
        for part, data in spec_without_places(str(spec)).items():
            self.writer.add_readable(f"spec/{part}.json", data)
        self._write_lines(archive.TRIALS, self._trials)
        self._write_lines(archive.DISTRIBUTIONS, self._distributions)
        self._write_lines(archive.EVALUATIONS, self._evaluations)
        self._write_lines(archive.ATTEMPTS, self._attempts)
        self._write_lines(archive.LAYERS, self._layers)
        self._write_lines(archive.FRONT, self._front)
        return str(row.name)

    def _write_lines(self, name: str, rows: Callable[[], Iterator[dict[str, Any]]]) -> None:
        self.writer.add_lines(name, rows())

    def _rows(self, query: Select[Any]) -> Iterator[Any]:
        return iter(self.conn.execute(query.execution_options(yield_per=_BATCH)))

    def _trials(self) -> Iterator[dict[str, Any]]:
        trial = schema.trial
        query = select(trial).where(trial.c.study_id == self.study_id).order_by(trial.c.number)
        for row in self._rows(query):
            self.numbers[row.id] = row.number
            yield {
                "number": row.number,
                "state": row.state,
                "params": from_json(row.params),
                "distributions": self.sets.setdefault(row.dists_hash, len(self.sets)),
                "values": _parsed(row.values),
                "intermediate": from_json(row.intermediate),
                "user_attrs": from_json(row.user_attrs),
                "system_attrs": from_json(row.system_attrs),
                "candidate_hash": row.candidate_hash,
                "rung": row.rung,
                "promoted_from": self.numbers.get(row.promoted_from),
                "started": _time(row.started),
                "ended": _time(row.ended),
                "fail_reason": text_without_places(row.fail_reason),
            }

    def _distributions(self) -> Iterator[dict[str, Any]]:
        table = schema.distribution_set
        for digest in self.sets:
            text = self.conn.scalar(select(table.c.json).where(table.c.hash == digest))
            yield {"distributions": from_json(str(text))}

    def _evaluations(self) -> Iterator[dict[str, Any]]:
        evaluation = schema.evaluation
        of_study = select(evaluation).where(evaluation.c.study_id == self.study_id)
        for row in self._rows(of_study.order_by(evaluation.c.id)):
            self.places[row.id] = len(self.places)
            yield {
                "role": row.role,
                "label": row.label,
                "trial": self.numbers.get(row.trial_id),
                "key": row.key.removeprefix(archive.KEY_PREFIX),
                "candidate": from_json(row.candidate),
                "cost": from_json(row.cost),
                "job": job_without_places(from_json(row.job)),
                "state": "pending" if row.state == "running" else row.state,
                "score": _parsed(row.score),
                "fail_reason": text_without_places(row.fail_reason),
                "created": _time(row.created),
                "ended": _time(row.ended),
            }

    def _attempts(self) -> Iterator[dict[str, Any]]:
        attempt, evaluation = schema.attempt, schema.evaluation
        query = (
            select(attempt)
            .join(evaluation)
            .where(evaluation.c.study_id == self.study_id, attempt.c.state != "running")
            .order_by(attempt.c.evaluation_id, attempt.c.n)
        )
        for row in self._rows(query):
            alias = f"worker {len(self.workers) + 1}"
            yield {
                "evaluation": self.places[row.evaluation_id],
                "n": row.n,
                "worker": self.workers.setdefault(row.worker, alias) if row.worker else "",
                "state": row.state,
                "started": _time(row.started),
                "ended": _time(row.ended),
                "reason": text_without_places(row.reason),
            }

    def _layers(self) -> Iterator[dict[str, Any]]:
        layer, evaluation = schema.layer_cost, schema.evaluation
        query = (
            select(layer)
            .join(evaluation)
            .where(evaluation.c.study_id == self.study_id)
            .order_by(layer.c.evaluation_id, layer.c.layer_index)
        )
        for row in self._rows(query):
            values = dict(row._mapping)
            place = self.places[values.pop("evaluation_id")]
            components = from_json(values.pop("components"))
            yield {"evaluation": place, **values, "components": components}

    def _front(self) -> Iterator[dict[str, Any]]:
        event = schema.front_event
        query = select(event).where(event.c.study_id == self.study_id).order_by(event.c.seq)
        for row in self._rows(query):
            yield {
                "seq": row.seq,
                "rung": row.rung,
                "trial": self.numbers[row.trial_id],
                "action": row.action,
                "hypervolume": row.hypervolume,
            }


def _parsed(text: str | None) -> Any:
    return None if text is None else from_json(text)


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
