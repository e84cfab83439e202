"""The fingerprint says what the data is: not where it lies, and not what it is used for."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cimsearch.errors import DataError
from cimsearch.spec.study import (
    Augmentation,
    DataSpec,
    DigitsData,
    FolderData,
    ImportData,
    NpzData,
    ParquetData,
)
from cimsearch.training.fingerprint import fingerprint

from .files import digits, write_folder, write_parquet

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
PARQUET = ParquetData(kind="parquet", shape=(1, 8, 8), classes=10)
FOLDER = FolderData(kind="folder", shape=(1, 8, 8), classes=10)
NPZ = NpzData(kind="npz", shape=(1, 8, 8), classes=10)


def test_the_digits_are_frozen() -> None:
    expected = "f194c3caf41e3b7d3c28d7e5c5d928102c56a0658962781b31db4377a8d0c70c"
    assert fingerprint(DIGITS, None) == expected


def test_splits_count_and_uses_do_not() -> None:
    known = fingerprint(DIGITS, None)
    for change in ({"split_seed": 1}, {"validation_frac": 0.3}, {"test_frac": 0.3}):
        assert fingerprint(DIGITS.model_copy(update=change), None) != known
    used = DIGITS.model_copy(update={"augmentation": Augmentation(flip=True)})
    assert fingerprint(used, None) == known


def test_parquet(tmp_path: Path) -> None:
    first = fingerprint(PARQUET, str(write_parquet(tmp_path / "a")))
    assert fingerprint(PARQUET, str(write_parquet(tmp_path / "b"))) == first
    columns = PARQUET.model_copy(update={"label_column": "coarse"})
    assert fingerprint(columns, str(tmp_path / "a")) != first
    with (tmp_path / "b" / "test-00000.parquet").open("ab") as file:
        file.write(b" ")
    assert fingerprint(PARQUET, str(tmp_path / "b")) != first, "the test is part of the data"
    (tmp_path / "b" / "test-00000.parquet").unlink()
    with pytest.raises(DataError, match=r"found no test\*\.parquet"):
        fingerprint(PARQUET, str(tmp_path / "b"))


@pytest.mark.parametrize("sides", [("train", "test"), ("",)])
def test_folder(tmp_path: Path, sides: tuple[str, ...]) -> None:
    first = fingerprint(FOLDER, str(write_folder(tmp_path / "a", sides=sides)))
    root = write_folder(tmp_path / "b", sides=sides)
    assert fingerprint(FOLDER, str(root)) == first
    image = next((root / sides[-1] / "digit_4").iterdir())
    image.rename(root / sides[-1] / "digit_5" / image.name)
    assert fingerprint(FOLDER, str(root)) != first


def test_npz_counts_arrays_and_not_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = digits()
    np.savez(tmp_path / "a.npz", x=x, y=y)
    later = time.localtime(time.time() + 86400)
    monkeypatch.setattr(time, "localtime", lambda *_: later)
    np.savez_compressed(tmp_path / "b.npz", x=x, y=y)
    monkeypatch.undo()
    assert (tmp_path / "a.npz").read_bytes() != (tmp_path / "b.npz").read_bytes()
    monkeypatch.setenv("CIMSEARCH_CACHE", str(tmp_path / "cache"))
    first = fingerprint(NPZ, str(tmp_path / "a.npz"))
    assert fingerprint(NPZ, str(tmp_path / "b.npz")) == first
    np.savez(tmp_path / "a.npz", x=x, y=y[::-1])
    assert fingerprint(NPZ, str(tmp_path / "a.npz")) != first


def test_imported_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counted.py").write_text(
        "import numpy as np\n"
        "start = 0\n"
        "def load(): return np.arange(start, start + 40.0).reshape(20, 2), np.arange(20) % 2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "counted", raising=False)
    data = ImportData(kind="import", shape=(1, 1, 2), classes=2, target="counted:load")
    first = fingerprint(data, None)
    assert fingerprint(data, None) == first
    monkeypatch.setattr(sys.modules["counted"], "start", 1)
    assert fingerprint(data, None) != first


def test_no_training_library_is_needed(tmp_path: Path) -> None:
    write_parquet(tmp_path / "parquet")
    write_folder(tmp_path / "folder")
    np.savez(tmp_path / "d.npz", x=digits()[0], y=digits()[1])
    code = (
        "import sys\n"
        "for name in ('torch', 'sklearn', 'pyarrow', 'PIL'): sys.modules[name] = None\n"
        "from pydantic import TypeAdapter\n"
        "from cimsearch.spec.study import DataSpec\n"
        "from cimsearch.training.fingerprint import fingerprint\n"
        "for data, path in zip(sys.argv[1::2], sys.argv[2::2]):\n"
        "    print(fingerprint(TypeAdapter(DataSpec).validate_json(data), path))\n"
    )
    places: dict[DataSpec, str] = {DIGITS: "", PARQUET: "parquet", FOLDER: "folder", NPZ: "d.npz"}
    pairs = [(data, str(tmp_path / place)) for data, place in places.items()]
    arguments = [text for data, path in pairs for text in (data.model_dump_json(), path)]
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [fingerprint(data, path) for data, path in pairs]
