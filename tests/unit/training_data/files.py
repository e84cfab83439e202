"""Small data sets on disk, in the layouts that are read."""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet
from sklearn.datasets import load_digits

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@cache
def digits(count: int = 300) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the first handwritten digits, (n, 8, 8) of 0..240 and their labels."""
    found = load_digits()
    return (found.images[:count] * 15).astype(np.uint8), found.target[:count].astype(np.int64)


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_rows(file: Path, images: Sequence[Any], labels: Sequence[Any]) -> None:
    """Write one Parquet file in the Hugging Face image layout."""
    rows = [{"bytes": raw, "path": None} if raw is not None else None for raw in images]
    table = pa.table({"img": pa.array(rows, IMAGE_TYPE), "label": pa.array(labels, pa.int64())})
    parquet.write_table(table, file)


def write_parquet(root: Path, *, train: int = 200, test: int = 100, shards: int = 2) -> Path:
    """Write digits as ``shards`` train files and one test file."""
    x, y = digits(train + test)
    root.mkdir(parents=True, exist_ok=True)
    for shard, index in enumerate(np.array_split(np.arange(train), shards)):
        file = root / f"train-{shard:05d}-of-{shards:05d}.parquet"
        write_rows(file, [png(x[i]) for i in index], y[index].tolist())
    write_rows(
        root / "test-00000.parquet", [png(image) for image in x[train:]], y[train:].tolist()
    )
    return root


def write_folder(root: Path, *, sides: Sequence[str] = ("train", "test")) -> Path:
    """Write digits as ``root/<side>/<class>/<number>.png``; a side "" is the root itself."""
    x, y = digits()
    for side, index in zip(sides, np.array_split(np.arange(len(x)), len(sides)), strict=True):
        for i in index:
            file = root / side / f"digit_{y[i]}" / f"{i:04d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(x[i]))
    return root
