"""What a data set is, in one hash: scores are reused only for equal data."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimsearch.spec.base import content_hash
from cimsearch.spec.study import DataSpec, DigitsData, FolderData, ImportData, NpzData, ParquetData
from cimsearch.training.cache import content_digest
from cimsearch.training.paths import folder_files, npz_file, parquet_files, root_of
from cimsearch.training.sources import DIGITS_SHA256, import_arrays


def fingerprint(data: DataSpec, path: str | None) -> str:
    """Return the SHA-256 (hex) of what the data is, wherever it lies.

    It covers the contents of both sides and how they are split:

    - digits: the known hash of their pixels and labels, which loading checks;
    - Parquet: the bytes of the files, in order, and the columns read;
    - folders: names (of class and file) and bytes of the images;
    - ``.npz``: names and bytes of the arrays, not the archive's time stamps;
    - an imported function: its name and the arrays that it returns, so it is called.

    Bytes are hashed, no image is decoded, and neither torch nor another library of the ``train``
    extra is needed. Hashes of files are remembered, see ``cache.content_digest``.

    Args:
        data: The declaration.
        path: Where the data lies, from ``paths.resolve_path``.

    Raises:
        DataError: A side is missing or cannot be read.
    """
    return content_hash(
        {
            "schema": "cimsearch/data/1",
            "kind": data.kind,
            "content": _content(data, path),
            "validation_frac": data.validation_frac,
            "test_frac": data.test_frac,
            "split_seed": data.split_seed,
        }
    )


def _content(data: DataSpec, path: str | None) -> dict[str, str]:
    match data:
        case DigitsData():
            return {"digits": DIGITS_SHA256}
        case ParquetData():
            root = root_of(data, path)
            columns = {"image": data.image_column, "label": data.label_column}
            return columns | {
                "train": _digest_in_order(parquet_files(root, "train")),
                "test": _digest_in_order(parquet_files(root, "test")),
            }
        case FolderData():
            root = root_of(data, path)
            sides = [folder_files(data, root, "train"), folder_files(data, root, "test")]
            files = {f.relative_to(root).as_posix(): f for side in sides for f in side.files}
            return {"images": content_digest(files)}
        case NpzData():
            return {"arrays": content_digest({"": npz_file(root_of(data, path))})}
        case ImportData():
            return {"target": data.target, "arrays": _arrays_digest(import_arrays(data.target))}


def _digest_in_order(files: tuple[Path, ...]) -> str:
    return content_digest({str(place): file for place, file in enumerate(files)})


def _arrays_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}:{array.dtype.str}:{array.shape}:".encode())
        total.update(array.tobytes())
    return total.hexdigest()
