"""Files that are damaged, of another version, or made to do harm: one clear line, nothing kept."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cimsearch.errors import StorageError, UsageError
from cimsearch.store import CimStorage, archive, open_storage
from cimsearch.store.archive_import import read_archive
from tests.unit.store.archives import (
    counts,
    declared,
    forged,
    members_of,
    taken,
    write_good,
    write_members,
)

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a good archive."""
    return write_good(tmp_path_factory.mktemp("good"))


@pytest.fixture
def target() -> Iterator[CimStorage]:
    """Return an empty database."""
    storage = open_storage("sqlite:///:memory:")
    yield storage
    storage.close()


def refused(target: CimStorage, path: Path) -> str:
    """Check that a file is refused in one clear line and leaves nothing; return the line."""
    with pytest.raises(StorageError) as caught:
        read_archive(target, path)
    assert "\n" not in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert set(counts(target).values()) == {0}
    return caught.value.message


def put(**values: Any) -> Callable[[Lines], None]:
    """Return a change of the last line."""

    def change(lines: Lines) -> None:
        lines[-1].update(values)

    return change


def swapped(lines: Lines) -> Lines:
    return lines[::-1]


def doubled(lines: Lines) -> Lines:
    return [*lines, lines[-1]]


FORGERIES: list[tuple[str, Callable[[Any], Any], str]] = [
    ("trials.jsonl", put(number=9), "trial 9 is not in its place"),
    ("trials.jsonl", swapped, "trial 4 is not in its place"),
    ("trials.jsonl", put(distributions=7), "trial 4: list index out of range"),
    ("trials.jsonl", put(promoted_from=4), "promoted from a later one"),
    ("trials.jsonl", put(state="complete"), "trials.jsonl: trial 4: "),
    ("trials.jsonl", put(state="finished"), "line 5: state: "),
    ("trials.jsonl", put(params={"width": 1}), "trial 4: "),
    ("trials.jsonl", put(params={"width": 99, "bits": 0, "act": "none"}), "trial 4: "),
    ("trials.jsonl", put(params={"width": [], "bits": 0, "act": "none"}), "trial 4: "),
    ("trials.jsonl", put(started=None), "never started"),
    ("trials.jsonl", put(started="2026-01-01T00:00:00"), "started: "),
    ("trials.jsonl", put(started="0001-01-01T00:00:00+14:00"), "started: "),
    ("trials.jsonl", put(started="9999-12-31T23:59:59+00:00"), "started: "),
    ("trials.jsonl", put(ended="2026-01-01T00:00:00+00:00"), "ended at"),
    ("trials.jsonl", put(values=[1.0]), "does not have 2 values"),
    ("trials.jsonl", put(system_attrs={"constraints": ["x"]}), "a constraint is no number"),
    ("trials.jsonl", put(system_attrs={"constraints": 3}), "trial 4: "),
    ("trials.jsonl", put(fail_reason="a\x00b"), "fail_reason: "),
    ("trials.jsonl", put(rung=2**31), "rung: "),
    ("trials.jsonl", put(rung=-1), "rung: "),
    ("trials.jsonl", put(rung=True), "rung: "),
    ("trials.jsonl", put(id=3), "id: unknown field"),
    ("trials.jsonl", put(intermediate={"x": 1.0}), "intermediate"),
    ("distributions.jsonl", put(distributions={"x": {"name": "Thread"}}), "distributions.jsonl"),
    ("distributions.jsonl", put(distributions={"x": 3}), "distributions.jsonl"),
    ("evaluations.jsonl", put(trial=0), "not the one evaluation of its trial"),
    ("evaluations.jsonl", put(role="trial"), "not the one evaluation of its trial"),
    ("evaluations.jsonl", put(role="trial", trial=99), "no row 99 to refer to"),
    ("evaluations.jsonl", put(role="trial", trial=3), "not the one evaluation of its trial"),
    ("evaluations.jsonl", put(state="done"), "does not have what its state asks for"),
    ("evaluations.jsonl", put(state="running"), "state: "),
    ("evaluations.jsonl", put(score={}), "does not have what its state asks for"),
    ("evaluations.jsonl", put(job="os.system"), "job: "),
    ("attempts.jsonl", put(evaluation=99), "no row 99 to refer to"),
    ("attempts.jsonl", doubled, "its rows do not fit together"),
    ("attempts.jsonl", put(state="running"), "state: "),
    ("layers.jsonl", put(evaluation=99), "no row 99 to refer to"),
    ("layers.jsonl", doubled, "its rows do not fit together"),
    ("layers.jsonl", put(energy_pj=float("nan")), "energy_pj: "),
    ("layers.jsonl", put(energy_pj="1"), "energy_pj: "),
    ("front.jsonl", put(seq=9), "change 9 does not fit"),
    ("front.jsonl", put(trial=99), "no row 99 to refer to"),
    ("front.jsonl", doubled, "does not fit"),
    ("front.jsonl", put(action="remove"), "does not fit"),
    ("study.json", lambda study: {**study, "name": "other"}, "of the study 'other'"),
    ("study.json", lambda study: {**study, "directions": ["maximize"]}, "spec's objectives"),
    ("study.json", lambda study: {**study, "directions": []}, "directions: "),
    ("study.json", lambda study: {**study, "created": "9999-12-31T23:59:59-14:00"}, "created: "),
    ("study.json", lambda _: [1], "study.json: "),
    ("spec/study.json", lambda study: {**study, "name": "../x"}, "cannot read its spec: name"),
    ("spec/study.json", lambda study: {**study, "name": "other"}, "of the study 'other'"),
    ("spec/study.json", lambda study: {**study, "code": "x"}, "cannot read its spec: code"),
    ("spec/space.json", lambda _: [1], "cannot read its spec"),
    ("spec/hardware.json", lambda _: {"name": "x"}, "cannot read its spec"),
]


