"""The images that a worker evaluates with, remembered from job to job."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cimsearch.errors import DataError
from cimsearch.evaluate.job import Job, Part
from cimsearch.spec.study import DataSpec, Rung
from cimsearch.spec.workload import MOST_WORKLOADS
from cimsearch.training.data import Images, load_part
from cimsearch.training.fingerprint import fingerprint as data_fingerprint

_SOURCES = MOST_WORKLOADS
"""Data sets that a worker remembers: those of one study, with the parts that a search reads."""


@dataclass(frozen=True)
class Source:
    """Where images come from; ``fingerprint`` tells apart data that changed in its place."""

    data: DataSpec
    path: str | None
    fingerprint: str


def source_of(job: Job) -> Source:
    """Return where a job's images come from."""
    return Source(job.data, job.data_path, job.data_fingerprint)


@lru_cache(maxsize=_SOURCES)
def check_data(source: Source) -> None:
    """Check that the data is that of the study: this machine may have other files at its path.

    Raises:
        DataError: It is not.
    """
    found = data_fingerprint(source.data, source.path)
    if found != source.fingerprint:
        raise DataError(
            f"the data here ({source.path or source.data.kind}) is not what the study was started "
            f"with: its fingerprint is {found[:12]}, not {source.fingerprint[:12]}",
            "bring the same files to this machine, to the same place",
        )


@lru_cache(maxsize=2 * _SOURCES)
def images_of(source: Source, part: Part) -> Images:
    """Return a part of the data.

    Raises:
        DataError: It is missing or not as declared.
    """
    return load_part(source.data, source.path, part)


def first_images(images: Images, rung: Rung) -> Images:
    """Return as many images as the rung scores, evenly spread: they may be sorted by class."""
    if rung.images == "all" or rung.images >= len(images.y):
        return images
    chosen = np.linspace(0, len(images.y) - 1, rung.images).astype(np.int64)
    return Images(images.x[chosen], images.y[chosen])
