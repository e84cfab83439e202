"""Noise: a pool drawn once, whose parts stand for fresh draws; and the static draws of a chip.

Drawing normal numbers costs several times as much as adding them. A pool is drawn once and read
from random places: its parts are as good as fresh ones to a training step or an accuracy.
"""

import torch
from torch import Tensor

from cimsearch.seeds import torch_seed

POOL_SIZE = 1 << 18


def chip_generator(chip: int, what: str) -> torch.Generator:
    """Return the generator of one chip's draws for ``what``: a layer, or the converters."""
    return torch.Generator().manual_seed(torch_seed("chip", chip, what))


class NoisePool:
    """Standard normal numbers to add to images of up to ``largest_image`` values each.

    Args:
        largest_image: Most values of one image that noise is added to.
        generator: Where the numbers come from, and where they are read.
    """

    def __init__(self, largest_image: int, generator: torch.Generator) -> None:
        self._generator = generator
        self._images: dict[torch.dtype, Tensor] = {
            torch.float32: torch.randn(max(POOL_SIZE, 2 * largest_image), generator=generator)
        }

    def _numbers(self, dtype: torch.dtype) -> Tensor:
        if dtype not in self._images:
            self._images[dtype] = self._images[torch.float32].to(dtype)
        return self._images[dtype]

    def add_to(self, y: Tensor, sigma: Tensor) -> None:
        """Add normal noise to ``y`` in place.

        Args:
            y: (n, c, h, w), channels last in memory.
            sigma: Standard deviation: (1,) or (c,).
        """
        numbers = self._numbers(y.dtype)
        images = y.permute(0, 2, 3, 1)
        size = images[0].numel()
        at_once = max(1, numbers.numel() // (2 * size))
        starts = torch.randint(
            numbers.numel() - at_once * size + 1,
            (-(-len(images) // at_once),),
            generator=self._generator,
        )
        sigma = sigma.to(y.dtype)
        parts = torch.split(images, at_once)
        for part, start in zip(parts, starts.tolist(), strict=True):
            noise = numbers[start : start + part.numel()].view(part.shape)
            part.addcmul_(noise, sigma)
