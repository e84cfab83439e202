"""Noise: a table of normal numbers whose parts stand for fresh draws, keyed by image.

Drawing normal numbers costs several times as much as adding them. The table is the same in every
process and read from many places: its parts are as good as fresh ones to a training step or an
accuracy. On a chip the places are named by chip, layer and number of the image, so that results do
not depend on how images are put into batches; in training they are random.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimsearch.seeds import torch_seed

TABLE_SIZE = 1 << 20
MOST_AT_ONCE = TABLE_SIZE // 2


def chip_generator(chip: int, what: str) -> torch.Generator:
    """Return the generator of one chip's draws for ``what``: a layer, or the converters."""
    return torch.Generator().manual_seed(torch_seed("chip", chip, what))


@lru_cache(maxsize=4)
def _table(dtype: torch.dtype) -> Tensor:
    """Return the table, in a type; it is never written to."""
    generator = torch.Generator().manual_seed(torch_seed("noise table"))
    return torch.randn(TABLE_SIZE, generator=generator).to(dtype)


@dataclass(frozen=True)
class Noise:
    """The fresh noise of some images in one layer.

    Attributes:
        seeds: One of each image, (images,).
        together: Whether neighbouring images may share one read of the table: faster, but then
            noise depends on the batch.
    """

    seeds: NDArray[np.uint64]
    together: bool = False

    def add_to(self, y: Tensor, sigma: Tensor, part: int = 0) -> None:
        """Add normal noise to ``y`` in place.

        Args:
            y: (images, c, h, w), channels last in memory.
            sigma: Standard deviation: (1,) or (c,).
            part: Which of the layer's sums; each has its own noise.
        """
        if not len(y):
            return
        images = y.permute(0, 2, 3, 1)
        size = images[0].numel()
        at_once = max(1, MOST_AT_ONCE // size) if self.together else 1
        sigma, numbers, seeds = sigma.to(y.dtype), _table(y.dtype), self.seeds[::at_once]
        starts = _places(seeds, part).tolist()
        for index, (some, start) in enumerate(
            zip(torch.split(images, at_once), starts, strict=True)
        ):
            if some.numel() <= MOST_AT_ONCE:
                drawn = numbers[start : start + some.numel()]
            else:
                drawn = self.normal(seeds[index : index + 1], part, some.numel()).to(y.dtype)
            some.addcmul_(drawn.view(some.shape), sigma)

    def of(self, first: int, stop: int) -> "Noise":
        """Return the noise of some of the images."""
        return Noise(self.seeds[first:stop], self.together)

    def normal(self, seeds: NDArray[np.uint64], part: int, count: int) -> Tensor:
        """Return normal numbers (images, count), float32, of the images with ``seeds``.

        Args:
            seeds: Of the images.
            part: Which of the layer's draws.
            count: Numbers of an image.
        """
        numbers = _table(torch.float32)
        out = torch.empty(len(seeds), count)
        for piece, first in enumerate(range(0, count, MOST_AT_ONCE)):
            stop = min(first + MOST_AT_ONCE, count)
            starts = _places(seeds, part + (piece << 56)).tolist()
            for row, start in zip(out, starts, strict=True):
                row[first:stop] = numbers[start : start + stop - first]
        return out

    def fresh(self, part: int, shape: torch.Size) -> Tensor:
        """Return normal numbers (planes, vectors, columns), not to be written to.

        Args:
            part: Which of the layer's draws.
            shape: Vectors are those of one image after the other, as many of each.
        """
        planes, vectors, columns = shape
        if self.together and shape.numel() <= MOST_AT_ONCE:
            (start,) = _places(self.seeds[:1], part).tolist()
            return _table(torch.float32)[start : start + shape.numel()].view(shape)
        images = len(self.seeds)
        each = vectors // max(1, images)
        drawn = self.normal(self.seeds, part, planes * each * columns)
        return drawn.view(images, planes, each, columns).transpose(0, 1).reshape(shape)

    def generators(self, part: int) -> list[np.random.Generator]:
        """Return a generator of each image, for draws that are rare."""
        return [np.random.default_rng([int(seed), part]) for seed in self.seeds]


class NoiseStream:
    """Where a layer's fresh noise comes from: that of one chip, or (in training) of none.

    Args:
        source: The chip's index and the layer's name, or a generator to draw seeds from.
    """

    def __init__(self, source: tuple[int, str] | torch.Generator) -> None:
        self._generator = source if isinstance(source, torch.Generator) else None
        self._base = 0 if isinstance(source, torch.Generator) else torch_seed("noise", *source)
        self._seen = 0

    def next(self, images: int) -> Noise:
        """Return the noise of the next images, in the order in which they come."""
        if self._generator is not None:
            (base,) = torch.randint(2**62, (1,), generator=self._generator).tolist()
            return Noise(_seeds(base, 0, images), together=True)
        first, self._seen = self._seen, self._seen + images
        return Noise(_seeds(self._base, first, images))


def _seeds(base: int, first: int, images: int) -> NDArray[np.uint64]:
    return np.arange(first, first + images, dtype=np.uint64) + np.uint64(base)


def _places(seeds: NDArray[np.uint64], part: int) -> NDArray[np.uint64]:
    """Return where in the table to read, by a hash (SplitMix64: Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        mixed = seeds * np.uint64(0x9E3779B97F4A7C15) + _mixed(np.array(part + 1, dtype=np.uint64))
        return _mixed(mixed) % np.uint64(TABLE_SIZE - MOST_AT_ONCE + 1)


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
