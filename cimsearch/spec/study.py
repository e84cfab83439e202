"""The study file: which space on which hardware with which data, how trained and how searched."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from cimsearch.spec.adaptation import Adaptation
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
from cimsearch.spec.data import (
    Augmentation,
    DataSpec,
    DigitsData,
    FolderData,
    ImportData,
    Normalisation,
    NpzData,
    ParquetData,
)
from cimsearch.spec.document import FieldError
from cimsearch.spec.execution import Cluster, Limits
from cimsearch.spec.hardware import Encoding, RangePolicy
from cimsearch.spec.hardware_genes import NO_HARDWARE_GENES, HardwareGenes
from cimsearch.spec.optional_genes import ResidualBits, without_absent
from cimsearch.spec.recipe import Recipe
from cimsearch.spec.rung import MAX_CHIPS, PERCENTILE_CHIPS, Halving, Level, Rung
from cimsearch.spec.space import Ratio, refuse_repeats
from cimsearch.spec.statistics import LayerStatistics, check_planes
from cimsearch.spec.workload import MOST_WORKLOADS, OverWorkloads, WorkloadSpec

__all__ = [
    "MAX_CHIPS",
    "PERCENTILE_CHIPS",
    "Augmentation",
    "DataSpec",
    "DigitsData",
    "FolderData",
    "Halving",
    "ImportData",
    "Level",
    "Normalisation",
    "NpzData",
    "ParquetData",
    "Recipe",
    "Rung",
]

Objective = Literal["accuracy", "energy_pj", "latency_ns", "interval_ns", "area_um2"]
AccuracyStatistic = Literal["mean", "worst", "percentile_5"]
Calibration = Literal["shared", "per_chip"]
ConstraintName = Literal[
    "energy_pj", "latency_ns", "interval_ns", "area_um2", "macros", "utilization"
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
    """Choices that the study opens or narrows because its hardware has them.

    All are of each layer, but for ``residual_bits`` of each addition, and ``hardware``: fields of
    the hardware itself.
    """

    weight_bits: tuple[Literal[0] | WeightBits, ...] = ()
    activation_bits: tuple[Bits, ...] = ()
    prune_ratio: tuple[Ratio, ...] = ()
    adc_bits: tuple[Bits, ...] = ()
    encoding: tuple[Encoding, ...] = ()
    range_policy: tuple[RangePolicy, ...] = ()
    high_share: tuple[Fraction, ...] = ()
    high_bits: tuple[WeightBits, ...] = ()
    residual_bits: tuple[ResidualBits, ...] = ()
    row_sparsity: tuple[Ratio, ...] = ()
    hardware: HardwareGenes = NO_HARDWARE_GENES

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out genes that are off: the hash is that of before there were any."""
        return without_absent(handler(self))

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        refuse_repeats(self.of_layers)
        return self

    @property
    def of_layers(self) -> dict[str, tuple[Any, ...]]:
        """The choices of each layer, by field."""
        return {name: values for name, values in self if name != "hardware"}


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
    evolutionary ones. The others are of ``auto``: with ``screening`` its first few hundred trials
    are those of many priced children that gain most, given a surrogate of the accuracy;
    ``unscreened_frac`` of these trials ignore the surrogate.
    """

    name: SamplerName = "auto"
    population: Annotated[int, Field(ge=2)] = 50
    lag: Annotated[int, Field(ge=1)] = 8
    screening: bool = True
    unscreened_frac: Fraction = 0.1


class Stalled(Spec):
    """No more is gained: the last ``trials`` results add less than ``gain`` of hypervolume.

    Results are those of the last rung that proposals may know; the hypervolume is the share of
    the box up to the reference point.
    """

    trials: Count
    gain: Annotated[float, Field(gt=0, le=1)] = 0.001


class Budget(Spec):
    """When the search ends: by whichever comes first.

    ``trials`` counts trained candidates; trials of promoted candidates come on top. ``time_s`` is
    of one launch or resume: after it no new trial is begun, and the study can be resumed.
    """

    trials: Count
    time_s: Positive | None = None
    stalled: Stalled | None = None


class StudySpec(FileSpec):
    """A file of ``studies/``.

    ``accuracy_statistic`` is what the objective ``accuracy`` is of the accuracies of a rung's
    chips: their mean, that of the worst chip, or their 5th percentile, which needs 20 chips.

    ``calibration`` says what converter ranges and batch norms are fitted to, on training images:
    once to the hardware for all chips, or anew to each chip before it is scored, as the macro
    states it and not at each condition.

    Candidates are trained and scored at the first of ``rungs``; with several, the best go on to
    the next as ``halving`` says. What a study finds is what its last rung says.

    ``adapt`` says what ``cimsearch adapt`` makes of the networks that were found.

    With workloads under ``also`` a candidate is a network of each, side by side on one chip. The
    accuracy of a chip is then that of its workloads as ``over_workloads`` says: the mean, or the
    worst.
    """

    schema_: Annotated[Literal["cimsearch/study/1"], Field(alias="schema")]
    space: str
    hardware: str
    data: DataSpec
    also: Annotated[tuple[WorkloadSpec, ...], Field(max_length=MOST_WORKLOADS - 1)] = ()
    over_workloads: OverWorkloads = "mean"
    genes: OpenGenes = OpenGenes()
    objectives: Annotated[tuple[Objective, ...], Field(min_length=2)] = (
        "accuracy",
        "energy_pj",
        "latency_ns",
    )
    accuracy_statistic: AccuracyStatistic = "mean"
    calibration: Calibration = "shared"
    constraints: dict[ConstraintName, Bound] = Field(default_factory=dict)
    sampler: Sampler = Sampler()
    seed: Annotated[int, Field(ge=0)] = 0
    statistics: Statistics = Statistics()
    recipe: Recipe
    rungs: Annotated[tuple[Rung, ...], Field(min_length=1, max_length=4)]
    halving: Annotated[Halving | None, Field(validate_default=True)] = None
    budget: Budget
    workers: Count = 2
    limits: Limits = Limits()
    cluster: Cluster = Cluster()
    adapt: Adaptation | None = None

    @field_validator("halving")
    @classmethod
    def _several_rungs_have_halving(
        cls, value: Halving | None, info: ValidationInfo
    ) -> Halving | None:
        several = len(info.data.get("rungs", ())) > 1
        return Halving() if several and value is None else value

    @model_validator(mode="after")
    def _halving_fits(self) -> Self:
        if self.halving is not None:
            if len(self.rungs) == 1:
                raise FieldError("halving", "found with one rung; allowed is with several")
            self.halving.check(len(self.rungs))
        return self

    @model_validator(mode="after")
    def _objectives_fit(self) -> Self:
        if self.objectives[0] != "accuracy":
            raise FieldError("objectives", "accuracy must be the first objective")
        if len(set(self.objectives)) != len(self.objectives):
            raise FieldError("objectives", "found a repeated objective")
        fewest = min(rung.chips for rung in self.rungs)
        if self.accuracy_statistic == "percentile_5" and fewest < PERCENTILE_CHIPS:
            found = f"found percentile_5 of {fewest} chips"
            raise FieldError("accuracy_statistic", f"{found}; it needs {PERCENTILE_CHIPS}")
        return self

    @model_validator(mode="after")
    def _over_several(self) -> Self:
        if self.over_workloads != "mean" and not self.also:
            found = f"found {self.over_workloads} of one workload"
            raise FieldError("over_workloads", f"{found}; name others under also")
        return self

    @property
    def rung(self) -> Rung:
        """The last rung: what the study finds is what this says."""
        return self.rungs[-1]
