"""Data sets for training: load a part, normalise it, augment batches of it.

A part is ``train``, ``validation`` or ``test``. The first two come from the training data alone
and are fixed by its labels and the declaration, so a search never sees a test image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cimsearch.errors import DataError
from cimsearch.spec.study import Augmentation, DataSpec
from cimsearch.training.cache import Labels
from cimsearch.training.paths import resolve_path
from cimsearch.training.sources import Values, read
from cimsearch.training.splits import stratified

if TYPE_CHECKING:
    import torch

__all__ = [
    "Images",
    "Part",
    "augment",
    "check_readable",
    "load_part",
    "normalise",
    "resolve_path",
]

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True, eq=False)
class Images:
    """Images (or signals, of height 1) with their labels, in memory of their own.

    Attributes:
        x: (n, channels, height, width); uint8, or float32 as the user's arrays have it.
        y: (n,), int64, each from 0 to classes - 1.
    """

    x: Values
    y: Labels


def load_part(data: DataSpec, path: str | None, part: Part) -> Images:
    """Return one part of a data set. Files of the test are opened for the part ``test`` only.

    Args:
        data: The declaration.
        path: Where the data lies, from ``resolve_path``.
        part: Which part.

    Raises:
        DataError: The data is missing, damaged or not as declared, or the part has fewer than two
            classes.
    """
    stored = read(data, path, "test" if part == "test" else "train")
    chosen = np.arange(len(stored.y))
    if stored.pooled:
        rest, test = stratified(stored.y, data.test_frac, "data", "test", data.split_seed)
        chosen = test if part == "test" else rest
    if part != "test":
        key = ("data", "validation", data.split_seed)
        train, validation = stratified(stored.y[chosen], data.validation_frac, *key)
        chosen = chosen[train if part == "train" else validation]
    classes = np.unique(stored.y[chosen]).tolist()
    if len(classes) < 2:
        found = f"of class {classes[0]} alone" if classes else "of any class"
        raise DataError(
            f"{stored.where}: the {part} part has {len(chosen)} images {found}; needed are 2 "
            "classes or more",
            "give more images, or change validation_frac or test_frac",
        )
    return Images(stored.x[chosen], stored.y[chosen])


def check_readable(data: DataSpec, path: str | None) -> None:
    """Load the training images once, so that wrong data stops a study before its first trial.

    On a machine without the libraries that reading them takes (the extra ``[train]``), nothing is
    checked here; the workers have them.

    Raises:
        DataError: As for ``load_part``.
    """
    try:
        load_part(data, path, "train")
    except ImportError:
        return


def normalise(x: Values, data: DataSpec) -> torch.Tensor:
    """Return images as a network takes them: uint8 scaled to 0..1, then mean and std if declared.

    Args:
        x: (n, channels, height, width), uint8 or float32 (taken as stored).
        data: The declaration.

    Returns:
        A new float32 tensor of the same shape.
    """
    import torch

    values = torch.from_numpy(np.array(x, dtype=np.float32))
    if x.dtype == np.uint8:
        values.div_(255)
    if data.normalisation is not None:
        mean, std = (
            torch.tensor(by_channel, dtype=torch.float32).view(1, -1, 1, 1)
            for by_channel in (data.normalisation.mean, data.normalisation.std)
        )
        values.sub_(mean).div_(std)
    return values


def augment(
    batch: torch.Tensor, augmentation: Augmentation, generator: torch.Generator
) -> torch.Tensor:
    """Shift each image by up to ``shift_pixels`` either way and mirror every second, at random.

    What a shift uncovers is 0. A side of 1 is not shifted along.

    Args:
        batch: (n, channels, height, width).
        augmentation: What to do.
        generator: Where the randomness comes from; on any device.

    Returns:
        A batch of the same shape and type; ``batch`` itself if there is nothing to do.
    """
    import torch

    count, _, height, width = batch.shape

    def draw(high: int) -> torch.Tensor:
        numbers = torch.randint(high, (count,), generator=generator, device=generator.device)
        return numbers.to(batch.device)

    if augmentation.shift_pixels:
        up, left = (augmentation.shift_pixels if side > 1 else 0 for side in (height, width))
        padded = torch.nn.functional.pad(batch, (left, left, up, up))
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        images = torch.arange(count, device=batch.device)
        batch = windows[images, :, draw(2 * up + 1), draw(2 * left + 1)]
    if augmentation.flip:
        mirrored = draw(2).bool().view(-1, 1, 1, 1)
        batch = torch.where(mirrored, batch.flip(3), batch)
    return batch
