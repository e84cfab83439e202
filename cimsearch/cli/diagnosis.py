"""What ``cimsearch doctor`` finds."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cimsearch.errors import StorageError

_NEEDED = ("optuna", "sqlalchemy", "distributed", "numpy", "moocore", "plotly", "pydantic")
_TRAINING = ("torch", "scikit-learn", "pyarrow", "pillow")
_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was found, and whether it is as needed."""

    what: str
    found: str
    ok: bool = True


def diagnose(storage: str | None) -> list[Finding]:
    """Return what is installed, what the machine has, and whether the database opens."""
    found = [Finding("python", platform.python_version())]
    found += [_package(name, optional=False) for name in _NEEDED]
    found += [_package(name, optional=True) for name in _TRAINING]
    found += [
        Finding("cpu", f"{os.cpu_count()} cores, {_cpu_flags()}"),
        _catalogue(),
        _database(storage),
    ]
    return found


def _package(name: str, *, optional: bool) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        if optional:
            return Finding(name, "not installed; workers need it: pip install 'cimsearch[train]'")
        return Finding(name, "not installed", ok=False)


def _cpu_flags() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    flags = set(line.split())
    return " ".join(flag for flag in _CPU_FLAGS if flag in flags) or platform.machine()


def _catalogue() -> Finding:
    from cimsearch.spec.catalogue import KINDS, names

    counts = {kind: len(names(kind)) for kind in KINDS}
    text = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return Finding("catalogue", text, ok=all(counts.values()))


def _database(storage: str | None) -> Finding:
    from cimsearch.orchestrate.run.stored import storage_url
    from cimsearch.store import open_storage
    from cimsearch.store import records as db

    url = storage_url(storage)
    try:
        studies = db.list_studies(open_storage(url, create=False))
    except StorageError as error:
        # Nothing is wrong with a default database that no study has made yet.
        not_yet = storage is None and error.message.startswith("there is no cimsearch database")
        return Finding("database", error.message.splitlines()[0], ok=not_yet)
    return Finding("database", f"{len(studies)} studies")
