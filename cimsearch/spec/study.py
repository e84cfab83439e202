"""The study file: which space on which hardware with which data, how trained and how searched."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cimsearch.spec.base import (
    Bits,
    Count,
    FileSpec,
    Fraction,
    NonNegative,
    Positive,
    Spec,
    WeightBits,
)
from cimsearch.spec.document import FieldError
from cimsearch.spec.execution import Cluster, Limits
from cimsearch.spec.hardware import Encoding, RangePolicy
from cimsearch.spec.recipe import Recipe
from cimsearch.spec.rung import MAX_CHIPS, PERCENTILE_CHIPS, Level, Rung
from cimsearch.spec.space import Ratio, refuse_repeats
from cimsearch.spec.statistics import LayerStatistics, check_planes

__all__ = ["MAX_CHIPS", "PERCENTILE_CHIPS", "Level", "Recipe", "Rung"]

Objective = Literal["accuracy", "energy_pj", "latency_ns", "interval_ns", "area_um2"]
AccuracyStatistic = Literal["mean", "worst", "percentile_5"]
Calibration = Literal["shared", "per_chip"]
ConstraintName = Literal[
    "energy_pj", "latency_ns", "interval_ns", "area_um2", "macros", "utilization"
]


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


class Statistics(Spec):
    """Declared data statistics that price every trial (never a trial's own).

    ``activity_frac`` is the share of input bits that are 1, ``density_frac`` the share of stored
    weight bits that are 1. ``zero_plane_frac`` is the share of input planes of a row group that
    are all 0, which a macro with zero skipping leaves out. Inferences come in batches of
    ``batch``: weights that do not stay in the macros are loaded once a batch.

    ``layers`` declares shares of single layers; of the entries that match a layer's name the last
    counts.
    """

    activity_frac: Fraction = 0.5
    density_frac: Fraction = 0.5
    zero_plane_frac: Fraction = 0.0
    batch: Count = 1
    layers: tuple[LayerStatistics, ...] = ()

    @model_validator(mode="after")
    def _planes_have_room(self) -> Self:
        check_planes(self.activity_frac, self.zero_plane_frac, "zero_plane_frac")
        for index, entry in enumerate(self.layers):
            own, field = self._of(entry), f"layers.{index}.zero_plane_frac"
            check_planes(own.activity_frac, own.zero_plane_frac, field)
        return self

    def of_layer(self, name: str) -> "Statistics":
        """Return the statistics of the layer called ``name``, which declare no other."""
        return self._of(next((e for e in reversed(self.layers) if e.of(name)), None))

    def _of(self, entry: LayerStatistics | None) -> "Statistics":
        return self.model_copy(update={"layers": (), **(entry.shares if entry else {})})


class Bound(Spec):
    """Limits of a priced quantity; the unit is in the quantity's name."""

    max: NonNegative | None = None
    min: NonNegative | None = None

    @model_validator(mode="after")
    def _one_given(self) -> Self:
        if self.max is None and self.min is None:
            raise FieldError("max", "missing; a bound needs max or min")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise FieldError("min", f"found {self.min:g}; allowed is at most max = {self.max:g}")
        return self


class OpenGenes(Spec):
    """Per-layer choices that the study opens (or narrows) because its hardware has them."""

    weight_bits: tuple[WeightBits, ...] = ()
    activation_bits: tuple[Bits, ...] = ()
    prune_ratio: tuple[Ratio, ...] = ()
    adc_bits: tuple[Bits, ...] = ()
    encoding: tuple[Encoding, ...] = ()
    range_policy: tuple[RangePolicy, ...] = ()

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        refuse_repeats(dict(self))
        return self


SamplerName = Literal[
    "auto",
    "random",
    "nsga2",
    "nsga3",
    "sms_emoa",
    "age_moea2",
    "qmc",
    "tpe",
    "gp",
    "optuna_nsga2",
    "optuna_nsga3",
]


class Sampler(Spec):
    """What proposes candidates.

    ``lag``: results of all but the last ``lag`` trained are used. ``population`` is of the
    evolutionary ones. With ``screening`` those of ours (``auto``, ``nsga2``, ``nsga3``,
    ``sms_emoa``, ``age_moea2``) price many children and train the one that gains most, given a
    surrogate of the accuracy; ``unscreened_frac`` of their trials ignore the surrogate.
    """

    name: SamplerName
    population: Annotated[int, Field(ge=2)] = 50
    lag: Annotated[int, Field(ge=1)] = 8
    screening: bool = True
    unscreened_frac: Fraction = 0.1


class Budget(Spec):
    """When the search ends: so many trained trials."""

    trials: Count


class StudySpec(FileSpec):
    """A file of ``studies/``.

    ``accuracy_statistic`` is what the objective ``accuracy`` is of the accuracies of a rung's
    chips: their mean, that of the worst chip, or their 5th percentile, which needs 20 chips.

    ``calibration`` says what converter ranges and batch norms are fitted to, on training images:
    once to the hardware for all chips, or anew to each chip before it is scored, as the macro
    states it and not at each condition.
    """

    schema_: Annotated[Literal["cimsearch/study/1"], Field(alias="schema")]
    space: str
    hardware: str
    data: DataSpec
    genes: OpenGenes = OpenGenes()
    objectives: Annotated[tuple[Objective, ...], Field(min_length=2)] = (
        "accuracy",
        "energy_pj",
        "latency_ns",
    )
    accuracy_statistic: AccuracyStatistic = "mean"
    calibration: Calibration = "shared"
    constraints: dict[ConstraintName, Bound] = Field(default_factory=dict)
    sampler: Sampler
    seed: Annotated[int, Field(ge=0)] = 0
    statistics: Statistics = Statistics()
    recipe: Recipe
    rungs: Annotated[tuple[Rung, ...], Field(min_length=1, max_length=1)]
    budget: Budget
    workers: Count = 2
    limits: Limits = Limits()
    cluster: Cluster = Cluster()

    @model_validator(mode="after")
    def _objectives_fit(self) -> Self:
        if self.objectives[0] != "accuracy":
            raise FieldError("objectives", "accuracy must be the first objective")
        if len(set(self.objectives)) != len(self.objectives):
            raise FieldError("objectives", "found a repeated objective")
        if self.accuracy_statistic == "percentile_5" and self.rung.chips < PERCENTILE_CHIPS:
            found = f"found percentile_5 of {self.rung.chips} chips"
            raise FieldError("accuracy_statistic", f"{found}; it needs {PERCENTILE_CHIPS}")
        return self

    @property
    def rung(self) -> Rung:
        """The rung that trials of this study are trained and scored at."""
        return self.rungs[0]
