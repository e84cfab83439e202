"""The noise of a recipe, layer by layer and step by step."""

from collections.abc import Sequence
from math import hypot
from typing import get_args

from cimsearch.cim import CimLayer
from cimsearch.cim.training_noise import TrainingNoise
from cimsearch.networks import Network
from cimsearch.spec.recipe import NoiseEntry, NoisePlace


class NoiseSchedule:
    """Sets the noise of a network's layers for each training step.

    Args:
        network: Whose quantised layers get noise.
        entries: The recipe's. Entries of one place that are of one layer add their variances.
    """

    def __init__(self, network: Network, entries: Sequence[NoiseEntry]) -> None:
        self._layers = list(network.cim_layers()) if entries else []
        self._entries = tuple(entries)

    def set(self, step: int, ramp: float) -> None:
        """Set the noise of a step.

        Args:
            step: Counts from 0.
            ramp: Factor on all standard deviations.
        """
        active = [entry for entry in self._entries if (step + 1) % entry.every == 0]
        for layer in self._layers:
            layer.training_noise = _noise(layer, active, ramp)

    def clear(self) -> None:
        """Leave the network without noise of training."""
        for layer in self._layers:
            layer.training_noise = None


def _noise(layer: CimLayer, entries: Sequence[NoiseEntry], ramp: float) -> TrainingNoise | None:
    """Return a layer's noise at a step; None if there is none."""
    sigma = {
        place: ramp
        * hypot(*(e.sigma_frac for e in entries if e.on == place and _applies(e, layer)))
        for place in get_args(NoisePlace)
    }
    return TrainingNoise(**sigma) if any(sigma.values()) else None


def _applies(entry: NoiseEntry, layer: CimLayer) -> bool:
    return entry.of(layer.name) and _has(entry.on, layer)


def _has(place: NoisePlace, layer: CimLayer) -> bool:
    """Return whether a layer has a place for noise: a digital one has no partial sums."""
    return place != "partial_sums" or layer.numerics.analog
