"""What a network costs at many widths, priced in one batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import Blueprint
from cimsearch.cost.model import estimate_table
from cimsearch.cost.parts import named_statistics
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.space.bypass import without
from cimsearch.space.widths import Shares, with_widths
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics
from cimsearch.training.gain.target import Target

Floats = NDArray[np.float64]
Widths = Mapping[str, int]


@dataclass(frozen=True)
class Prices:
    """Costs of networks (n,), per inference; infinite where the hardware does not run one.

    Attributes:
        energy_pj: Of the whole system.
        latency_ns: From input to output.
        bitlines: Columns of arrays that hold weights.
        macs: Multiply-accumulates.
        weights: Stored weights.
        channels: Output channels of all prune groups.
    """

    energy_pj: Floats
    latency_ns: Floats
    bitlines: Floats
    macs: Floats
    weights: Floats
    channels: Floats

    @classmethod
    def joined(cls, parts: Sequence["Prices"]) -> "Prices":
        """Return the prices of all networks of ``parts``, one after another."""
        columns = ([getattr(part, field.name) for part in parts] for field in fields(cls))
        return cls(*map(np.concatenate, columns))

    def share(self, start: "Prices", target: Target) -> Floats:
        """Return the priced cost (n,) as a share of that of ``start``, one network.

        It is ``(a_E E/E0 + a_L L/L0 + a_B B/B0) / (a_E + a_L + a_B)``, without what ``start``
        has nothing of: a network off the arrays has no bitlines.
        """
        parts = (
            (target.energy, self.energy_pj, start.energy_pj),
            (target.latency, self.latency_ns, start.latency_ns),
            (target.bitlines, self.bitlines, start.bitlines),
        )
        counted = [(weight, of, first[0]) for weight, of, first in parts if weight > 0 < first[0]]
        total = np.zeros_like(self.energy_pj)
        for weight, of, first in counted:
            total += weight * of / first
        shared: Floats = total / (sum(weight for weight, _, _ in counted) or 1.0)
        return shared

    def led_by(self, start: "Prices", target: Target) -> Floats:
        """Return the cost (n,) that ``target.per`` names, as a share of that of ``start``.

        For ``plain`` and ``random`` it is the number of channels.
        """
        if target.per == "cim":
            return self.share(start, target)
        if target.per == "macs":
            return self.macs / start.macs
        if target.per == "parameters":
            return self.weights / start.weights
        return self.channels / start.channels


@dataclass(frozen=True)
class Pricing:
    """What is priced: a quantised network on some hardware, for some data.

    Attributes:
        blueprint: With bits and placements.
        hardware: What it runs on.
        statistics: Of the data; the defaults if left out.
        shares: What was asked of layers in parts; see ``with_widths``.
    """

    blueprint: Blueprint
    hardware: Hardware
    statistics: Statistics | None = None
    shares: Shares = field(default_factory=dict)

    def at(self, widths: Widths) -> Blueprint:
        """Return the network with other widths; groups left out stay as they are."""
        return with_widths(self.blueprint, widths, self.shares)

    def without(self, block: str) -> "Pricing":
        """Return that of the network without a residual block; see ``space.bypass``."""
        return replace(self, blueprint=without(self.blueprint, block))

    def of(self, options: Sequence[Widths]) -> Prices:
        """Return the prices of the network with other widths, in the order of ``options``.

        Args:
            options: Output channels by prune group; groups left out stay as they are.

        Raises:
            HardwareError: The hardware runs none of them.
        """
        blueprints = [self.at(widths) for widths in options]
        try:
            return self._batch(blueprints)
        except HardwareError:
            # A macro with a table of array calls has no price for some rows.
            return self._one_by_one(blueprints)

    def _batch(self, blueprints: Sequence[Blueprint]) -> Prices:
        names = [node.name for node in self.blueprint.nodes]
        named = named_statistics(self.statistics, names)
        costs = estimate_table(layer_table(blueprints), self.hardware, named)
        return Prices(
            energy_pj=np.asarray(costs.energy_pj, dtype=np.float64),
            latency_ns=np.asarray(costs.latency_ns, dtype=np.float64),
            bitlines=np.asarray(costs.mapping.bitlines, dtype=np.float64).sum(axis=1),
            macs=np.array([float(one.macs) for one in blueprints]),
            weights=np.array([float(one.weights) for one in blueprints]),
            channels=np.array([_channels(one) for one in blueprints]),
        )

    def _one_by_one(self, blueprints: Sequence[Blueprint]) -> Prices:
        found: list[Prices | None] = []
        refusal = HardwareError("no network was priced")
        for blueprint in blueprints:
            try:
                found.append(self._batch([blueprint]))
            except HardwareError as error:
                refusal = error
                found.append(None)
        if not any(found):
            raise refusal
        columns = {
            field.name: np.array(
                [np.inf if price is None else getattr(price, field.name)[0] for price in found]
            )
            for field in fields(Prices)
        }
        return Prices(**columns)


def narrower(widths: Widths, removed: Widths) -> dict[str, int]:
    """Return widths without some channels; counts below 0 are channels more."""
    return {group: width - removed.get(group, 0) for group, width in widths.items()}


def _channels(blueprint: Blueprint) -> float:
    groups = {node.prune_group: node.out_shape[0] for node in blueprint.nodes}
    return float(sum(width for group, width in groups.items() if group))
