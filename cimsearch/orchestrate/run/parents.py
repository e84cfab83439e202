"""Putting float parents that come with their weights where workers read them."""

from pathlib import Path

from cimsearch.errors import DataError, SpecError
from cimsearch.spec import Study
from cimsearch.spec.catalogue import find
from cimsearch.spec.workload import Workload
from cimsearch.training.keep import Keep
from cimsearch.training.parents import digest_of, keep_parent, kept_parent

SUFFIX = ".safetensors"
"""Of the file of weights, which has the name of the space's file otherwise."""


def keep_parents(study: Study) -> None:
    """Put the weights of a study's imported networks into the cache of its workers.

    They lie beside the space's file; where that is not at hand, as for a study that goes on from
    the database, they have to be in the cache already.

    Raises:
        DataError: They are nowhere, or not those that the space's file names.
    """
    keep = Keep.at(study.spec.cluster.cache)
    names = (study.spec.space, *(workload.space for workload in study.spec.also))
    for workload, name in zip(study.workloads, names, strict=True):
        if workload.parent_weights:
            _keep(keep, workload, _beside(study, name))


def _beside(study: Study, name: str) -> Path | None:
    """Return where the weights of the space ``name`` of a study's file should lie."""
    if study.path is None:
        return None
    try:
        return find("spaces", name, beside=study.path).with_suffix(SUFFIX)
    except SpecError:
        return None


def _keep(keep: Keep, workload: Workload, path: Path | None) -> None:
    if path is None or not path.is_file():
        # Raises an error that says what to do if it is not there.
        kept_parent(keep, workload.parent_weights)
        return
    keep_parent(keep, read_weights(path, workload.parent_weights))


def read_weights(path: Path, digest: str) -> bytes:
    """Return a file of weights.

    Raises:
        DataError: It cannot be read, or its SHA-256 is not ``digest``.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if (found := digest_of(content)) != digest:
        raise DataError(
            f"{path}: not the weights that the space's file names: their SHA-256 is "
            f"{found[:12]}, not {digest[:12]}",
            "bring the file back, or import the network again under another name: other weights "
            "are another study",
        )
    return content
