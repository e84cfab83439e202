"""Every kind of data gives the parts it should."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from cimsearch.spec.study import DataSpec, DigitsData, FolderData, ImportData, NpzData, ParquetData
from cimsearch.training.data import Images, Part, load_part
from cimsearch.training.inspect import check

from .files import digits, png, write_folder, write_parquet, write_rows

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
PARQUET = ParquetData(kind="parquet", shape=(1, 8, 8), classes=10)
FOLDER = FolderData(kind="folder", shape=(1, 8, 8), classes=10)
NPZ = NpzData(kind="npz", shape=(1, 8, 8), classes=10)


def parts_of(data: DataSpec, path: str | None) -> dict[Part, Images]:
    return {part: load_part(data, path, part) for part in get_args(Part)}


def as_set(images: Images) -> set[bytes]:
    return {image.tobytes() for image in images.x}


def test_digits() -> None:
    parts = parts_of(DIGITS, None)
    assert sum(len(p.y) for p in parts.values()) == 1797
    assert all(p.x.shape[1:] == (1, 8, 8) and p.x.dtype == np.uint8 for p in parts.values())
    assert all(p.y.dtype == np.int64 for p in parts.values())
    assert parts["train"].x.max() == 255
    assert len(set().union(*map(as_set, parts.values()))) == 1797
    levels = np.unique(parts["train"].x).astype(np.float64)
    np.testing.assert_allclose(levels / 255, np.arange(17) / 16, atol=0.5 / 255)


def test_parquet_of_several_shards(tmp_path: Path) -> None:
    parts = parts_of(PARQUET, str(write_parquet(tmp_path / "d", shards=3)))
    x, y = digits(300)
    assert {p: len(i.y) for p, i in parts.items()} == {"train": 160, "validation": 40, "test": 100}
    np.testing.assert_array_equal(parts["test"].x[:, 0], x[200:])
    np.testing.assert_array_equal(parts["test"].y, y[200:])
    assert as_set(parts["train"]) | as_set(parts["validation"]) == {i.tobytes() for i in x[:200]}
    by_image = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    train = parts["train"]
    assert all(by_image[i.tobytes()] == k for i, k in zip(train.x, train.y, strict=True))


def test_parquet_columns_of_other_names(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    write_parquet(tmp_path)
    for file in tmp_path.glob("*.parquet"):
        table = parquet.read_table(file).rename_columns(["image", "fine_label"])
        parquet.write_table(table.append_column("extra", pa.nulls(len(table))), file)
    data = PARQUET.model_copy(update={"image_column": "image", "label_column": "fine_label"})
    assert len(load_part(data, str(tmp_path), "test").y) == 100


def test_folder_with_a_test_side(tmp_path: Path) -> None:
    parts = parts_of(FOLDER, str(write_folder(tmp_path)))
    x, y = digits()
    order = sorted(range(150, 300), key=lambda i: (y[i], i))
    np.testing.assert_array_equal(parts["test"].x[:, 0], x[order])
    np.testing.assert_array_equal(parts["test"].y, y[order])
    assert len(parts["train"].y) + len(parts["validation"].y) == 150
    assert check(FOLDER, str(tmp_path)).class_names == tuple(f"digit_{c}" for c in range(10))


def test_flat_folder_is_split(tmp_path: Path) -> None:
    write_folder(tmp_path, sides=("",))
    (tmp_path / "readme.txt").write_text("not an image")
    (tmp_path / "digit_0" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    parts = parts_of(FOLDER, str(tmp_path))
    assert sum(len(p.y) for p in parts.values()) == 300
    assert len(set().union(*map(as_set, parts.values()))) == 300
    assert {len(p.y) for p in parts.values()} == {190, 50, 60}


def test_npz_with_a_test_side(tmp_path: Path) -> None:
    x, y = digits()
    np.savez(tmp_path / "d.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    parts = parts_of(NPZ, str(tmp_path / "d.npz"))
    np.testing.assert_array_equal(parts["test"].x[:, 0], x[200:])
    assert parts["train"].x.dtype == np.uint8
    assert as_set(parts["train"]) == as_set(load_part(NPZ, str(tmp_path), "train"))


@pytest.mark.parametrize(
    ("stored", "declared"),
    [
        ((50,), (1, 1, 50)),
        ((3, 50), (3, 1, 50)),
        ((3, 1, 50), (3, 1, 50)),
        ((5, 7, 1), (1, 5, 7)),
        ((5, 7), (1, 5, 7)),
        ((4, 5, 7), (4, 5, 7)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint8, np.bool_])
def test_npz_of_any_shape_and_type(
    tmp_path: Path,
    stored: tuple[int, ...],
    declared: tuple[int, int, int],
    dtype: type[np.generic],
) -> None:
    x = np.random.default_rng(0).integers(0, 100, (40, *stored)).astype(dtype)
    y = np.arange(40, dtype=np.uint8) % 2
    np.savez_compressed(tmp_path / "d.npz", x=x, y=y)
    data = NpzData(kind="npz", shape=declared, classes=2)
    parts = parts_of(data, str(tmp_path))
    assert {p: i.x.shape for p, i in parts.items()} == {
        "train": (26, *declared),
        "validation": (6, *declared),
        "test": (8, *declared),
    }
    assert parts["train"].x.dtype == (np.uint8 if dtype is np.uint8 else np.float32)
    total = sum(p.x.sum(dtype=np.float64) for p in parts.values())
    np.testing.assert_allclose(total, x.sum(dtype=np.float64))


@pytest.mark.parametrize(
    "returned",
    [
        "x, y",
        "{'x': x, 'y': y}",
        "x[:20], y[:20], x[20:], y[20:]",
        "{'x_train': x[:20], 'y_train': y[:20], 'x_test': x[20:], 'y_test': y[20:].tolist()}",
    ],
)
def test_import_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returned: str
) -> None:
    (tmp_path / "waves.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    x, y = np.random.default_rng(1).random((40, 16)), np.arange(40) % 2\n"
        f"    return {returned}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "waves", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path_before = list(sys.path)
    data = ImportData(kind="import", shape=(1, 1, 16), classes=2, target="waves:load")
    parts = parts_of(data, None)
    assert sys.path == path_before
    assert len(parts["test"].y) == (20 if "20" in returned else 8)
    assert sum(len(p.y) for p in parts.values()) == 40
    assert parts["test"].x.dtype == np.float32


def test_colour_palette_and_grey_images_become_rgb(tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (6, 5), dtype=np.uint8)
    colour = rng.integers(0, 255, (6, 5, 3), dtype=np.uint8)
    few = (colour // 128) * 255
    buffer = BytesIO()
    Image.fromarray(few).quantize(8).save(buffer, "PNG")
    files = [png(colour), png(grey), buffer.getvalue()]
    write_rows(tmp_path / "test.parquet", files, [0, 1, 1])
    data = ParquetData(kind="parquet", shape=(3, 6, 5), classes=2)
    x = load_part(data, str(tmp_path), "test").x
    np.testing.assert_array_equal(x[0], colour.transpose(2, 0, 1))
    np.testing.assert_array_equal(x[1], np.stack([grey] * 3))
    np.testing.assert_array_equal(x[2], few.transpose(2, 0, 1))


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = (
        "import sys, cimsearch.training, cimsearch.training.data, cimsearch.training.fingerprint,"
        "cimsearch.training.inspect\n"
        "print(sorted({'torch', 'sklearn', 'pyarrow', 'PIL', 'optuna'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
