"""An export's directory: written whole or not at all, with a manifest that names every byte."""

import glob
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from cimsearch.errors import CimsearchError, UsageError
from cimsearch.spec.base import canonical_json

SCHEMA = "cimsearch/export/1"
MANIFEST = "manifest.json"

FLOAT_WEIGHTS = "weights.safetensors"
CARD = "card.md"
ONNX, QONNX = "model.onnx", "model.qonnx.onnx"
OPTIONAL = frozenset({FLOAT_WEIGHTS, CARD, ONNX, QONNX})
"""What a replay does without: a delivery may leave it out, but not change it."""

_DIGEST = "sha256"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LIBRARIES = ("torch", "safetensors")
_TOKEN_BYTES = 8
_ANY_TOKEN = "[0-9a-f]" * (2 * _TOKEN_BYTES)


class ExportError(CimsearchError):
    """An export that was read is damaged, or says what it does not hold."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        about: The export in plain data: study, network, version, machine.
        files: SHA-256 (hex) and bytes by file name.
    """

    about: Mapping[str, Any]
    files: Mapping[str, tuple[str, int]]

    @property
    def study(self) -> str:
        """The study that it is of."""
        return str(self.about.get("study"))

    @property
    def network(self) -> str:
        """What the network is called there."""
        return str(self.about.get("network"))


@dataclass(frozen=True)
class Files:
    """An export as it was read.

    Attributes:
        manifest: Its manifest.
        contents: What the files hold, by name; those that are missing are not there.
        faults: A line for each file that is not as the manifest says.
        left_out: Files that are not there and that a replay does without.
        unnamed: What is in the directory besides, which the manifest does not name.
    """

    manifest: Manifest
    contents: Mapping[str, bytes]
    faults: tuple[str, ...]
    left_out: tuple[str, ...]
    unnamed: tuple[str, ...]

    def json(self, name: str) -> Any:
        """Return what a JSON file holds.

        Raises:
            ExportError: It is not JSON.
        """
        return _parsed(name, self.contents[name])


def readable_json(value: Any) -> bytes:
    """Return plain data as JSON for people."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def check_libraries() -> None:
    """Check that what training takes is installed.

    Raises:
        UsageError: Something is not.
    """
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"an export needs {' and '.join(missing)}", "pip install 'cimsearch[train]'"
        )


def check_target(directory: Path) -> Path:
    """Return where an export is written that is to become ``directory``: links are followed.

    It is tried whether something can be made beside it, so that nothing is computed in vain.

    Raises:
        UsageError: There is something already, or it cannot be written.
    """
    try:
        target = Path(os.path.realpath(directory))
        taken = any(target.iterdir()) if target.is_dir() else os.path.lexists(directory)
        if taken:
            raise UsageError(
                f"{directory}: exists and is not an empty directory", "name a new directory"
            )
        if target.is_mount():
            raise UsageError(
                f"{directory}: is a mount point, which cannot give way to a whole directory",
                "name a new directory in it",
            )
        nearest = next(parent for parent in target.parents if parent.exists())
        tried = nearest / _temporary(target.name, secrets.token_hex(_TOKEN_BYTES))
        tried.mkdir()
        tried.rmdir()
    except OSError as error:
        raise _unwritable(directory, error) from error
    return target


def write_directory(
    directory: Path, contents: Mapping[str, bytes], about: Mapping[str, Any]
) -> None:
    """Write files and their manifest as a new directory, which appears with all of them.

    Args:
        directory: The directory; it must not exist, or be empty.
        contents: What the files hold, by name.
        about: Of the export, for its manifest.

    Raises:
        UsageError: There is something already, or it cannot be written.
    """
    target = check_target(directory)
    temporary = target.with_name(_temporary(target.name, secrets.token_hex(_TOKEN_BYTES)))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Of exports to the same place that were killed while they wrote.
        for left in target.parent.glob(_temporary(glob.escape(target.name), _ANY_TOKEN)):
            shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir()
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
        (temporary / MANIFEST).write_bytes(manifest_of(contents, about))
        # An empty directory gives way; anything that came meanwhile does not.
        temporary.rename(target)
    except OSError as error:
        raise _unwritable(directory, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_directory(directory: Path, *, needed: Iterable[str]) -> Files:
    """Return an export with what of it is not as its manifest says.

    Args:
        directory: Where it is.
        needed: Files that every export has.

    Raises:
        UsageError: There is no such directory, or no manifest in it.
        ExportError: The manifest is damaged, or not one of this version.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory", "name what `cimsearch export` wrote")
    manifest = _read_manifest(directory / MANIFEST)
    contents: dict[str, bytes] = {}
    faults: list[str] = []
    left_out: list[str] = []
    for name, (digest, size) in manifest.files.items():
        content = _read(directory / name)
        if content is None:
            (left_out if name in OPTIONAL else faults).append(f"{name}: missing")
        elif len(content) != size:
            faults.append(f"{name}: found {len(content)} bytes; the manifest says {size}")
        elif hashlib.sha256(content).hexdigest() != digest:
            faults.append(f"{name}: its bytes are not those of the manifest (SHA-256)")
        else:
            contents[name] = content
    forgotten = [name for name in needed if name not in manifest.files]
    faults += [f"{name}: not in the manifest" for name in forgotten]
    others = sorted(_names_in(directory) - manifest.files.keys() - {MANIFEST})
    return Files(manifest, contents, tuple(faults), tuple(left_out), tuple(others))


def manifest_of(contents: Mapping[str, bytes], about: Mapping[str, Any]) -> bytes:
    """Return the manifest of files, with a SHA-256 of its own."""
    files = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in contents.items()
    }
    plain = {"schema": SCHEMA, **about, "files": files}
    return readable_json({**plain, _DIGEST: _digest_of(plain)})


def _digest_of(plain: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its own."""
    rest = {name: value for name, value in plain.items() if name != _DIGEST}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


def _read_manifest(path: Path) -> Manifest:
    content = _read(path)
    if content is None:
        raise UsageError(
            f"{path}: missing, so {path.parent} is not an export",
            "name what `cimsearch export` wrote",
        )
    plain = _parsed(MANIFEST, content)
    schema = plain.get("schema") if isinstance(plain, dict) else None
    if schema != SCHEMA:
        raise ExportError(f"{MANIFEST}: schema is {schema!r}; allowed is {SCHEMA!r}")
    if plain.get(_DIGEST) != _digest_of(plain):
        raise ExportError(f"{MANIFEST}: was changed: it is not what its own SHA-256 says")
    try:
        files = {
            str(name): (str(each["sha256"]), int(each["bytes"]))
            for name, each in plain.pop("files").items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExportError(f"{MANIFEST}: files: not names with sha256 and bytes") from error
    for name in files:
        if not _NAME.fullmatch(name):
            raise ExportError(f"{MANIFEST}: files: found {name!r}; allowed is a plain file name")
    return Manifest(plain, files)


def _names_in(directory: Path) -> set[str]:
    try:
        return {path.name for path in directory.iterdir()}
    except OSError as error:
        raise UsageError(f"{directory}: cannot be read: {error.strerror}") from error


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def _temporary(name: str, token: str) -> str:
    """Return what a directory of that name is called until it is whole."""
    return f".{name}.{token}.partial"


def _unwritable(directory: Path, error: OSError) -> UsageError:
    return UsageError(f"{directory}: cannot be written: {error.strerror}")


def _parsed(name: str, content: bytes) -> Any:
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{name}: not JSON: {error}") from error


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"found {text}")
