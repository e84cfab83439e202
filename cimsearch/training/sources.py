"""One side of a data set as arrays of the declared shape, from wherever the data is."""

import hashlib
import importlib
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cimsearch.errors import DataError
from cimsearch.spec.study import DataSpec, DigitsData, FolderData, ImportData, NpzData, ParquetData
from cimsearch.training.cache import Labels, Pixels
from cimsearch.training.decode import read_folder, read_parquet, require
from cimsearch.training.paths import LAYOUTS, Side, folder_files, npz_file, parquet_files, root_of

Values = NDArray[np.uint8] | NDArray[np.float32]

# SHA-256 of the pixels (as loaded here) and the labels (int64, little-endian) of the digits.
DIGITS_SHA256 = "0b7e9c3202d7bcd255d6a19a238d3743bf5e320ba74812a6679958a017c55382"


@dataclass(frozen=True, eq=False)
class Stored:
    """One side of a data set before it is split.

    Attributes:
        x: Values, (n, channels, height, width), uint8 or float32.
        y: Labels, (n,), each from 0 to classes - 1.
        where: Names the data in messages.
        pooled: The data has no test side of its own; this is all of it.
    """

    x: Values
    y: Labels
    where: str
    pooled: bool


def read(data: DataSpec, path: str | None, side: Side) -> Stored:
    """Return one side of a data set, checked against its declaration.

    Data without a test side of its own is returned whole for either side. Files of one side are
    never opened for the other.

    Raises:
        DataError: The data is missing, damaged or not as declared.
    """
    x, y, where, pooled = _raw(data, path, side)
    if not pooled:
        where = f"{where} ({side})"
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise DataError(
            f"{where}: labels are {y.dtype} of shape {y.shape}; "
            f"allowed are integers 0 to {data.classes - 1} of shape (n,)"
        )
    if x.shape[:1] != y.shape or not y.size:
        raise DataError(
            f"{where}: images are of shape {x.shape}, labels of shape {y.shape}; "
            "wanted is one label an image, and at least one image"
        )
    _check_labels(y, data.classes, where, all_present=pooled or side == "train")
    if [n for n in x.shape[1:] if n > 1] != [n for n in data.shape if n > 1]:
        raise DataError(
            f"{where}: found images of shape {x.shape[1:]}; the study declares {data.shape}",
            "shape is (channels, height, width); a signal of n samples is (channels, 1, n)",
        )
    values = _numbers(x, where).reshape(len(x), *data.shape)
    return Stored(values, y.astype(np.int64, copy=False), where, pooled)


def _raw(
    data: DataSpec, path: str | None, side: Side
) -> tuple[NDArray[Any], NDArray[Any], str, bool]:
    """Return images and labels as they are kept, what to call them, and whether pooled."""
    match data:
        case DigitsData():
            return *_digits(), "scikit-learn's digits", True
        case ParquetData():
            files = parquet_files(root_of(data, path), side)
            return *read_parquet(data, files), str(files[0].parent), False
        case FolderData():
            folder = folder_files(data, root_of(data, path), side)
            return *read_folder(data, folder), str(folder.root), folder.pooled
        case NpzData():
            return _npz(npz_file(root_of(data, path)), side)
        case ImportData():
            return _pick(import_arrays(data.target), side, data.target)


@cache
def _digits() -> tuple[Pixels, Labels]:
    """Return the digits with their grey levels 0..16 spread over 0..255.

    The file is read without scikit-learn, whose import takes each worker as long as a trial.

    Raises:
        DataError: scikit-learn is missing or ships other digits than those known here.
    """
    require("sklearn", "the digits data")
    spec = find_spec("sklearn")
    file = Path((spec and spec.origin) or "").parent / "datasets" / "data" / "digits.csv.gz"
    try:
        rows = np.loadtxt(file, delimiter=",")
    except (OSError, ValueError) as error:
        raise DataError(f"scikit-learn's digits cannot be read: {error}") from error
    x = np.rint(rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    y = rows[:, -1].astype(np.int64)
    found = hashlib.sha256(x.tobytes() + y.astype("<i8").tobytes()).hexdigest()
    if found != DIGITS_SHA256:
        raise DataError(f"scikit-learn's digits have SHA-256 {found}; wanted is {DIGITS_SHA256}")
    x.flags.writeable = y.flags.writeable = False
    return x, y


def _npz(file: Path, side: Side) -> tuple[NDArray[Any], NDArray[Any], str, bool]:
    """Return what one side of a ``.npz`` holds; the arrays of the other are not read."""
    try:
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{file}: holds a single array", f"wanted is {LAYOUTS['npz']}")
            with archive:
                return _pick(archive, side, str(file))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{file}: cannot be read: {error}",
            "write it with numpy.savez and arrays of numbers",
        ) from error


