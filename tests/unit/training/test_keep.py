"""The store of trained networks: what is read is what was written, and there is an end to it."""

import logging
import os
import resource
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
import torch

from cimsearch.errors import UsageError
from cimsearch.training.checkpoint import State, from_bytes, to_bytes
from cimsearch.training.keep import Keep

GENERATOR = torch.Generator().manual_seed(1).get_state()
SIZE_BYTES = 12_000


def content(key: str, numbers: int = 10) -> bytes:
    """A file of about 8 kB, and 4 bytes a number."""
    return to_bytes(State(1, {"w": torch.zeros(numbers)}, {}, GENERATOR), key)


@pytest.fixture(params=["folder", "file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {
        "folder": str(tmp_path / "with space"),
        "file": f"file://{tmp_path}/url",
        "memory": f"memory://{uuid4()}/deep",
    }[request.param]


def test_what_was_put_is_got(place: str) -> None:
    keep = Keep.at(place)
    assert keep.get("parents", "a") is None
    keep.put("parents", "a", content("a"))
    newer = content("a", 11)
    keep.put("parents", "a", newer)
    assert Keep.at(place).get("parents", "a") == newer
    assert keep.get("candidates", "a") is None
    keep.drop("parents", "a")
    keep.drop("parents", "a")
    assert keep.get("parents", "a") is None


@pytest.mark.parametrize("damage", ["a byte", "cut", "empty", "another's"])
def test_a_damaged_file_is_deleted(
    place: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    keep = Keep.at(place)
    keep.put("parents", "a", content("a"))
    files, root = fsspec.core.url_to_fs(place)
    path = f"{root}/networks/parents/a.safetensors"
    whole = files.cat_file(path)
    middle = len(whole) // 2
    flipped = bytes([whole[middle] ^ 0x10])
    damaged = {
        "a byte": whole[:middle] + flipped + whole[middle + 1 :],
        "cut": whole[:middle],
        "empty": b"",
        "another's": content("b"),
    }[damage]
    files.pipe_file(path, damaged)
    assert keep.get("parents", "a") is None
    assert not files.exists(path)
    assert "is damaged: it is deleted and made again" in caplog.text


def test_without_a_place_it_is_the_cache_of_this_machine(tmp_path: Path) -> None:
    Keep.at(None).put("parents", "a", content("a"))
    assert (tmp_path / "cache" / "networks" / "parents" / "a.safetensors").is_file()


def names(place: Path) -> list[str]:
    return sorted(file.stem for file in place.rglob("*.safetensors"))


def aged(place: Path, *keys: str) -> None:
    """Make these look used long ago, the first one longest."""
    for age_s, key in enumerate(reversed(keys), 1):
        (file,) = place.rglob(f"{key}.safetensors")
        time_s = 1e9 - 100 * age_s
        os.utime(file, (time_s, time_s))


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    keep = Keep(str(tmp_path), 3.5 * SIZE_BYTES)
    for key in "abc":
        keep.put("parents", key, content(key, 1250))
    assert len(content("a", 1250)) == pytest.approx(SIZE_BYTES, rel=0.1)
    aged(tmp_path, "a", "b", "c")
    assert keep.get("parents", "a") is not None
    keep.put("candidates", "d", content("d", 1250))
    assert names(tmp_path) == ["a", "c", "d"]


def test_what_was_just_written_stays_and_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    keep = Keep(str(tmp_path), 1.5 * SIZE_BYTES)
    for key in "abc":
        keep.put("parents", key, content(key, 1250))
        assert names(tmp_path) == [key]
    keep.put("parents", "d", content("d", 5000))
    assert names(tmp_path) == ["c"]


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    keep = Keep(str(tmp_path), 2.5 * SIZE_BYTES)
    for key in "ab":
        keep.put("unfinished", key, content(key, 1250))
    aged(tmp_path, "a", "b")
    with keep.hold("a", wait=True):
        keep.put("parents", "c", content("c", 1250))
        assert names(tmp_path) == ["a", "c"]


def test_a_url_has_an_end_as_well() -> None:
    keep = Keep(f"memory://{uuid4()}", 2.5 * SIZE_BYTES)
    for key in "abcd":
        keep.put("parents", key, content(key, 1250))
    assert [key for key in "abcd" if keep.get("parents", key)] == ["c", "d"]


def test_a_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    keep = Keep(str(tmp_path), 1e6)
    with keep.hold("a", wait=True) as alive:
        alive()
        assert (tmp_path / "locks" / "a.lock").exists()
    assert list((tmp_path / "locks").iterdir()) == []


def test_nothing_is_kept_if_so_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE_GB", "0")
    keep = Keep.at(str(tmp_path / "none"))
    keep.put("parents", "a", content("a"))
    with keep.hold("a", wait=True):
        assert keep.get("parents", "a") is None
    assert not (tmp_path / "none").exists()
    assert caplog.text == ""


@pytest.mark.parametrize("text", ["ten", "-1", "nan"])
def test_a_limit_is_a_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE_GB", text)
    with pytest.raises(UsageError, match=f"CIMSEARCH_CACHE_GB: found '{text}'; allowed is"):
        Keep.at(None)


def test_the_limit_is_in_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Keep.at("x").limit_bytes == 10e9
    monkeypatch.setenv("CIMSEARCH_CACHE_GB", "0.5")
    assert Keep.at("x").limit_bytes == 0.5e9


def unusable(place: str, caplog: pytest.LogCaptureFixture) -> str:
    """Use a place in every way; return its one note."""
    keep = Keep.at(place)
    for _ in range(2):
        keep.put("parents", "a", content("a"))
        with keep.hold("a", wait=True) as alive:
            alive()
            assert keep.get("parents", "a") is None
        keep.drop("parents", "a")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    return record.getMessage()


def test_an_unusable_place_is_noted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    note = unusable(str(tmp_path / "file"), caplog)
    assert note.startswith(f"the cache {tmp_path}/file cannot be used: ")
    assert "evaluations go on without it (set CIMSEARCH_CACHE, or cluster.cache" in note
    assert "\n" not in note


def test_a_write_that_is_cut_off_leaves_what_was_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep, older = Keep(str(tmp_path), 1e9), content("a")
    keep.put("parents", "a", older)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        keep.put("parents", "a", content("a", 1250))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be used: OSError" in caplog.text
    assert keep.get("parents", "a") == older
    assert len(list((tmp_path / "networks" / "parents").iterdir())) == 1


def test_an_unknown_kind_of_url_is_noted_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    note = unusable(f"xyz{uuid4().hex[:6]}://user:s3cret@host/bucket", caplog)
    assert "://user:***@host/bucket cannot be used: ValueError: Protocol not known" in note
    assert "s3cret" not in note


def test_files_are_read_as_they_were_taken() -> None:
    state = State(
        3,
        {"operations.a/b.weight": torch.randn(2, 3, 2, 2), "n": torch.tensor(4)},
        {"operations.a/b.weight": torch.randn(2, 3, 2, 2)},
        GENERATOR,
    )
    found = from_bytes(to_bytes(state, "k", {"more": "x"}))
    assert found.epoch == 3
    assert torch.equal(found.generator, GENERATOR)
    for before, after in ((state.weights, found.weights), (state.momentum, found.momentum)):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
