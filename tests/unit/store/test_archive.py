"""A study as a file: equal studies give equal bytes, and what was written comes back equal."""

import json
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.errors import StudyError, UsageError
from cimsearch.spec import Study
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.archive_export import write_archive
from cimsearch.store.archive_import import read_archive
from cimsearch.store.archive_places import (
    job_without_places,
    spec_without_places,
    text_without_places,
)
from cimsearch.store.records import (
    add_trial,
    create_study,
    evaluations,
    find_score,
    find_study,
    imported_from,
    list_studies,
    load_spec,
    trial_rows,
)
from tests.unit.store.archives import full_study, members_of, read_tiny, table_of
from tests.unit.store.builders import complete, failed, new_evaluation, new_trial


@pytest.fixture
def shared(tiny_study: Study, tmp_path: Path) -> tuple[CimStorage, int]:
    """Return a storage with a study that has a row of every kind, one of them running."""
    storage = open_storage(f"sqlite:///{tmp_path / 'own.db'}")
    return storage, full_study(storage, tiny_study)


def test_equal_studies_give_equal_bytes(shared: tuple[CimStorage, int], tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_archive(*shared, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_archive_comes_back_as_it_was_on_either_database(
    shared: tuple[CimStorage, int], database_url: str, tmp_path: Path
) -> None:
    first, again = tmp_path / "a.cimstudy", tmp_path / "b.cimstudy"
    write_archive(*shared, first)
    there = open_storage(database_url)
    other = create_study(
        there, name="mine", directions=["minimize"], spec_hash=None, user_attrs={}
    )
    add_trial(there, other, new_trial(5), evaluation=new_evaluation("mine"), finished=None)
    study_id = read_archive(there, first)
    write_archive(there, study_id, again)
    assert first.read_bytes() == again.read_bytes()

    copied, own = table_of(there, study_id), table_of(*shared)
    for name in ("trials", "prices", "layers", "front"):
        if name == "trials":
            assert copied[name][2].fail_reason == "DataError: <path>: no such file (data.py:3)"
            copied[name][2] = replace(copied[name][2], fail_reason=own[name][2].fail_reason)
        assert copied[name] == own[name]
    states = [(e[0], e[3]) for e in copied["evaluations"]]
    assert states == [
        ("trial", "done"),
        ("trial", "failed"),
        ("trial", "done"),
        ("trial", "pending"),
        ("baseline", "pending"),
    ]
    told = [[(n, worker, state) for n, worker, state, *_ in tries] for tries in copied["attempts"]]
    assert told == [
        [],
        [(1, "worker 1", "lost"), (2, "worker 2", "failed")],
        [(1, "worker 3", "lost"), (2, "worker 2", "done")],
        [(1, "worker 4", "lost")],
        [],
    ]
    assert [row.name for row in list_studies(there)] == ["mine", "tiny"]
    # Optuna's own objects read it too, and one's own study goes on.
    assert [t.number for t in there.get_all_trials(study_id)] == [0, 1, 2, 3, 4]
    add_trial(there, other, new_trial(6), evaluation=None, finished=None)
    there.close()


def test_two_copies_stand_beside_each_other(
    shared: tuple[CimStorage, int], tmp_path: Path
) -> None:
    storage, _ = shared
    path = tmp_path / "given.cimstudy"
    write_archive(*shared, path)
    with pytest.raises(StudyError, match="'tiny' exists already") as caught:
        read_archive(storage, path)
    assert "--as NAME" in caught.value.hint
    read_archive(storage, path, name="theirs")
    read_archive(storage, path, name="theirs.2")
    for name in ("../x", "Tiny", "", "a" * 65, "a\x00"):
        with pytest.raises(UsageError, match="--as: found"):
            read_archive(storage, path, name=name)
    assert [row.name for row in list_studies(storage)] == ["tiny", "theirs", "theirs.2"]
    own, theirs = find_study(storage, "tiny"), find_study(storage, "theirs")
    assert own is not None
    assert theirs is not None
    assert imported_from(own) is None
    assert imported_from(theirs) == "given.cimstudy"
    assert Study.from_json(load_spec(storage, theirs.spec_hash or "")).name == "theirs"
    origin = theirs.user_attrs["imported"]
    assert set(origin) == {"file", "sha256", "at"}
    assert len(origin["sha256"]) == 64


def test_imported_scores_are_never_taken_for_ones_own(
    shared: tuple[CimStorage, int], tmp_path: Path
) -> None:
    write_archive(*shared, tmp_path / "a.cimstudy")
    assert find_score(shared[0], "known") is not None
    there = open_storage("sqlite:///:memory:")
    study_id = read_archive(there, tmp_path / "a.cimstudy")
    assert find_score(there, "known") is None
    assert [row.score is not None for row in evaluations(there, study_id)].count(True) == 2
    there.close()


def test_nothing_in_it_tells_where_its_owner_works(
    shared: tuple[CimStorage, int], tmp_path: Path
) -> None:
    write_archive(*shared, tmp_path / "a.cimstudy")
    text = b"".join(members_of(tmp_path / "a.cimstudy").values()).decode()
    for private in ("/home", "/ada", "10.0.0", "node7", str(tmp_path)):
        assert private not in text
    with zipfile.ZipFile(tmp_path / "a.cimstudy") as whole:
        assert {info.date_time[0] for info in whole.infolist()} == {1980}


def test_places_are_left_out_of_specs_and_jobs() -> None:
    study = {
        "name": "s",
        "space": "./spaces/mine.yaml",
        "hardware": "macros/yu_cicc_2020",
        "data": {"kind": "npz", "path": "/data/x.npz"},
        "cluster": {"cache": "/scratch/ada", "slurm": {"account": "p123"}},
    }
    spec = {"study": study, "space": {"name": "mine"}, "hardware": {"name": "yu_cicc_2020"}}
    assert spec_without_places(json.dumps(spec))["study"] == {
        "name": "s",
        "space": "mine",
        "hardware": "macros/yu_cicc_2020",
        "data": {"kind": "npz", "path": None},
    }
    job = {"data_path": "/d", "cache": "s3://b/c", "data": {"path": "/d", "kind": "npz"}, "n": 1}
    left = {"data_path": None, "cache": None, "data": {"path": None, "kind": "npz"}, "n": 1}
    assert job_without_places(job) == left
    assert job_without_places({"n": 1}) == {"n": 1}
    assert job_without_places({"job": job, "n": 1}) == {"job": left, "n": 1}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (None, None),
        ("time limit: ran longer than 10 s", "time limit: ran longer than 10 s"),
        ("1.5 TOPS/W, and/or w/x/y bits 4/8", "1.5 TOPS/W, and/or w/x/y bits 4/8"),
        ("OSError: '/scratch/ada/x': full", "OSError: '<path>': full"),
        ("in ~/data/train.npz (data.py:3)", "in <path> (data.py:3)"),
        ("lost tcp://10.1.2.3:4455, twice", "lost <address>, twice"),
        ("cache s3://bucket/ada/c gone", "cache <address> gone"),
        ("http://minio.ada:9000/b (x.py:1)", "<address> (x.py:1)"),
        (
            "connect to 10.0.0.3:8786: refused by 10.0.0.4.",
            "connect to <address>: refused by <address>.",
        ),
        ("version 1.2.3.4.5, torch 2.9.0", "version 1.2.3.4.5, torch 2.9.0"),
        ("No such file or directory: '/ada'", "No such file or directory: '<path>'"),
        ('no "/home/ada l/my data" (x.py:1)', 'no "<path>" (x.py:1)'),
    ],
)
def test_places_are_left_out_of_reasons(text: str | None, left: str | None) -> None:
    assert text_without_places(text) == left


