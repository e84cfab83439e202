"""How stored images become what a network takes, and how many images there were, in words."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cimsearch.evaluate import Job
from cimsearch.evaluate.images import images_of, source_of
from cimsearch.evaluate.job import Part
from cimsearch.spec.base import canonical_json
from cimsearch.spec.study import DataSpec


@dataclass(frozen=True)
class Inputs:
    """The images of a job.

    Attributes:
        text: What a network takes of a stored image, as ``training.data.normalise`` makes it.
        counts: Images of the parts that were read, by part.
    """

    text: str
    counts: Mapping[Part, int]


def inputs_of(job: Job) -> Inputs:
    """Return the images of a job: those to train on, of the validation part, and those scored on.

    Raises:
        DataError: The data is missing, or not as declared.
    """
    parts: tuple[Part, ...] = ("train", "validation")
    read = {part: images_of(source_of(job), part) for part in dict.fromkeys((*parts, job.split))}
    counts: dict[Part, int] = {part: len(images.y) for part, images in read.items()}
    return Inputs(_text(job.data, of_pixels=read["train"].x.dtype == np.uint8), counts)


def _text(data: DataSpec, *, of_pixels: bool) -> str:
    value = "pixel / 255" if of_pixels else "the value as stored"
    where = ""
    if data.normalisation is not None:
        mean, std = map(canonical_json, (data.normalisation.mean, data.normalisation.std))
        value, where = f"({value} - mean) / std", f", with mean {mean} and std {std} by channel"
    if data.kind == "digits":
        where += ", pixel being scikit-learn's grey level (0 to 16) times 255 / 16, rounded"
    elif data.kind in ("folder", "parquet") and data.shape[0] == 3:
        where += ", channels red, green, blue"
    return f"x = {value}{where}"
