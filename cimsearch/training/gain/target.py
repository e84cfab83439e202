"""What pruning is to reach, and by which cost it is led there."""

from dataclasses import dataclass
from typing import Literal, get_args

from cimsearch.errors import UsageError

Per = Literal["cim", "macs", "parameters", "plain", "random"]
"""What importance is divided by: the priced hardware cost saved, or a control's instead.

``macs`` and ``parameters`` are the multiply-accumulates and stored weights saved, ``plain`` is 1:
importance alone. ``random`` is plain with importances drawn at random.
"""


@dataclass(frozen=True)
class Target:
    """What is to be reached. A cost is a share of that of the network that pruning begins with.

    Attributes:
        cost_frac: Stop at this share of the priced cost, or below.
        least_accuracy: Stop before the accuracy on held-out images falls below this.
        energy: Weight of the energy in the cost.
        latency: Weight of the latency in the cost.
        bitlines: Weight of the columns that hold weights in the cost.
        per: What importance is divided by. Where to stop is always told by the priced cost.
        round_frac: Cost after which importances are measured anew, and the network is tuned.
        most_frac: Most of a group's channels that go in one such round; one may always go. Of a
            larger block a part goes, and the round ends.
        least_channels: Channels that every group keeps.
        exchange: Whether channels are exchanged between groups at the end.
        layers: Whether residual blocks may go as a whole, where their shortcut is the identity.

    Raises:
        UsageError: A share is not one, or all weights are 0.
    """

    cost_frac: float
    least_accuracy: float = 0.0
    energy: float = 1.0
    latency: float = 0.0
    bitlines: float = 0.0
    per: Per = "cim"
    round_frac: float = 0.05
    most_frac: float = 0.3
    least_channels: int = 1
    exchange: bool = True
    layers: bool = False

    def __post_init__(self) -> None:
        for name in ("cost_frac", "round_frac", "most_frac"):
            _check(name, getattr(self, name), 0.0 < getattr(self, name) <= 1.0, "above 0 to 1")
        _check("least_accuracy", self.least_accuracy, 0 <= self.least_accuracy <= 1, "0 to 1")
        _check("least_channels", self.least_channels, self.least_channels >= 1, "1 or more")
        _check("per", self.per, self.per in get_args(Per), ", ".join(get_args(Per)))
        weights = (self.energy, self.latency, self.bitlines)
        fine = min(weights) >= 0 and max(weights) > 0
        _check("energy, latency and bitlines", weights, fine, "weights of 0 or more, not all 0")


def _check(name: str, found: object, fine: bool, allowed: str) -> None:
    if not fine:
        raise UsageError(f"{name} of a pruning target: found {found}; allowed is {allowed}")
