"""Float parents whose weights come from elsewhere: imported, or left by pruning.

They are kept under the SHA-256 of the file of their weights.

This module needs no torch: who starts a study may have none.
"""

import hashlib

from cimsearch.errors import DataError
from cimsearch.training.keep import Keep

_SHOWN = 12
"""Digits of a SHA-256 that messages show."""


def digest_of(content: bytes) -> str:
    """Return the SHA-256 (hex) of a file."""
    return hashlib.sha256(content).hexdigest()


def keep_parent(keep: Keep, content: bytes) -> str:
    """Keep the file of a parent's weights and return its SHA-256, which jobs name it by.

    Raises:
        DataError: The place keeps nothing, or cannot be written.
    """
    digest = digest_of(content)
    if keep.get("parents", digest) is None:
        keep.put("parents", digest, content)
        if keep.get("parents", digest) is None:
            raise DataError(
                f"the cache {keep.place} did not take the weights of a float parent "
                f"({len(content)} bytes)",
                "set CIMSEARCH_CACHE, or cluster.cache in the study file, to a place that can be "
                "written, and CIMSEARCH_CACHE_GB to more than 0",
            )
    return digest


def kept_parent(keep: Keep, digest: str) -> bytes:
    """Return the file of a parent's weights.

    Raises:
        DataError: It is not there, or not any more.
    """
    content = keep.get("parents", digest)
    if content is None:
        raise DataError(
            f"the weights of the float parent ({digest[:_SHOWN]}) are not in the cache "
            f"{keep.place}",
            "those of an imported network lie beside the study's file: launch the study's file "
            "again, which puts them there; those of a pruned one are made again by cimsearch "
            "adapt with the study's file; workers on other machines read them from cluster.cache "
            "in the study file, a place that all of them reach",
        )
    return content
