"""What pruning gives: the narrowed network, and what every step did."""

from dataclasses import dataclass, replace
from typing import Literal

from cimsearch.networks import Network
from cimsearch.space import Candidate

Stopped = Literal["target", "accuracy", "widths"]
"""Why pruning stopped: cost reached, accuracy too low beyond, or nothing saves any more."""


@dataclass(frozen=True)
class Step:
    """What went in one step, and the network after it.

    Attributes:
        removed: Channels that went, by group; below 0 are channels that came back. Those of a
            block that went are not among them.
        importance: What was given up.
        cost_frac: The priced cost as a share of that at the beginning.
        energy_pj: Priced, per inference.
        latency_ns: Priced, per inference.
        bitlines: Columns of arrays that hold weights.
        macs: Multiply-accumulates of one inference.
        weights: Stored weights.
        accuracy: On held-out images, where the network was tuned after this step; else None.
        block: The residual block that went, called by its add; empty if none did.
    """

    removed: tuple[tuple[str, int], ...]
    importance: float
    cost_frac: float
    energy_pj: float
    latency_ns: float
    bitlines: int
    macs: int
    weights: int
    accuracy: float | None = None
    block: str = ""

    def scored(self, accuracy: float) -> "Step":
        """Return the step with the accuracy after it."""
        return replace(self, accuracy=accuracy)


@dataclass(frozen=True)
class Pruned:
    """A pruned network.

    Attributes:
        network: Float, of the narrowed blueprint: a parent of its own.
        tuned: The network as it was given and tuned: ``network`` itself, or a quantised one.
        candidate: The quantised blueprint with these widths, and the float one.
        history: Of every step; the first is the network as it was given.
        stopped: Why no more went.
    """

    network: Network
    tuned: Network
    candidate: Candidate
    history: tuple[Step, ...]
    stopped: Stopped

    @property
    def accuracy(self) -> float:
        """Accuracy of ``tuned`` on held-out images."""
        return self.scored[-1].accuracy or 0.0

    @property
    def scored(self) -> tuple[Step, ...]:
        """The steps after which the network was tuned and its accuracy measured."""
        return tuple(step for step in self.history if step.accuracy is not None)
