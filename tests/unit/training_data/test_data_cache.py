"""The cache: decoded once, noticed when damaged, safe with several processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cimsearch.errors import DataError
from cimsearch.spec.study import FolderData, ParquetData
from cimsearch.training import decode
from cimsearch.training.cache import cache_dir, content_digest
from cimsearch.training.data import load_part

from .files import write_folder, write_parquet

DATA = ParquetData(kind="parquet", shape=(1, 8, 8), classes=10)


def files_in(cache: Path) -> list[Path]:
    return sorted((cache / "images").iterdir())


def settle(*files: Path) -> None:
    """Make files look as if they had been written an hour ago; wait for the change time."""
    for file in files:
        os.utime(file, (time.time() - 3600,) * 2)
    time.sleep(2.1)


def test_images_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path)
    first = load_part(DATA, str(tmp_path), "train")

    def not_again(raw: bytes, shape: object, where: str) -> None:
        raise AssertionError(where)

    monkeypatch.setattr(decode, "decode_image", not_again)
    again = load_part(DATA, str(tmp_path), "train")
    np.testing.assert_array_equal(first.x, again.x)


def test_moved_data_is_not_decoded_again(tmp_path: Path, own_cache: Path) -> None:
    write_parquet(tmp_path / "a")
    load_part(DATA, str(tmp_path / "a"), "train")
    known = files_in(own_cache)
    (tmp_path / "a").rename(tmp_path / "b")
    load_part(DATA, str(tmp_path / "b"), "validation")
    assert files_in(own_cache) == known


def test_changed_data_is_decoded_again(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a", train=200)
    before = load_part(DATA, str(tmp_path / "a"), "train")
    write_parquet(tmp_path / "a", train=150)
    assert len(load_part(DATA, str(tmp_path / "a"), "train").y) < len(before.y)


@pytest.mark.parametrize("end", ["x.npy", "y.npy", "json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone"])
def test_damaged_files_are_made_again(
    tmp_path: Path, own_cache: Path, end: str, damage: str
) -> None:
    write_parquet(tmp_path, train=50, test=10, shards=1)
    before = load_part(DATA, str(tmp_path), "train")
    (file,) = (f for f in files_in(own_cache) if f.name.endswith(end))
    raw = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "flipped":
        raw[-3] ^= 1
        file.write_bytes(raw)
    else:
        file.write_bytes(raw[: len(raw) // 2 if damage == "cut" else 0])
    after = load_part(DATA, str(tmp_path), "train")
    np.testing.assert_array_equal(before.x, after.x)
    np.testing.assert_array_equal(before.y, after.y)


def test_two_processes_decode_at_once(tmp_path: Path, own_cache: Path) -> None:
    write_parquet(tmp_path, train=1200, test=100)
    code = (
        "import sys, hashlib\n"
        "from cimsearch.spec.study import ParquetData\n"
        "from cimsearch.training.data import load_part\n"
        "data = ParquetData(kind='parquet', shape=(1, 8, 8), classes=10)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "part = load_part(data, sys.argv[1], 'train')\n"
        "print(hashlib.sha256(part.x.tobytes() + part.y.tobytes()).hexdigest())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    results = []
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        results.append(worker.communicate(timeout=60)[0])
        assert worker.returncode == 0
    assert results[0] == results[1]
    assert [f.suffix for f in files_in(own_cache)] == [".json", ".npy", ".npy"]


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "d")
    (tmp_path / "file").touch()
    monkeypatch.setenv("CIMSEARCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="file cannot be written") as caught:
        load_part(DATA, str(tmp_path / "d"), "train")
    assert "CIMSEARCH_CACHE" in caught.value.hint


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIMSEARCH_CACHE", "~/own")
    assert cache_dir() == Path.home() / "own"
    monkeypatch.delenv("CIMSEARCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_dir() == Path("/somewhere/cimsearch")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "cimsearch"


def test_digests_are_remembered_but_changes_noticed(tmp_path: Path, own_cache: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    first = content_digest({"a": file})
    assert not (own_cache / "digests").exists(), "a file of this moment may change unnoticed"
    settle(file)
    assert content_digest({"a": file}) == first
    (memo,) = (own_cache / "digests").iterdir()
    assert memo.read_text() == first
    memo.write_text("f" * 64)
    assert content_digest({"a": file}) == "f" * 64, "it was not read again"
    memo.write_text("damaged")
    assert content_digest({"a": file}) == first
    stamp = file.stat().st_mtime_ns
    file.write_bytes(b"two")
    os.utime(file, ns=(stamp, stamp))
    assert content_digest({"a": file}) != first, "same size, same time stamp, other content"


def test_a_folder_is_cached_by_names_and_contents(tmp_path: Path, own_cache: Path) -> None:
    data = FolderData(kind="folder", shape=(1, 8, 8), classes=10)
    write_folder(tmp_path)
    before = load_part(data, str(tmp_path), "train")
    (tmp_path / "train" / "digit_0").rename(tmp_path / "train" / "zero")
    after = load_part(data, str(tmp_path), "train")
    assert len(files_in(own_cache)) == 6
    assert (before.y == 0).sum() == (after.y == 9).sum()
