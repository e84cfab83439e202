"""Where the data of a study's workloads lies, and what it is."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cimsearch.errors import DataError
from cimsearch.spec import Study
from cimsearch.spec.workload import Workload
from cimsearch.training.data import check_readable
from cimsearch.training.fingerprint import fingerprint
from cimsearch.training.paths import resolve_path

_ALSO = "also_data"
"""The attribute of a study that tells this of the workloads beside its own."""


@dataclass(frozen=True)
class Source:
    """The data of one workload.

    Attributes:
        path: Where it lies, if on disk.
        fingerprint: What it is.
    """

    path: str | None
    fingerprint: str


Sources = tuple[Source, ...]
"""Those of a study's workloads, in their order; the first is that of its own data."""


def data_paths(study: Study, data: str | None) -> list[str | None]:
    """Return where the data of each workload lies; None of what is not on disk.

    The study's own lies where ``data`` says, else where ``CIMSEARCH_DATA`` does, else where its
    file does. That of another workload lies where the file says, else where ``CIMSEARCH_DATA``
    does.

    Raises:
        DataError: No place was named, or it does not exist.
    """
    own, *others = study.workloads
    first = resolve_path(own.data, data, beside=study.path)
    return [first, *(_path_of(workload, study.path) for workload in others)]


def find_sources(study: Study, data: str | None) -> Sources:
    """Return the data of a study that is launched, which lies as ``data_paths`` says.

    Raises:
        DataError: Data is missing or cannot be read.
    """
    return _sources(study, data_paths(study, data))


def find_sources_again(study: Study, attrs: Mapping[str, Any], data: str | None) -> Sources:
    """Return the data of a study in a database, where it was or where it is said to be now.

    Args:
        study: The study.
        attrs: Of its row.
        data: Where its own data lies now; ``CIMSEARCH_DATA`` goes before where it was.

    Raises:
        DataError: Data is missing or cannot be read.
    """
    own, *others = study.workloads
    moved = data or os.environ.get("CIMSEARCH_DATA")
    paths = [resolve_path(own.data, data if moved else attrs["data_path"], beside=study.path)]
    known = stored_sources(attrs)[1:]
    paths += [
        _existing(workload, source.path) if source.path else None
        for workload, source in zip(others, known, strict=True)
    ]
    return _sources(study, paths)


def stored_sources(attrs: Mapping[str, Any]) -> Sources:
    """Return what a study's row says of its data."""
    own = Source(attrs["data_path"], attrs["data_fingerprint"])
    return (own, *(Source(**each) for each in attrs.get(_ALSO, ())))


def as_attrs(sources: Sources) -> dict[str, Any]:
    """Return what a study's row says of its data: the inverse of ``stored_sources``."""
    own, *others = sources
    attrs: dict[str, Any] = {"data_path": own.path, "data_fingerprint": own.fingerprint}
    return attrs | ({_ALSO: [asdict(each) for each in others]} if others else {})


def other_data(study: Study, there: Sources, here: Sources) -> list[str]:
    """Return a line for each workload whose data here is not that of the study in its database.

    Where workloads are others, the studies differ anyway.
    """
    several = len(study.workloads) > 1
    return [
        f"{f'data of {workload.name}' if several else 'data'}: other files than the study was "
        "started with"
        for workload, one, other in zip(study.workloads, there, here, strict=False)
        if one.fingerprint != other.fingerprint
    ]


def check_sources_readable(study: Study, sources: Sources) -> None:
    """Load the training images of all workloads once; see ``training.data.check_readable``.

    Raises:
        DataError: Data is missing, damaged or not as declared.
    """
    for workload, source in zip(study.workloads, sources, strict=True):
        check_readable(workload.data, source.path)


def _sources(study: Study, paths: Sequence[str | None]) -> Sources:
    return tuple(
        Source(path, fingerprint(workload.data, path))
        for workload, path in zip(study.workloads, paths, strict=True)
    )


def _path_of(workload: Workload, beside: Path | None) -> str | None:
    """Return where the data of a workload lies that is not the study's own."""
    stated = getattr(workload.data, "path", None)
    if stated is None:
        return resolve_path(workload.data, None, beside=beside)
    folder = beside.parent if beside else Path()
    return _existing(workload, str(folder / Path(stated).expanduser()))


def _existing(workload: Workload, path: str) -> str:
    """Return the whole path of data that is there.

    Raises:
        DataError: It is not.
    """
    if not Path(path).exists():
        raise DataError(
            f"{path}: no such file or directory (data of the workload {workload.name})",
            "say where it lies now as data.path of the workload in the study's file, and launch "
            "that: the study goes on",
        )
    return str(Path(path).resolve())
