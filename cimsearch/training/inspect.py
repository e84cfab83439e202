"""What a data set holds, and what may be wrong with it: ``cimsearch data check``."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from cimsearch.spec.study import DataSpec, FolderData, ImportData
from cimsearch.training.data import Images, Part, load_part
from cimsearch.training.fingerprint import fingerprint
from cimsearch.training.paths import folder_files, root_of

_IMBALANCE = 10
_FEW_IMAGES = 100
_WIDE_RANGE = 10
_AT_ONCE = 1024

Moments = tuple[float, ...]


@dataclass(frozen=True)
class PartReport:
    """One part: how many images, and how they are spread.

    Attributes:
        images: How many.
        per_class: How many of each class, in order of the labels.
        dtype: ``uint8`` or ``float32``.
        value_min: Smallest value, as a network takes it but before ``normalisation``.
        value_max: Largest value, likewise.
        duplicates: Images equal to an earlier one of the same part.
    """

    images: int
    per_class: tuple[int, ...]
    dtype: str
    value_min: float
    value_max: float
    duplicates: int


@dataclass(frozen=True)
class DataReport:
    """A data set and what was noticed.

    Attributes:
        kind: The kind of data.
        shape: (channels, height, width).
        class_names: Names of the classes, if the data has them.
        fingerprint: As stored with each study.
        parts: Each part, by its name.
        shared: Images of the second part that are also in the first, by ``first/second``.
        conflicts: Images that stand in the data under two or more labels.
        mean: Of the training part, by channel: what ``normalisation`` may declare.
        std: Of the training part, likewise.
        warnings: What may be wrong, a sentence each.
    """

    kind: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    fingerprint: str
    parts: dict[Part, PartReport]
    shared: dict[str, int]
    conflicts: int
    mean: Moments
    std: Moments
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self)


def check(data: DataSpec, path: str | None) -> DataReport:
    """Load every part, the test too, and report what it holds.

    Args:
        data: The declaration.
        path: Where the data lies, from ``data.resolve_path``.

    Raises:
        DataError: The data is missing, damaged or not as declared.
    """
    images = {part: load_part(data, path, part) for part in get_args(Part)}
    content = {part: _content_of(found) for part, found in images.items()}
    distinct = {part: set(keys) for part, keys in content.items()}
    parts = {
        part: _report(found, len(distinct[part]), data.classes) for part, found in images.items()
    }
    shared = {
        f"{first}/{second}": sum(key in distinct[first] for key in content[second])
        for first, second in combinations(images, 2)
    }
    conflicts = _conflicts(images, content)
    mean, std = _moments(images["train"])
    return DataReport(
        kind=data.kind,
        shape=data.shape,
        class_names=_class_names(data, path),
        fingerprint=(known := fingerprint(data, path)),
        parts=parts,
        shared=shared,
        conflicts=conflicts,
        mean=mean,
        std=std,
        warnings=(
            *_warn_of_parts(parts),
            *_warn_of_copies(parts, shared, conflicts),
            *_warn_of_values(data, parts, mean, std),
            *_warn_of_change(data, path, known),
        ),
    )


def _content_of(images: Images) -> list[bytes]:
    """Return a hash of each image."""
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images.x]


def _conflicts(images: dict[Part, Images], content: dict[Part, list[bytes]]) -> int:
    """Return how many different images stand under two or more labels."""
    labels: dict[bytes, set[int]] = {}
    for part, found in images.items():
        for key, label in zip(content[part], found.y.tolist(), strict=True):
            labels.setdefault(key, set()).add(label)
    return sum(len(of_one) > 1 for of_one in labels.values())


def _class_names(data: DataSpec, path: str | None) -> tuple[str, ...]:
    if isinstance(data, FolderData):
        return folder_files(data, root_of(data, path), "train").classes
    return ()


def _scale(images: Images) -> int:
    """Return what a value is divided by before normalisation."""
    return 255 if images.x.dtype == np.uint8 else 1


def _report(images: Images, distinct: int, classes: int) -> PartReport:
    return PartReport(
        images=len(images.y),
        per_class=tuple(np.bincount(images.y, minlength=classes).tolist()),
        dtype=str(images.x.dtype),
        value_min=float(images.x.min()) / _scale(images),
        value_max=float(images.x.max()) / _scale(images),
        duplicates=len(images.y) - distinct,
    )


def _moments(images: Images) -> tuple[Moments, Moments]:
    """Return mean and standard deviation by channel, in two passes over blocks of images."""
    count = images.x.size / images.x.shape[1]

    def total(of_block: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Any:
        starts = range(0, len(images.x), _AT_ONCE)
        blocks = (images.x[i : i + _AT_ONCE] / np.float64(_scale(images)) for i in starts)
        return sum(of_block(block).sum(axis=(0, 2, 3)) for block in blocks)

    mean = total(lambda block: block) / count
    std = np.sqrt(total(lambda block: np.square(block - mean[:, None, None])) / count)
    return tuple(mean.tolist()), tuple(std.tolist())


def _warn_of_parts(parts: dict[Part, PartReport]) -> Iterator[str]:
    for part, report in parts.items():
        empty = [str(label) for label, count in enumerate(report.per_class) if not count]
        if empty:
            yield f"{part} has no image of class {', '.join(empty)}"
        if part != "train" and report.images < _FEW_IMAGES:
            step = 100 / report.images
            yield f"{part} has {report.images} images: accuracy moves in steps of {step:.1f} %"
    most, least = max(parts["train"].per_class), min(parts["train"].per_class)
    if most > _IMBALANCE * least:
        yield f"train has {most} images of one class and {least} of another"


def _warn_of_copies(
    parts: dict[Part, PartReport], shared: dict[str, int], conflicts: int
) -> Iterator[str]:
    for part, report in parts.items():
        if report.duplicates:
            yield f"{report.duplicates} images of {part} are copies of others in it"
    for pair, count in shared.items():
        if count:
            first, second = pair.split("/")
            yield f"{count} images of {second} are also in {first}: its accuracy is too high"
    if conflicts:
        yield f"{conflicts} images have two or more labels"


def _warn_of_values(
    data: DataSpec, parts: dict[Part, PartReport], mean: Moments, std: Moments
) -> Iterator[str]:
    if len(types := {report.dtype for report in parts.values()}) > 1:
        yield f"parts are of types {', '.join(sorted(types))}; only uint8 is scaled to 0..1"
    train = parts["train"]
    largest = max(abs(train.value_min), abs(train.value_max))
    if data.normalisation is None and largest > _WIDE_RANGE:
        measured = f"{{mean: [{_listed(mean)}], std: [{_listed(std)}]}}"
        yield f"values reach {largest:g}: declare normalisation: {measured}"


def _listed(numbers: Moments) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)


def _warn_of_change(data: DataSpec, path: str | None, known: str) -> Iterator[str]:
    if isinstance(data, ImportData) and fingerprint(data, path) != known:
        yield f"{data.target} returns other arrays each time: fix its seed"
