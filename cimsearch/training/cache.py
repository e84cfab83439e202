"""What is remembered between runs: digests of data files, and images decoded once.

Everything here can be deleted at any time. Files appear whole (written under another name, then
renamed), and what they hold follows from their names, so that processes may write the same ones
at the same time. The place is ``CIMSEARCH_CACHE``, or ``cimsearch`` in ``XDG_CACHE_HOME`` or in
``~/.cache``.
"""

import hashlib
import json
import os
import re
import secrets
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cimsearch.errors import DataError

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

# A file changed within the tick of a file system's clock keeps its time stamp.
_SETTLED_NS = 2_000_000_000
_BLOCK_BYTES = 1 << 20


def cache_dir() -> Path:
    """Return the directory of the cache, which need not exist."""
    own = os.environ.get("CIMSEARCH_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "cimsearch"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to that becomes ``path`` on leaving, unless an error came up.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """As ``whole_file``, in the cache."""
    try:
        with whole_file(path) as temporary:
            yield temporary
    except OSError as error:
        raise DataError(
            f"the cache {cache_dir()} cannot be written: {error}",
            "set CIMSEARCH_CACHE to a directory that can be written",
        ) from error


def content_digest(files: Mapping[str, Path]) -> str:
    """Return the SHA-256 (hex) of named files: of their names in ``files`` and their contents.

    The digest is remembered by path, size and times of change, so that unchanged files are not
    read again. Of a ``.npz`` the arrays count, not the time stamps of the archive.

    Raises:
        DataError: A file cannot be read.
    """
    try:
        stats = {name: path.stat() for name, path in files.items()}
        listing = [
            (name, str(path.absolute()), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)
            for (name, path), s in zip(files.items(), stats.values(), strict=True)
        ]
        key = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
        memo = cache_dir() / "digests" / key
        if memo.is_file() and re.fullmatch("[0-9a-f]{64}", known := memo.read_text()):
            return known
        newest_ns = max((max(s.st_mtime_ns, s.st_ctime_ns) for s in stats.values()), default=0)
        settled = newest_ns < time.time_ns() - _SETTLED_NS
        each = [(name, _file_digest(path)) for name, path in files.items()]
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"data cannot be read: {error}") from error
    digest = hashlib.sha256(json.dumps(each).encode()).hexdigest()
    if settled:
        with _replacing(memo) as temporary:
            temporary.write_text(digest)
    return digest


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        if path.suffix != ".npz":
            return hashlib.file_digest(file, "sha256").hexdigest()
        total = hashlib.sha256()
        with zipfile.ZipFile(file) as archive:
            for name in sorted(archive.namelist()):
                total.update(f"{name}:{archive.getinfo(name).file_size}:".encode())
                with archive.open(name) as member:
                    while block := member.read(_BLOCK_BYTES):
                        total.update(block)
    return total.hexdigest()


def decoded(
    key: str, shape: tuple[int, ...], fill: Callable[[Pixels, Labels], None]
) -> tuple[Pixels, Labels]:
    """Return the images and labels kept under ``key``, decoding them if they are not there.

    Args:
        key: Names the arrays: equal keys must mean equal arrays.
        shape: Of the images, (n, channels, height, width).
        fill: Writes the images into its first argument and the (n,) labels into its second.

    Returns:
        Read-only memory maps. Damaged files are noticed by their checksums and made again.

    Raises:
        DataError: The cache cannot be written; and whatever ``fill`` raises.
    """
    x_path, y_path, sums_path = (
        cache_dir() / "images" / f"{key}.{end}" for end in ("x.npy", "y.npy", "json")
    )
    if not _intact(x_path, y_path, sums_path):
        with _replacing(x_path) as x_new, _replacing(y_path) as y_new:
            x = np.lib.format.open_memmap(x_new, mode="w+", dtype=np.uint8, shape=shape)
            y = np.lib.format.open_memmap(y_new, mode="w+", dtype=np.int64, shape=shape[:1])
            fill(x, y)
            x.flush()
            y.flush()
            sums = [_checksum(x_new), _checksum(y_new)]
        with _replacing(sums_path) as sums_new:
            sums_new.write_text(json.dumps(sums))
    return (
        np.lib.format.open_memmap(x_path, mode="r"),
        np.lib.format.open_memmap(y_path, mode="r"),
    )


def _intact(x_path: Path, y_path: Path, sums_path: Path) -> bool:
    try:
        sums = json.loads(sums_path.read_text())
        return bool(sums == [_checksum(x_path), _checksum(y_path)])
    except (OSError, ValueError):
        return False


def _checksum(path: Path) -> int:
    """Return the CRC-32 of a file that is not empty."""
    return zlib.crc32(np.memmap(path, dtype=np.uint8, mode="r").data)
