"""What is wrong with data is told in one clear line."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimsearch.errors import DataError, ExitCode
from cimsearch.spec.study import DataSpec, DigitsData, FolderData, ImportData, NpzData, ParquetData
from cimsearch.training import sources
from cimsearch.training.data import Part, load_part
from cimsearch.training.fingerprint import fingerprint

from .files import digits, png, write_folder, write_parquet, write_rows

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
PARQUET = ParquetData(kind="parquet", shape=(1, 8, 8), classes=10)
FOLDER = FolderData(kind="folder", shape=(1, 8, 8), classes=10)
NPZ = NpzData(kind="npz", shape=(1, 1, 4), classes=2)


def fails(data: DataSpec, path: Path | None, match: str, *, part: Part = "train") -> None:
    with pytest.raises(DataError, match=match) as caught:
        load_part(data, None if path is None else str(path), part)
    assert caught.value.exit_code == ExitCode.DATA
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("update", "match"),
    [
        ({"shape": (1, 28, 28)}, r"found images of shape \(1, 8, 8\); the study declares \(1, 28"),
        ({"shape": (3, 8, 8)}, r"found images of shape \(1, 8, 8\); the study declares \(3, 8, 8"),
        ({"classes": 12}, r"digits: found 10 classes \(none of 10, 11\); the study declares 12"),
        ({"classes": 9}, "digits: found labels 0 to 9; allowed is 0 to 8"),
    ],
)
def test_digits_declared_wrongly(update: dict[str, Any], match: str) -> None:
    fails(DIGITS.model_copy(update=update), None, match)


def test_other_digits_than_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    sources._digits.cache_clear()
    monkeypatch.setattr(sources, "DIGITS_SHA256", "other")
    fails(DIGITS, None, "digits have SHA-256 0b7e.*; wanted is other")


@pytest.mark.parametrize("library", ["pyarrow", "PIL"])
def test_a_library_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    write_parquet(tmp_path)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(DataError, match=f"needs {library}") as caught:
        load_part(PARQUET, str(tmp_path), "train")
    assert caught.value.hint == "pip install 'cimsearch[train]'"


@pytest.mark.parametrize(
    ("update", "match"),
    [
        ({"shape": (1, 8, 9)}, "train-00000.*row 0: found an image of 8 x 8, mode L; .* 8 x 9"),
        ({"shape": (4, 8, 8)}, r"mode L; the study declares 8 x 8 with 4 channels \(RGBA\)"),
        ({"shape": (7, 8, 8)}, r"7 channels \(no image mode has so many\)"),
        ({"classes": 12}, r"\(train\): found 10 classes \(none of 10, 11\)"),
        ({"classes": 9}, "row 9: found label 9; allowed is 0 to 8"),
        ({"image_column": "image"}, "has no column 'image'; found are img, label"),
        ({"label_column": "fine"}, "has no column 'fine'; found are img, label"),
        ({"image_column": "label"}, "column 'label' is int64; wanted is struct<bytes: binary"),
        ({"label_column": "img"}, "column 'img' is struct.*; wanted is int64"),
    ],
)
def test_parquet_declared_wrongly(tmp_path: Path, update: dict[str, Any], match: str) -> None:
    fails(PARQUET.model_copy(update=update), write_parquet(tmp_path), match)


def test_parquet_with_nothing_to_read(tmp_path: Path) -> None:
    fails(PARQUET, tmp_path / "no", "no: no such file or directory")
    fails(PARQUET, tmp_path, r"found no train\*\.parquet")
    fails(PARQUET, None, "data has no place")
    write_rows(tmp_path / "train.parquet", [], [])
    fails(PARQUET, tmp_path, "at least one image")


@pytest.mark.parametrize(
    ("image", "label", "match"),
    [
        (b"not an image", 1, "row 3: the image cannot be decoded: not a whole PNG"),
        (b"", 1, "row 3: the image cannot be decoded"),
        ("cut", 1, "row 3: the image cannot be decoded"),
        (None, 1, "row 3: found no image bytes"),
        ("whole", None, "row 3: found label None; allowed is 0 to 9"),
        ("whole", -1, "row 3: found label -1; allowed is 0 to 9"),
        ("whole", 10, "row 3: found label 10; allowed is 0 to 9"),
    ],
)
def test_parquet_with_one_bad_row(
    tmp_path: Path, own_cache: Path, image: Any, label: int | None, match: str
) -> None:
    x, y = digits(20)
    images: list[Any] = [png(pixels) for pixels in x]
    labels: list[Any] = y.tolist()
    images[3] = {"cut": images[3][:60], "whole": images[3]}.get(image, image)
    labels[3] = label
    write_rows(tmp_path / "train.parquet", images, labels)
    fails(PARQUET, tmp_path, match)
    assert not list((own_cache / "images").iterdir())


def test_parquet_that_is_damaged(tmp_path: Path) -> None:
    write_parquet(tmp_path, shards=1)
    file = next(tmp_path.glob("train*"))
    raw = bytearray(file.read_bytes())
    raw[100:4000] = bytes(3900)
    file.write_bytes(raw)
    fails(PARQUET, tmp_path, "train-00000-of-00001.parquet")
    file.write_bytes(raw[:1000])
    fails(PARQUET, tmp_path, "not a Parquet file")


def test_folder_laid_out_wrongly(tmp_path: Path) -> None:
    fails(FOLDER, tmp_path, "found 0 class directories")
    write_folder(tmp_path / "d")
    fails(FOLDER.model_copy(update={"classes": 11}), tmp_path / "d", "found 10 class directories")
    (tmp_path / "d" / "train" / "empty").mkdir()
    more = FOLDER.model_copy(update={"classes": 11})
    fails(more, tmp_path / "d", "found no images of empty")
    (tmp_path / "d" / "train" / "empty").rmdir()
    (tmp_path / "d" / "test" / "strange").mkdir()
    fails(FOLDER, tmp_path / "d", "test: found strange; allowed are the classes", part="test")


def test_folder_without_its_test(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "test").rename(tmp_path / "other")
    fails(FOLDER, tmp_path, "test: no such directory", part="test")
    with pytest.raises(DataError, match="test: no such directory"):
        fingerprint(FOLDER, str(tmp_path))
    (tmp_path / "test").mkdir()
    fails(FOLDER, tmp_path, "test: found no images of digit_0", part="test")


def test_folder_with_a_damaged_image(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "train" / "digit_3" / "0003.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    fails(FOLDER, tmp_path, r"digit_3/0003\.png: the image cannot be decoded")


X = np.arange(80.0).reshape(20, 4)
Y = np.arange(20) % 2


def changed(x: np.ndarray, place: Any, value: float) -> np.ndarray:
    x = x.copy()
    x[place] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"x": X}, "found arrays x; missing is y"),
        ({"a": X, "b": Y}, "found arrays a, b; missing is x and y"),
        ({"x_train": X, "y": Y}, "missing is y_train"),
        ({"x": X, "y": Y[:-1]}, r"images are of shape \(20, 4\), labels of shape \(19,\)"),
        ({"x": X[:0], "y": Y[:0]}, "at least one image"),
        ({"x": np.float64(1), "y": Y}, r"images are of shape \(\)"),
        (
            {"x": X, "y": Y / 1},
            r"labels are float64 of shape \(20,\); allowed are integers 0 to 1",
        ),
        ({"x": X, "y": np.eye(2, dtype=int)[Y]}, r"labels are int64 of shape \(20, 2\)"),
        ({"x": X, "y": Y - 1}, "found labels -1 to 0; allowed is 0 to 1"),
        ({"x": X, "y": Y * 3}, "found labels 0 to 3; allowed is 0 to 1"),
        ({"x": X, "y": Y * 0}, r"found class 0 alone \(none of 1\); the study declares 2"),
        ({"x": X[:, :3], "y": Y}, r"found images of shape \(3,\); the study declares \(1, 1, 4\)"),
        ({"x": changed(X, (7, 2), np.nan), "y": Y}, "1 of 20 images hold NaN .*first image 7"),
        ({"x": changed(X, (5, 0), np.inf), "y": Y}, "1 of 20 images hold .*first image 5"),
        ({"x": changed(X, 4, 1e300), "y": Y}, "1 of 20 images hold NaN or infinity.*image 4"),
        ({"x": X + 1j, "y": Y}, "images are complex128; allowed are uint8 and real numbers"),
        ({"x": X.astype(str), "y": Y}, "images are <U32; allowed are"),
        ({"x": X.astype(object), "y": Y}, "cannot be read: Object arrays cannot be loaded"),
    ],
)
def test_npz_arrays(tmp_path: Path, arrays: dict[str, Any], match: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    fails(NPZ, tmp_path / "d.npz", match)


def test_npz_files(tmp_path: Path) -> None:
    fails(NPZ, tmp_path, "found no .npz file")
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 not a zip")
    fails(NPZ, tmp_path, "found a.npz, b.npz")
    fails(NPZ, tmp_path / "a.npz", "a.npz: cannot be read")
    with pytest.raises(DataError, match="cannot be read: File is not a zip file"):
        fingerprint(NPZ, str(tmp_path / "a.npz"))
    np.save(tmp_path / "single.npy", X)
    fails(NPZ, tmp_path / "single.npy", "holds a single array")
    (tmp_path / "empty.npz").touch()
    fails(NPZ, tmp_path / "empty.npz", "empty.npz: cannot be read")


def test_too_few_images_for_a_part(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=X[:3], y=[0, 0, 1])
    match = "the validation part has 1 images of class 0 alone; needed are 2 classes"
    data = NPZ.model_copy(update={"test_frac": 0.1})
    fails(data, tmp_path / "d.npz", "the test part has 1 images", part="test")
    np.savez(tmp_path / "d.npz", x_train=X[:4], y_train=[0, 0, 0, 1])
    fails(data, tmp_path / "d.npz", match, part="validation")


@pytest.mark.parametrize(
    ("code", "match"),
    [
        ("def load(): return 1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys\n\n\ndef load(): sys.exit(3)", "SystemExit: 3"),
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module"),
        ("def other(): pass", "AttributeError: module 'faulty' has no attribute 'load'"),
        ("load = 3", "TypeError: 'int' object is not callable"),
        ("def load(:", "SyntaxError: invalid syntax"),
        ("def load(): return 5", "it returned a int; wanted is a mapping with x_train"),
        ("def load(): return 1, 2, 3", "it returned a tuple"),
        ("def load(): return {'x': [object()], 'y': [0]}", "x hold Python objects"),
        ("def load(): return [[1, 2], [3]], [0, 1]", "ValueError: setting an array element"),
        ("def load(): return [[1, 2, 3, 4]], [7]", "found labels 7 to 7; allowed is 0 to 1"),
    ],
)
def test_imported_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, match: str
) -> None:
    (tmp_path / "faulty.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    data = ImportData(kind="import", shape=(1, 1, 4), classes=2, target="faulty:load")
    fails(data, None, f"^faulty:load: {match}")
