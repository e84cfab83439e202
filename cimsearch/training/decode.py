"""Image files and Parquet files to uint8 arrays, decoded once and kept in the cache."""

from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from cimsearch.errors import DataError
from cimsearch.spec.base import content_hash
from cimsearch.spec.study import FolderData, ParquetData
from cimsearch.training.cache import Labels, Pixels, content_digest, decoded
from cimsearch.training.paths import Folder

Shape = tuple[int, int, int]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Only formats that Pillow decodes by itself: nothing in a data set can start another program.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_ROWS_AT_ONCE = 1024


def require(library: str, purpose: str) -> None:
    """Check that a library of the ``train`` extra is installed.

    Raises:
        DataError: It is not.
    """
    if find_spec(library) is None:
        raise DataError(f"{purpose} needs {library}", "pip install 'cimsearch[train]'")


def decode_image(raw: bytes, shape: Shape, where: str) -> Pixels:
    """Return an encoded image as (channels, height, width), uint8.

    Only conversions that lose nothing are made: grey and palette images become RGB if three
    channels are declared.

    Raises:
        DataError: ``raw`` is no whole image, or not of ``shape``; the message begins ``where``.
    """
    from PIL import Image, UnidentifiedImageError

    channels, height, width = shape
    try:
        with Image.open(BytesIO(raw), formats=_FORMATS) as file:
            file.load()
            widened = channels == 3 and file.mode in ("1", "L", "P")
            image = file.convert("RGB" if widened else "L" if file.mode == "1" else file.mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        strange = isinstance(error, UnidentifiedImageError)
        reason = f"not a whole {', '.join(_FORMATS)} file" if strange else error
        raise DataError(f"{where}: the image cannot be decoded: {reason}") from error
    wanted = _MODES.get(channels, "no image mode has so many")
    if image.mode != wanted or image.size != (width, height):
        raise DataError(
            f"{where}: found an image of {image.height} x {image.width}, mode {image.mode}; "
            f"the study declares {height} x {width} with {channels} channels ({wanted})"
        )
    return np.asarray(image, dtype=np.uint8).reshape(height, width, channels).transpose(2, 0, 1)


def read_folder(data: FolderData, folder: Folder) -> tuple[Pixels, Labels]:
    """Return the images (n, c, h, w) and labels (n,) of one side of a folder data set.

    Raises:
        DataError: An image cannot be decoded or is not of the declared shape.
    """
    names = {file.relative_to(folder.root).as_posix(): file for file in folder.files}

    def fill(x: Pixels, y: Labels) -> None:
        y[:] = folder.labels
        for index, file in enumerate(folder.files):
            x[index] = decode_image(_bytes_of(file), data.shape, str(file))

    key = _cache_key(data.shape, content_digest(names), classes=folder.classes)
    return decoded(key, (len(folder.files), *data.shape), fill)


def read_parquet(data: ParquetData, files: tuple[Path, ...]) -> tuple[Pixels, Labels]:
    """Return the images (n, c, h, w) and labels (n,) of Parquet files, in their order.

    Raises:
        DataError: A file is not Parquet or lacks a column, an image cannot be decoded or is not of
            the declared shape, or a label is missing.
    """
    require("pyarrow", "reading Parquet files")
    digest = content_digest({str(index): file for index, file in enumerate(files)})
    counts = [_row_count(data, file) for file in files]

    def fill(x: Pixels, y: Labels) -> None:
        start = 0
        for file, count in zip(files, counts, strict=True):
            for row, (image, label) in enumerate(_rows(data, file)):
                where = f"{file}, row {row}"
                x[start + row] = decode_image(_embedded(image, where), data.shape, where)
                y[start + row] = _label(label, data.classes, where)
            start += count

    key = _cache_key(data.shape, digest, columns=(data.image_column, data.label_column))
    return decoded(key, (sum(counts), *data.shape), fill)


def _cache_key(shape: Shape, digest: str, **options: tuple[str, ...]) -> str:
    """Return what the decoded arrays follow from: also Pillow, whose decoders may change."""
    require("PIL", "decoding images")
    from PIL import __version__

    return content_hash({"shape": shape, "content": digest, "pillow": __version__} | options)


def _row_count(data: ParquetData, file: Path) -> int:
    """Return the number of rows of a file after checking that it has the columns."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with file.open("rb") as stream, parquet.ParquetFile(stream) as table:
            schema, rows = table.schema_arrow, int(table.metadata.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: not a Parquet file: {_first_line(error)}") from error
    for column in (data.image_column, data.label_column):
        if column not in schema.names:
            raise DataError(
                f"{file}: has no column {column!r}; found are {', '.join(schema.names)}",
                "name the columns with image_column and label_column in the study's data",
            )
    image = schema.field(data.image_column).type
    inner = image.field("bytes").type if pa.types.is_struct(image) and _has_bytes(image) else None
    if inner is None or not (pa.types.is_binary(inner) or pa.types.is_large_binary(inner)):
        raise DataError(
            f"{file}: column {data.image_column!r} is {image}; "
            "wanted is struct<bytes: binary, path: string>"
        )
    label = schema.field(data.label_column).type
    if not pa.types.is_integer(label):
        raise DataError(f"{file}: column {data.label_column!r} is {label}; wanted is int64")
    return rows


def _has_bytes(struct: Any) -> bool:
    return bool(struct.get_field_index("bytes") >= 0)


def _rows(data: ParquetData, file: Path) -> Iterator[tuple[Any, Any]]:
    """Yield the image and the label of each row, as Python values."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = [data.image_column, data.label_column]
    try:
        with file.open("rb") as stream, parquet.ParquetFile(stream) as table:
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns):
                yield from zip(
                    batch.column(columns[0]).to_pylist(),
                    batch.column(columns[1]).to_pylist(),
                    strict=True,
                )
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: damaged Parquet file: {_first_line(error)}") from error


def _embedded(image: Any, where: str) -> bytes:
    raw = image["bytes"] if image is not None else None
    if raw is None:
        raise DataError(f"{where}: found no image bytes; the image must be inside the file")
    return bytes(raw)


def _label(label: int | None, classes: int, where: str) -> int:
    if label is None or not 0 <= label < classes:
        raise DataError(f"{where}: found label {label}; allowed is 0 to {classes - 1}")
    return label


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error}") from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
