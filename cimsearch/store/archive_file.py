"""Opening the file of a shared study: nothing in it is believed before it is checked."""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import ValidationError
from pydantic_core import from_json

from cimsearch.errors import StorageError, UsageError
from cimsearch.spec.validation import first_problem
from cimsearch.store import archive
from cimsearch.store.archive import Manifest, Part

AnyPart = TypeVar("AnyPart", bound=Part)

# What `zipfile` raises on bytes that are none: it documents the first only.
_NO_ZIP = (
    BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    LookupError,
    ValueError,
)
_CHUNK_BYTES = 2**20
_ENCRYPTED = 1
_MOST_TOLD = 500
_HINT = "ask its owner for the file again, or for one exported anew"


@dataclass(frozen=True)
class Archive:
    """An open archive whose members are those expected, of the sizes and hashes declared.

    Attributes:
        path: Where it is.
        sha256: Of the whole file.
        manifest: What it says of itself.
    """

    path: Path
    sha256: str
    manifest: Manifest
    _whole: ZipFile

    def lines(self, name: str, row: type[AnyPart]) -> Iterator[AnyPart]:
        """Read a member of JSON lines.

        Raises:
            StorageError: A line is not what it must be.
        """
        with self._opened(name) as member:
            number = 0
            while text := self._line(member, name):
                number += 1
                yield self._parsed(row, text, f"{name}, line {number}")

    def part(self, name: str, row: type[AnyPart]) -> AnyPart:
        """Read a member of one JSON object; StorageError if it is not what it must be."""
        return self._parsed(row, self._text(name), name)

    def has(self, name: str) -> bool:
        """Return whether it has a member."""
        return name in self.manifest.members

    def json(self, name: str) -> Any:
        """Read a member of any JSON."""
        with self._told():
            return from_json(self._text(name))

    def damaged(self, problem: str) -> StorageError:
        """Return the error that tells what is wrong with the file."""
        return StorageError(f"{self.path} is damaged: {_short(problem)}", _HINT)

    def _text(self, name: str) -> bytes:
        with self._opened(name) as member, self._told():
            text = member.read(archive.MAX_JSON_BYTES + 1)
        if len(text) > archive.MAX_JSON_BYTES:
            raise self.damaged(f"{name} is longer than {archive.MAX_JSON_BYTES} bytes")
        return text

    def _line(self, member: IO[bytes], name: str) -> bytes:
        with self._told():
            text = member.readline(archive.MAX_JSON_BYTES + 1)
        if len(text) > archive.MAX_JSON_BYTES:
            raise self.damaged(f"{name}: a line is longer than {archive.MAX_JSON_BYTES} bytes")
        return text

    def _parsed(self, row: type[AnyPart], text: bytes, where: str) -> AnyPart:
        try:
            return row.model_validate_json(text)
        except ValidationError as error:
            raise self.damaged(f"{where}: {first_problem(error)}") from error

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        with self._told():
            member = self._whole.open(name)
        with member:
            yield member

    @contextmanager
    def _told(self) -> Iterator[None]:
        with _told(self.path):
            yield


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open the file of a shared study and check everything that its manifest declares.

    Raises:
        UsageError: The file cannot be read.
        StorageError: It is no archive, of another version, or damaged.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        with _told(path):
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            whole = ZipFile(file)
        with whole:
            members = _listed(path, whole)
            manifest = _manifest(path, whole, members)
            _check_names(path, manifest, members)
            for name, info in members.items():
                if name != archive.MANIFEST:
                    _check_content(path, whole, manifest, info)
            yield Archive(path, digest, manifest, whole)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what `zipfile` finds wrong into one clear line."""
    try:
        yield
    except _NO_ZIP as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _damaged(path: Path, problem: str) -> StorageError:
    told = _short(problem)
    return StorageError(f"{path} is not the file of a study, or damaged: {told}", _HINT)


def _short(problem: str) -> str:
    """Return a problem as one line, whatever the file has put into it."""
    return " ".join(problem.split())[:_MOST_TOLD]


def _listed(path: Path, whole: ZipFile) -> dict[str, ZipInfo]:
    """Return the members by name, if none is twice there or packed in a strange way."""
    members = {info.filename: info for info in whole.infolist()}
    if len(members) != len(whole.infolist()):
        raise _damaged(path, "it has two members of one name")
    for name, info in members.items():
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise _damaged(path, f"{name!r} is encrypted, or packed in another way than deflate")
    if sum(info.file_size for info in members.values()) > archive.MAX_BYTES:
        raise _damaged(path, f"it holds more than {archive.MAX_BYTES} bytes")
    return members


def _manifest(path: Path, whole: ZipFile, members: dict[str, ZipInfo]) -> Manifest:
    if archive.MANIFEST not in members:
        raise _damaged(path, f"it has no {archive.MANIFEST}")
    with _told(path), whole.open(archive.MANIFEST) as member:
        text = member.read(archive.MAX_JSON_BYTES + 1)
        raw = from_json(text)
    found = raw.get("schema") if isinstance(raw, dict) else None
    if found != archive.SCHEMA:
        raise StorageError(
            f"{path}: found the schema {found!r}; allowed is {archive.SCHEMA!r}",
            "take the version of cimsearch that wrote it, or a newer one",
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise _damaged(path, f"{archive.MANIFEST}: {first_problem(error)}") from error


def _check_names(path: Path, manifest: Manifest, members: dict[str, ZipInfo]) -> None:
    declared, found = set(manifest.members), set(members) - {archive.MANIFEST}
    for name in sorted(declared ^ found):
        where = "in the manifest only" if name in declared else "not in the manifest"
        raise _damaged(path, f"{name!r} is {where}")
    for name in sorted(archive.REQUIRED - found):
        raise _damaged(path, f"it has no {name}")
    for name in sorted(found - archive.REQUIRED - archive.OPTIONAL):
        if not archive.WEIGHTS.fullmatch(name):
            raise _damaged(path, f"it has a member of the unknown name {name!r}")


def _check_content(path: Path, whole: ZipFile, manifest: Manifest, info: ZipInfo) -> None:
    """Check a member's size and hash, without ever unpacking more than is declared."""
    declared = manifest.members[info.filename]
    digest, left = hashlib.sha256(), declared.bytes
    with _told(path), whole.open(info) as member:
        while chunk := member.read(min(_CHUNK_BYTES, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
    if left != 0 or info.file_size != declared.bytes:
        raise _damaged(path, f"{info.filename} is not {declared.bytes} bytes long")
    if digest.hexdigest() != declared.sha256:
        raise _damaged(path, f"{info.filename} is not what its SHA-256 says")
