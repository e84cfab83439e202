"""What a report shows of the adaptation of a study's networks, as plain data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedStep:
    """A network after one round: trained through its hardware.

    Attributes:
        label: What was done, in words.
        accuracy: On validation images (0..1), by the study's statistic.
        test_accuracy: On test images, with chips that nothing was chosen by; None if not scored.
        energy_pj: Per inference.
        latency_ns: Per inference.
        area_um2: Of the chip.
        utilization: Used cells / cells of the arrays touched (0..1).
        weights: Stored weights.
        removed: Channels that pruning took before this training, by group.
        delivered: Whether the network is what comes out.
    """

    label: str
    accuracy: float
    test_accuracy: float | None
    energy_pj: float
    latency_ns: float
    area_um2: float
    utilization: float
    weights: int
    removed: tuple[tuple[str, int], ...] = ()
    delivered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange:
    """A layer with weights as it was found and as it is delivered: channels and energy in pJ.

    All are 0 of a layer that went with its block.
    """

    name: str
    channels: tuple[int, int]
    energy_pj: tuple[float, float]
    utilization: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneGeneChange:
    """A network as it comes out with one gene changed and nothing trained again.

    Attributes:
        gene: Which: the layer and what of it.
        values: What it was and what it is.
        cost: What is saved of (``AdaptationView.saved``), before and after, in its unit.
        accuracy: On validation images before and after (0..1).
        chip_error: Standard error of the change because chips are few; None for one chip.
        image_error: At most so much because images are few.
    """

    gene: str
    values: tuple[str, str]
    cost: tuple[float, float]
    accuracy: tuple[float, float]
    chip_error: float | None
    image_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedNetwork:
    """A network with what was done with it.

    Attributes:
        name: Of the trial or the baseline.
        baseline: Whether it is a uniform baseline, which is only trained.
        steps: In order.
        layers: What became of each layer; empty if nothing was pruned.
        ended_by: Why no round follows; empty while it is not known.
        changes: The cheapest one-gene changes of what comes out, in order.
    """

    name: str
    baseline: bool
    steps: tuple[AdaptedStep, ...]
    layers: tuple[LayerChange, ...] = ()
    ended_by: str = ""
    changes: tuple[OneGeneChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationView:
    """An adaptation.

    Attributes:
        networks: Baselines first.
        level: Fidelity of every accuracy.
        chips: Of each accuracy.
        epochs: Of each training through the hardware.
        statistic: What of the chips an accuracy is.
        least_accuracy: What a network must not fall below (0..1); None while it is not known.
        saved: What one-gene changes save of: a cost with its unit in the name.
        taken: What pruning takes away, in words; empty if nothing is pruned.
    """

    networks: tuple[AdaptedNetwork, ...]
    level: str
    chips: int
    epochs: int
    statistic: str
    least_accuracy: float | None
    saved: str = "energy_pj"
    taken: str = "channels"
