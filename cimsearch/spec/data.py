"""The data that a study declares: where it is, its shape, how it is split and augmented."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from cimsearch.spec.base import Count, Positive, Spec
from cimsearch.spec.document import FieldError


class Normalisation(Spec):
    """Per-channel ``(x - mean) / std``.

    Values stored as uint8 (all images are) are scaled to 0..1 first; others are taken as stored.
    """

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    std: Annotated[tuple[Positive, ...], Field(min_length=1)]


class Augmentation(Spec):
    """Whole-batch augmentation of training images: zero-padded shifts and mirror images.

    ``shift_pixels`` is the largest shift along height and width (not along a side of 1, so a
    signal shifts in time only); ``flip`` mirrors half of the images left to right.
    """

    shift_pixels: Annotated[int, Field(ge=0, le=16)] = 0
    flip: bool = False


class DataBase(Spec):
    """What every data set declares.

    ``shape`` is (channels, height, width). Data that has a test part of its own keeps it; from
    other data ``test_frac`` of each class is set aside for the test first. ``validation_frac`` of
    each class of what is left to train on becomes the validation part. ``split_seed`` draws both.
    """

    shape: tuple[Count, Count, Count]
    classes: Annotated[int, Field(ge=2)]
    validation_frac: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test_frac: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split_seed: int = 0
    normalisation: Normalisation | None = None
    augmentation: Augmentation = Augmentation()

    @field_validator("normalisation")
    @classmethod
    def _one_a_channel(
        cls, value: Normalisation | None, info: ValidationInfo
    ) -> Normalisation | None:
        if value is not None and "shape" in info.data:
            channels = info.data["shape"][0]
            for name in ("mean", "std"):
                if (found := len(getattr(value, name))) != channels:
                    raise FieldError(
                        name, f"found {found} values; allowed is one a channel: {channels}"
                    )
        return value

    @field_validator("augmentation")
    @classmethod
    def _image_stays_in_view(cls, value: Augmentation, info: ValidationInfo) -> Augmentation:
        side = min((n for n in info.data.get("shape", (1, 1))[1:] if n > 1), default=None)
        if side is not None and value.shift_pixels >= side:
            raise FieldError(
                "shift_pixels", f"found {value.shift_pixels}; allowed is less than the side {side}"
            )
        return value


class DigitsData(DataBase):
    """The handwritten digits that ship with scikit-learn: 1,797 images of 8 x 8, 10 classes."""

    kind: Literal["digits"]


class PathData(DataBase):
    """Data on disk. ``--data DIR`` or ``CIMSEARCH_DATA`` go before ``path``."""

    path: Annotated[str, Field(min_length=1)] | None = None


class ParquetData(PathData):
    """Parquet files ``train*.parquet`` and ``test*.parquet`` in the Hugging Face image layout."""

    kind: Literal["parquet"]
    image_column: str = "img"
    label_column: str = "label"


class FolderData(PathData):
    """Image folders: ``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` to be split."""

    kind: Literal["folder"]


class NpzData(PathData):
    """A ``.npz`` with ``x_train, y_train, x_test, y_test``, or ``x, y`` to be split.

    Arrays have the declared shape, sides of 1 may be left out: a 1-D signal of n samples is
    declared (channels, 1, n) and stored (images, channels, n), or (images, n) if it has one
    channel.
    """

    kind: Literal["npz"]


class ImportData(DataBase):
    """A function ``module:name`` that returns arrays; command line only, as it runs code.

    It returns a mapping with the names of ``NpzData``, or the tuple ``(x, y)`` or ``(x_train,
    y_train, x_test, y_test)``, and must return the same arrays each time.
    """

    kind: Literal["import"]
    target: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]


DataSpec = Annotated[
    DigitsData | ParquetData | FolderData | NpzData | ImportData, Field(discriminator="kind")
]