@pytest.mark.parametrize(("member", "change", "told"), FORGERIES)
def test_rows_that_do_not_fit_are_refused_though_every_hash_does(
    target: CimStorage,
    good: Path,
    tmp_path: Path,
    member: str,
    change: Callable[[Any], Any],
    told: str,
) -> None:
    path = forged(good, tmp_path / "forged.cimstudy", member, change)
    assert told in refused(target, path)


def test_forging_without_a_change_is_no_damage(
    target: CimStorage, good: Path, tmp_path: Path
) -> None:
    path = forged(good, tmp_path / "same.cimstudy", "trials.jsonl", lambda lines: lines)
    assert taken(target, path) == taken(target, good)


@pytest.mark.parametrize(
    "name",
    ["../../evil", "/etc/passwd", "weights/../../x.safetensors", "weights/a.pkl", "notes.txt"],
)
def test_member_of_another_name_is_refused(
    target: CimStorage, good: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "x.cimstudy"
    write_members(path, declared({**members_of(good), name: b"x"}))
    assert f"unknown name '{name}'" in refused(target, path)
    write_members(path, {**members_of(good), name: b"x"})
    assert f"'{name}' is not in the manifest" in refused(target, path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.cimstudy"]


@pytest.mark.parametrize("name", sorted(archive.REQUIRED))
def test_member_that_is_missing_is_told(
    target: CimStorage, good: Path, tmp_path: Path, name: str
) -> None:
    members = members_of(good)
    members.pop(name)
    path = write_members(tmp_path / "x.cimstudy", members)
    assert f"'{name}' is in the manifest only" in refused(target, path)
    assert f"it has no {name}" in refused(target, write_members(path, declared(members)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(
    target: CimStorage, good: Path, tmp_path: Path
) -> None:
    path = write_members(tmp_path / "x.cimstudy", members_of(good))
    with zipfile.ZipFile(path, "a") as whole:
        whole.writestr("trials.jsonl", b"")
    assert "two members of one name" in refused(target, path)


def test_other_packings_are_refused(target: CimStorage, good: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.cimstudy"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as whole:
        for name, content in members_of(good).items():
            whole.writestr(name, content)
    assert "packed in another way" in refused(target, path)
    changed = bytearray(good.read_bytes())
    changed[changed.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(changed)
    assert "encrypted" in refused(target, path)


def test_bombs_do_not_go_off(
    target: CimStorage, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members, path = members_of(good), tmp_path / "x.cimstudy"
    bomb = b'{"a":"' + bytes(3 * 2**20) + b'"}\n'
    # The manifest and the directory of the zip say what they like.
    lied = declared(members)
    lied["trials.jsonl"] = bomb
    write_members(path, lied)
    assert path.stat().st_size < 2**16
    assert "trials.jsonl is not" in refused(target, path)
    changed = bytearray(path.read_bytes())
    size = len(bomb).to_bytes(4, "little")
    where = changed.index(size, changed.index(b"PK\x01\x02"))
    changed[where : where + 4] = len(members["trials.jsonl"]).to_bytes(4, "little")
    path.write_bytes(changed)
    refused(target, path)
    # An honest one is too large: as a whole, or as one line.
    write_members(path, declared({**members, "trials.jsonl": bomb}))
    monkeypatch.setattr(archive, "MAX_JSON_BYTES", 2**20)
    assert "a line is longer than 1048576 bytes" in refused(target, path)
    write_members(path, declared({**members, "study.json": bomb}))
    assert "study.json is longer than 1048576 bytes" in refused(target, path)
    monkeypatch.setattr(archive, "MAX_BYTES", 2**20)
    assert "it holds more than 1048576 bytes" in refused(target, path)


def test_deep_json_is_refused(target: CimStorage, good: Path, tmp_path: Path) -> None:
    deep = b'{"number":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n"
    members = {**members_of(good), "trials.jsonl": deep}
    path = write_members(tmp_path / "x.cimstudy", declared(members))
    assert "recursion limit" in refused(target, path)
    manifest = {**members_of(good), "manifest.json": deep}
    refused(target, write_members(path, manifest))


def test_other_versions_and_other_files_are_told(
    target: CimStorage, good: Path, tmp_path: Path
) -> None:
    path, members = tmp_path / "x.cimstudy", members_of(good)
    write_members(path, declared(members, schema="cimsearch/archive/2"))
    assert "found the schema 'cimsearch/archive/2'; allowed is" in refused(target, path)
    write_members(path, declared(members, study="another"))
    assert "of the study 'tiny'" in refused(target, path)
    write_members(path, declared(members, notes="x"))
    assert "manifest.json: notes: unknown field" in refused(target, path)
    write_members(path, {**members, "manifest.json": json.dumps([1]).encode()})
    assert "found the schema None" in refused(target, path)
    write_members(path, {"notes.txt": b"x"})
    assert "it has no manifest.json" in refused(target, path)
    path.write_bytes(b"no zip at all")
    assert "not the file of a study, or damaged: File is not a zip file" in refused(target, path)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_archive(target, tmp_path / "nowhere.cimstudy")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_archive(target, tmp_path)
