"""Random streams: each is named by what it is for, none is global, none is stored.

A stream is keyed by a path such as ``("proposal", study_seed, k)``. Two different paths give
independent streams and an equal path gives the same stream on every machine, so nothing of a
generator has to be saved to resume a study.
"""

import hashlib

import numpy as np

Key = str | int


def stream_seed(*path: Key) -> int:
    """Return the 64-bit seed of the stream named by ``path``.

    Strings and integers of equal spelling are told apart (``1`` is not ``"1"``).
    """
    text = "/".join(f"{type(key).__name__}:{key}" for key in path)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def stream(*path: Key) -> np.random.Generator:
    """Return a NumPy generator for the stream named by ``path``."""
    return np.random.Generator(np.random.PCG64(stream_seed(*path)))


def torch_seed(*path: Key) -> int:
    """Return a seed for a ``torch.Generator``: 63 bits, which every torch version takes."""
    return stream_seed(*path) >> 1