def test_file_that_cannot_be_written_is_told_and_left(
    shared: tuple[CimStorage, int], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_archive(*shared, tmp_path / "no" / "a.cimstudy")
    path = tmp_path / "a.cimstudy"
    path.write_text("as it was")

    def broken() -> Any:
        yield "trial-0.safetensors", b"123"
        raise StudyError("not kept")

    with pytest.raises(StudyError, match="not kept"):
        write_archive(*shared, path, weights=broken())
    assert path.read_text() == "as it was"
    assert [p.name for p in tmp_path.glob("*a.cimstudy*")] == ["a.cimstudy"]


def test_weights_go_along_and_are_checked(shared: tuple[CimStorage, int], tmp_path: Path) -> None:
    path = tmp_path / "a.cimstudy"
    write_archive(*shared, path, weights=[("trial-0.safetensors", b"network")])
    assert members_of(path)["weights/trial-0.safetensors"] == b"network"
    there = open_storage("sqlite:///:memory:")
    read_archive(there, path)
    assert len(list_studies(there)) == 1
    there.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    attrs=st.dictionaries(st.text(), JSON, max_size=4),
    values=st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
    reason=st.text(max_size=40) | st.just("x" * 20_000) | st.just("/a/b" * 5000),
)
@settings(max_examples=15, deadline=None)
def test_whatever_a_study_holds_comes_back(
    attrs: dict[str, Any], values: tuple[float, float], reason: str
) -> None:
    own, there = open_storage("sqlite:///:memory:"), open_storage("sqlite:///:memory:")
    with tempfile.TemporaryDirectory() as folder:
        study_id = full_study(own, read_tiny(Path(folder)))
        own.set_study_user_attr(study_id, "given", attrs)
        new = new_trial(7, user_attrs=attrs)
        add_trial(own, study_id, new, evaluation=None, finished=complete(*values))
        add_trial(own, study_id, new, evaluation=None, finished=failed(reason))
        first, again = Path(folder) / "a", Path(folder) / "b"
        write_archive(own, study_id, first)
        found = read_archive(there, first)
        write_archive(there, found, again)
        assert first.read_bytes() == again.read_bytes()
    left, right = trial_rows(own, study_id), trial_rows(there, found)
    assert right[-2].values == left[-2].values
    for mine, copied in zip(left, right, strict=True):
        assert repr(mine.user_attrs) == repr(copied.user_attrs)
        assert (mine.params, mine.started, mine.ended) == (
            copied.params,
            copied.started,
            copied.ended,
        )
    own.close()
    there.close()
