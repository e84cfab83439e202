"""What evaluations keep of trained networks: files by key, in a folder or at a URL of fsspec.

A key names all that a file's contents follow from, so whoever finds a file may use it instead of
training. Files appear whole and are checked when they are read; a damaged one is deleted. Weights
that were trained elsewhere are kept under the SHA-256 of their file. All take up to
``CIMSEARCH_CACHE_GB`` (of 1e9 bytes; 10 if it is not set; 0 keeps nothing): those that were not
used for longest go first, and parents last: many candidates share one.

A place that cannot be read or written is noted on the log, and evaluations do without it.
"""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeVar

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from cimsearch.errors import DataError, UsageError
from cimsearch.training.cache import cache_dir, whole_file
from cimsearch.training.holding import holding, is_held
from cimsearch.training.seal import is_whole, metadata_of

Kind = Literal["parents", "candidates", "unfinished"]

DEFAULT_GB = 10.0
# Files are counted anew when this share of the limit was written: a listing can take long.
_COUNTED_SHARE = 0.01
# How file systems call the time of the last change; where there is none, names decide.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")

_LOG = logging.getLogger("cimsearch")
_T = TypeVar("_T")
_noted: set[str] = set()
_uncounted_bytes: dict[str, float] = {}


@dataclass(frozen=True)
class Keep:
    """Where trained networks are kept.

    Attributes:
        place: A folder, or a URL that fsspec reads.
        limit_bytes: How much is kept there; 0 keeps nothing.
    """

    place: str
    limit_bytes: float

    @classmethod
    def at(cls, place: str | None) -> "Keep":
        """Return what is kept at ``place``, or (None) in the cache of this machine.

        Raises:
            UsageError: ``CIMSEARCH_CACHE_GB`` is not a number of gigabytes.
        """
        return cls(place or str(cache_dir()), _limit_bytes())

    def get(self, kind: Kind, key: str) -> bytes | None:
        """Return what is kept under ``key``, or None if there is none that is whole."""

        def read(files: AbstractFileSystem, root: str) -> bytes | None:
            path = _path(root, kind, key)
            try:
                content: bytes = files.cat_file(path)
            except FileNotFoundError:
                return None
            if not _is_of(content, key):
                _LOG.warning("%s is damaged: it is deleted and made again", _shown(path))
                files.rm_file(path)
                return None
            if _is_local(files):
                # A cache that can only be read serves as well.
                with suppress(OSError):
                    os.utime(path)
            return content

        return self._tried(read)

    def put(self, kind: Kind, key: str, content: bytes) -> None:
        """Keep a file, unless it alone is too large.

        It is sealed and its metadata has its ``key``, or the key is its SHA-256.
        """

        def write(files: AbstractFileSystem, root: str) -> None:
            path = _path(root, kind, key)
            if _is_local(files):
                with whole_file(Path(path)) as temporary:
                    temporary.write_bytes(content)
            else:
                files.makedirs(path.rpartition("/")[0], exist_ok=True)
                files.pipe_file(path, content)
            self._make_room(files, root, path, len(content))

        if len(content) <= self.limit_bytes:
            self._tried(write)

    def drop(self, kind: Kind, key: str) -> None:
        """Delete what is kept under ``key``, if there is any."""

        def delete(files: AbstractFileSystem, root: str) -> None:
            with suppress(FileNotFoundError):
                files.rm_file(_path(root, kind, key))

        self._tried(delete)

    @contextmanager
    def hold(self, key: str, *, wait: bool) -> Iterator[Callable[[], None]]:
        """Hold the lock of ``key`` in a folder; see ``holding``. At a URL there are no locks."""
        with ExitStack() as stack:

            def enter(files: AbstractFileSystem, root: str) -> Callable[[], None]:
                if not _is_local(files):
                    return _unheard
                return stack.enter_context(holding(_lock(root, key), wait=wait))

            yield self._tried(enter) or _unheard

    def _tried(self, act: Callable[[AbstractFileSystem, str], _T]) -> _T | None:
        """Return what ``act`` on the files returns; None if the place is of no use."""
        if not self.limit_bytes:
            return None
        try:
            return _reached(self.place, act)
        except DataError as error:
            if self.place not in _noted:
                _noted.add(self.place)
                line = "%s; evaluations go on without it (%s)"
                _LOG.warning(line, error.message, error.hint)
        return None

    def _make_room(
        self, files: AbstractFileSystem, root: str, written: str, size_bytes: int
    ) -> None:
        """Delete what was not used for longest if there is too much, but nothing in use.

        Parents go last: of one that came with its weights there may be no other copy here.
        """
        uncounted = _uncounted_bytes.get(self.place, inf) + size_bytes
        _uncounted_bytes[self.place] = uncounted
        if uncounted < _COUNTED_SHARE * self.limit_bytes:
            return
        _uncounted_bytes[self.place] = 0.0
        files.invalidate_cache()
        found: dict[str, dict[str, Any]] = files.find(f"{root}/networks", detail=True)
        total = sum(about["size"] for about in found.values())

        def order(path: str) -> tuple[bool, float, str]:
            return "/networks/parents/" in path, _changed_s(found[path]), path

        for path in sorted(found, key=order):
            if total <= self.limit_bytes:
                return
            if path != written and not (_is_local(files) and is_held(_lock(root, _key(path)))):
                with suppress(FileNotFoundError):
                    files.rm_file(path)
                total -= found[path]["size"]


def _is_of(content: bytes, key: str) -> bool:
    """Return whether a file is whole, and what is kept under ``key``."""
    if is_whole(content):
        return metadata_of(content).get("key") == key
    return hashlib.sha256(content).hexdigest() == key


def _limit_bytes() -> float:
    text = os.environ.get("CIMSEARCH_CACHE_GB") or str(DEFAULT_GB)
    try:
        size_gb = float(text)
    except ValueError:
        size_gb = -1.0
    if not size_gb >= 0:
        raise UsageError(
            f"CIMSEARCH_CACHE_GB: found {text!r}; allowed is a number from 0",
            "it is how many gigabytes of trained networks are kept; 0 keeps none",
        )
    return size_gb * 1e9


def _reached(place: str, act: Callable[[AbstractFileSystem, str], _T]) -> _T:
    try:
        files, root = url_to_fs(place)
        return act(files, root.rstrip("/"))
    except Exception as error:
        # File systems of other packages may raise anything: told with its reason.
        raise DataError(
            _shown(f"the cache {place} cannot be used: {type(error).__name__}: {error}"),
            "set CIMSEARCH_CACHE, or cluster.cache in the study file, to a place that can be "
            "written",
        ) from error


def _unheard() -> None:
    """Tell nobody."""


def _is_local(files: AbstractFileSystem) -> bool:
    return isinstance(files, LocalFileSystem)


def _path(root: str, kind: Kind, key: str) -> str:
    return f"{root}/networks/{kind}/{key}.safetensors"


def _lock(root: str, key: str) -> Path:
    return Path(root) / "locks" / f"{key}.lock"


def _key(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".safetensors")


def _shown(text: str) -> str:
    """Return a text without the passwords of the URLs in it."""
    return re.sub(r"(://[^/@\s]*:)[^/@\s]*@", r"\1***@", text)


def _changed_s(about: dict[str, Any]) -> float:
    """Return when a file was last changed, or used where that is noted, in seconds."""
    time = next((about[name] for name in _TIMES if about.get(name) is not None), 0.0)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return time.timestamp() if isinstance(time, datetime) else float(time)
