"""What a report shows, as plain data: the figures read a ``StudyView`` and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cimsearch.figures.view_adapted import AdaptationView
from cimsearch.figures.view_search import RandomSearch, RungView, SearchCost

Value = int | float | str
State = Literal["complete", "infeasible", "failed"]
Components = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerView:
    """One node of a network, as built and as priced.

    Attributes:
        name: Of the node.
        op: What it computes.
        placement: ``cim``, ``digital``, or empty for a node without weights.
        kernel: Height and width of its window.
        channels: Output channels kept after pruning.
        w_bits: Weight bits; 0 for a node without weights.
        x_bits: Input activation bits; of an addition, those that what waits for it is kept in.
            0 for other nodes without weights, and where words wait.
        adc_bits: Converter bits in effect; 0 where there is no converter.
        prune_ratio: Share of the parent's filters removed (0..1); None where none may be.
        utilization: Used cells / cells of the arrays touched; 0 off the arrays.
        energy_pj: Per inference.
        latency_ns: Per inference.
        components: Energy in pJ by component; sums to ``energy_pj``.
    """

    name: str
    op: str
    placement: str = ""
    kernel: tuple[int, int] = (1, 1)
    channels: int = 1
    w_bits: int = 0
    x_bits: int = 0
    adc_bits: int = 0
    prune_ratio: float | None = None
    utilization: float = 0.0
    energy_pj: float = 0.0
    latency_ns: float = 0.0
    components: Components = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtCondition:
    """Accuracy of a trial's chips at one condition: mean and worst (0..1)."""

    label: str
    mean: float
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipCalibration:
    """What calibrating each chip of a trial brought and cost.

    Attributes:
        mean: Accuracy over the calibrated chips (0..1).
        shared_mean: Over the same chips with what was fitted once for all.
        shared_worst: Of the worst of those.
        images: Training images a chip.
        cpu_seconds: Processor time a chip.
    """

    mean: float
    shared_mean: float
    shared_worst: float
    images: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One trial that ended.

    Attributes:
        number: The trial's number.
        state: ``complete`` was scored; ``infeasible`` was priced and never trained; ``failed``
            was priced and could not be scored.
        on_front: Whether it is on the study's Pareto front.
        values: One value an objective, in the study's order; accuracy is 0 if it was not scored.
            Empty if it was not even priced.
        genes: Choice of each active gene by name.
        accuracy_std: Over the chips (population).
        accuracy_worst: Of the worst chip.
        accuracy_mean: Over the chips.
        chip_standard_error: Of that mean, because chips are few; None for one chip.
        accuracy_percentile_5: Of the chip at the 5th percentile; None below 20 chips.
        ideal_accuracy: With an ideal converter and no noise.
        test_accuracy: On the test images, which the search never used; None if not scored.
        energy_measured_pj: Energy priced from the candidate's own measured activity and density.
        layers: Its nodes in order of execution.
        components: Energy in pJ by component.
        reason: Why it is infeasible or failed.
        settings: (name, value) of the hardware's fields that the study searches.
        workloads: (name, accuracy) of each, where a chip runs several.
        stale: The hardware that its accuracy was found on, where that scores otherwise than the
            study's; empty if it is the study's own.
        conditions: Accuracy at each condition of the study; empty if it has none.
        calibration: Of each chip; None if what all chips have was fitted once.
    """

    number: int
    state: State
    values: tuple[float, ...]
    on_front: bool = False
    genes: Mapping[str, Value] = field(default_factory=dict)
    accuracy_std: float = 0.0
    accuracy_worst: float = 0.0
    accuracy_mean: float = 0.0
    chip_standard_error: float | None = None
    accuracy_percentile_5: float | None = None
    ideal_accuracy: float = 0.0
    test_accuracy: float | None = None
    energy_measured_pj: float | None = None
    layers: tuple[LayerView, ...] = ()
    components: Components = field(default_factory=dict)
    reason: str = ""
    settings: tuple[tuple[str, Value], ...] = ()
    workloads: tuple[tuple[str, float], ...] = ()
    stale: str = ""
    conditions: tuple[AtCondition, ...] = ()
    calibration: ChipCalibration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A uniform network of the same family, trained and scored as the candidates are.

    Attributes:
        broken: Whether it loses so much to the converter and the noise that beating it proves
            nothing.
        infeasible: Which constraints it misses and by how much; empty if it holds them.
        settings: What the hardware's file says of the fields that the study searches.
        workloads: As of a point.
        stale: Likewise.
    """

    name: str
    values: tuple[float, ...]
    ideal_accuracy: float
    test_accuracy: float | None = None
    broken: bool = False
    infeasible: str = ""
    settings: tuple[tuple[str, Value], ...] = ()
    workloads: tuple[tuple[str, float], ...] = ()
    stale: str = ""
    components: Components = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneAxis:
    """One gene of the space: its choices, and whether neighbouring choices are alike."""

    name: str
    choices: tuple[Value, ...]
    ordered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Credibility:
    """How far the priced figures can be trusted.

    Attributes:
        calibrated: Whether the model was fitted to silicon of this macro.
        band_factor: The true energy of the macro lies within the modelled one times or divided by
            this; 1 where nothing is priced yet.
        nominal_coverage: Share of chips for which the band should hold (0..1).
        achieved_coverage: Share for which it held, on chips it was not fitted to; None: unknown.
        unvalidated: Components of the energy that nobody has validated; the others are the
            macro's.
        unvalidated_frac: Their share of the energy (0..1), mean over the front.
        note: Anything else to be said, one or more sentences.
    """

    calibrated: bool
    band_factor: float
    unvalidated_frac: float
    nominal_coverage: float = 0.8
    achieved_coverage: float | None = None
    unvalidated: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """A study as a report shows it.

    Attributes:
        name: Of the study.
        summary: One line.
        hardware: The macro in its system, by name.
        hardware_source: What the hardware's numbers come from.
        space: The search space and its size.
        data: The data set and its split.
        search: Sampler, seed and budget, one line.
        level: Fidelity that every accuracy was scored at.
        chips: Chip instances that an accuracy is of.
        accuracy_statistic: What of them it is: ``mean``, ``worst`` or ``5th percentile``.
        conditions: What each chip was scored at, with units: its accuracy is the worst of these;
            empty where it was read as the macro's file states.
        images: Validation images that an accuracy was scored on; 0 where nothing is scored yet.
        objectives: Names with units in them; the first is ``accuracy``.
        directions: ``maximize`` or ``minimize``, one an objective.
        reference_point: Of the hypervolume, in units of the objectives; accuracy at chance level.
        missing_baselines: (name, why) of the uniform baselines that have no accuracy.
        hypervolume: (trial number, value as a share of the box up to the reference point), one a
            scored trial.
        random_search: What random search has.
        constraints: One line each.
        workloads: What the chip runs, where it runs several.
        over_workloads: What a chip's accuracy is of theirs: ``mean`` or ``worst``.
        rungs: Of a study that has several, lowest first; all else is of the last of them.
        machines_mixed: Whether workers of different kinds took part.
        adaptation: What was made of the networks of the front; None if nothing was.
        provenance: Further (what, value) rows, such as content hashes and versions.
    """

    name: str
    summary: str
    hardware: str
    hardware_source: str
    space: str
    data: str
    search: str
    level: str
    chips: int
    images: int
    objectives: tuple[str, ...]
    directions: tuple[str, ...]
    reference_point: tuple[float, ...]
    cost: SearchCost
    credibility: Credibility
    points: tuple[Point, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    missing_baselines: tuple[tuple[str, str], ...] = ()
    hypervolume: tuple[tuple[int, float], ...] = ()
    random_search: RandomSearch = field(default_factory=RandomSearch)
    genes: tuple[GeneAxis, ...] = ()
    constraints: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    over_workloads: str = "mean"
    rungs: tuple[RungView, ...] = ()
    machines_mixed: bool = False
    accuracy_statistic: str = "mean"
    conditions: tuple[str, ...] = ()
    adaptation: AdaptationView | None = None
    provenance: tuple[tuple[str, str], ...] = ()

    @property
    def scored(self) -> tuple[Point, ...]:
        """The points that have an accuracy."""
        return tuple(point for point in self.points if point.state == "complete")

    @property
    def front(self) -> tuple[Point, ...]:
        """The points of the Pareto front, the most accurate first."""
        front = (point for point in self.points if point.on_front)
        return tuple(sorted(front, key=lambda point: (-point.values[0], point.number)))

    def column(self, objective: str, of: tuple[Point, ...] | tuple[Baseline, ...]) -> list[float]:
        """Return the values of one objective."""
        index = self.objectives.index(objective)
        return [item.values[index] for item in of]