def import_arrays(target: str) -> Mapping[str, NDArray[Any]]:
    """Return the named arrays that the function ``target`` (``module:name``) returns.

    The working directory can be imported from, as with ``python -m``.

    Raises:
        DataError: It cannot be imported or called, or returns something else.
    """
    module, name = target.split(":")
    try:
        with _importing_from(Path.cwd()):
            returned = getattr(importlib.import_module(module), name)()
        named = _named(returned, target)
        arrays = {key: np.asarray(value) for key, value in named.items()}
    except DataError:
        raise
    except (Exception, SystemExit) as error:
        # The user's code, and arrays of the user's making, may raise anything: told with reason.
        raise DataError(f"{target}: {type(error).__name__}: {error}") from error
    if objects := sorted(key for key, array in arrays.items() if array.dtype.hasobject):
        raise DataError(f"{target}: {', '.join(objects)} hold Python objects; wanted are numbers")
    return arrays


def _named(returned: Any, target: str) -> dict[str, Any]:
    """Return what a user's function returned as a mapping of names."""
    if isinstance(returned, Mapping):
        return {str(name): array for name, array in returned.items()}
    if isinstance(returned, tuple) and len(returned) in (2, 4):
        names = ("x", "y") if len(returned) == 2 else ("x_train", "y_train", "x_test", "y_test")
        return dict(zip(names, returned, strict=True))
    raise DataError(
        f"{target}: it returned a {type(returned).__name__}; wanted is a mapping with x_train, "
        "y_train, x_test and y_test, or x and y, or a tuple of these arrays"
    )


@contextmanager
def _importing_from(directory: Path) -> Iterator[None]:
    entry = str(directory)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _pick(
    arrays: Mapping[str, NDArray[Any]], side: Side, where: str
) -> tuple[NDArray[Any], NDArray[Any], str, bool]:
    """Return the x and y of one side; without a side of its own for the test, they are pooled."""
    pooled = "x_train" not in arrays
    x, y = ("x", "y") if pooled else (f"x_{side}", f"y_{side}")
    if missing := [name for name in (x, y) if name not in arrays]:
        raise DataError(
            f"{where}: found arrays {', '.join(sorted(arrays)) or 'none'}; "
            f"missing is {' and '.join(missing)}",
            "wanted are x_train, y_train, x_test and y_test, or x and y",
        )
    return arrays[x], arrays[y], where, pooled


def _check_labels(y: NDArray[Any], classes: int, where: str, *, all_present: bool) -> None:
    present = np.unique(y)
    if present[0] < 0 or present[-1] >= classes:
        raise DataError(
            f"{where}: found labels {present[0]} to {present[-1]}; allowed is 0 to {classes - 1}"
        )
    if all_present and len(present) < classes:
        absent = sorted(set(range(classes)) - set(present.tolist()))
        told = f"{len(present)} classes" if len(present) > 1 else f"class {present[0]} alone"
        raise DataError(
            f"{where}: found {told} (none of {', '.join(map(str, absent))}); "
            f"the study declares {classes}"
        )


def _numbers(x: NDArray[Any], where: str) -> Values:
    """Return uint8 as it is and other real numbers as finite float32."""
    if x.dtype == np.uint8:
        return cast("NDArray[np.uint8]", x)
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where}: images are {x.dtype}; allowed are uint8 and real numbers")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(x, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(bad):
        raise DataError(
            f"{where}: {len(bad)} of {len(x)} images hold NaN or infinity, first image {bad[0]}"
        )
    return values
