"""Splits are disjoint, stratified, repeatable, and never look at the test."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.spec.study import DataSpec, DigitsData, FolderData, NpzData, ParquetData
from cimsearch.training.data import load_part
from cimsearch.training.splits import stratified

from .files import digits, write_folder, write_parquet

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=120).map(np.array)
SHARES = st.floats(0.01, 0.99)


@given(LABELS, SHARES, st.integers())
def test_a_split_is_a_partition_in_order(y: np.ndarray, frac: float, seed: int) -> None:
    kept, aside = stratified(y, frac, seed)
    assert sorted([*kept, *aside]) == list(range(len(y)))
    assert list(kept) == sorted(kept)
    assert list(aside) == sorted(aside)


@given(LABELS, SHARES, st.integers())
def test_each_class_gives_its_share(y: np.ndarray, frac: float, seed: int) -> None:
    kept, aside = stratified(y, frac, seed)
    for label in np.unique(y):
        n, found = (y == label).sum(), (y[aside] == label).sum()
        assert (y[kept] == label).any()
        assert found == 0 if n == 1 else found >= 1
        assert abs(found - frac * n) <= 0.5 or found in (0, 1, n - 1)


@given(LABELS, SHARES, st.integers())
def test_a_split_follows_from_its_name(y: np.ndarray, frac: float, seed: int) -> None:
    first, again = stratified(y, frac, "a", seed), stratified(y.copy(), frac, "a", seed)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_seeds_give_other_splits() -> None:
    y = np.arange(1000) % 10
    asides = [set(stratified(y, 0.2, seed)[1].tolist()) for seed in range(3)]
    assert len(asides[0] & asides[1]) < 80
    assert len({frozenset(a) for a in asides}) == 3


def test_the_split_of_the_digits_is_frozen() -> None:
    data = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
    validation = load_part(data, None, "validation")
    assert hashlib.sha256(validation.x.tobytes()).hexdigest()[:16] == "3d296e047bc0ac9f"
    other = load_part(data.model_copy(update={"split_seed": 1}), None, "validation")
    assert not np.array_equal(validation.x, other.x)


def test_shares_are_of_what_is_left() -> None:
    data = DigitsData(
        kind="digits", shape=(1, 8, 8), classes=10, test_frac=0.5, validation_frac=0.1
    )
    sizes = {part: len(load_part(data, None, part).y) for part in ("train", "validation", "test")}
    assert abs(sizes["test"] - 1797 / 2) <= 10
    assert abs(sizes["validation"] - 1797 / 20) <= 10


def test_another_validation_share_leaves_the_test_alone() -> None:
    data = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
    other = data.model_copy(update={"validation_frac": 0.4})
    assert np.array_equal(load_part(data, None, "test").x, load_part(other, None, "test").x)


def on_disk(kind: str, root: Path) -> tuple[DataSpec, Path]:
    """Write a data set of ``kind`` and return where its test side is."""
    if kind == "parquet":
        write_parquet(root)
        return ParquetData(
            kind="parquet", shape=(1, 8, 8), classes=10
        ), root / "test-00000.parquet"
    write_folder(root)
    return FolderData(kind="folder", shape=(1, 8, 8), classes=10), root / "test"


AUDIT = """
import json, os, sys
from pydantic import TypeAdapter
from cimsearch.spec.study import DataSpec
from cimsearch.training.data import load_part

seen = []
def hook(event, args):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(args[0], (str, bytes)):
        seen.append(os.fsdecode(args[0]))
sys.addaudithook(hook)

data = TypeAdapter(DataSpec).validate_json(sys.argv[1])
for part in sys.argv[3:]:
    load_part(data, sys.argv[2], part)
print(json.dumps([name for name in seen if name.startswith(sys.argv[2])]))
"""


def opened(data: DataSpec, root: Path, *parts: str) -> list[str]:
    """Return the paths under ``root`` that a process opened or listed to load ``parts``."""
    arguments = [data.model_dump_json(), str(root), *parts]
    run = subprocess.run([sys.executable, "-c", AUDIT, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return list(json.loads(run.stdout))


@pytest.mark.parametrize("kind", ["parquet", "folder"])
def test_the_search_opens_no_test_file(kind: str, tmp_path: Path) -> None:
    data, test = on_disk(kind, tmp_path)
    for_search = opened(data, tmp_path, "train", "validation")
    assert any("train" in name for name in for_search)
    assert not any(name.startswith(str(test)) for name in for_search)
    assert any(name.startswith(str(test)) for name in opened(data, tmp_path, "test"))


@pytest.mark.parametrize("kind", ["parquet", "folder"])
def test_the_search_parts_do_not_depend_on_the_test_files(kind: str, tmp_path: Path) -> None:
    data, test = on_disk(kind, tmp_path)
    before = [load_part(data, str(tmp_path), part) for part in ("train", "validation")]
    if test.is_dir():
        shutil.rmtree(test)
    else:
        test.write_bytes(b"not Parquet")
    after = [load_part(data, str(tmp_path), part) for part in ("train", "validation")]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.y, b.y)


def test_the_search_does_not_read_the_test_arrays_of_an_npz(tmp_path: Path) -> None:
    x, y = digits()
    file = tmp_path / "d.npz"
    np.savez(file, x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    raw = bytearray(file.read_bytes())
    place = raw.find(x[200:].tobytes())
    raw[place : place + 6400] = bytes(6400)
    file.write_bytes(raw)
    data = NpzData(kind="npz", shape=(1, 8, 8), classes=10)
    assert len(load_part(data, str(file), "train").y) == 160
    assert len(load_part(data, str(file), "validation").y) == 40
    with pytest.raises(Exception, match=r"Bad CRC-32 for file 'x_test\.npy'"):
        load_part(data, str(file), "test")
