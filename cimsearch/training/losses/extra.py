"""The further losses of a recipe, put together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cimsearch.cim import CimLayer
from cimsearch.networks import Network
from cimsearch.spec.losses import BINARY_BITS, AdcOverflow, BitSparsity, LayerLoss, Losses
from cimsearch.training.losses.bits import cell_energy, on_macro, ones_share
from cimsearch.training.losses.clean import clean_logits, divergence
from cimsearch.training.losses.overflow import Inputs, overflow
from cimsearch.training.losses.task import Loss
from cimsearch.training.losses.weights import binarisation, range_shaping

Value = Callable[[Tensor, Tensor], Tensor]
"""Logits (n, classes) and images (n, c, h, w) of a pass to a loss."""


@dataclass(frozen=True)
class _Term:
    """A loss, how much it counts, and over which first part of the training it rises."""

    value: Value
    weight: float
    ramp_frac: float = 0.0

    def at(self, progress: float) -> float:
        """Return how much it counts at ``progress`` 0 to 1."""
        ramp = min(1.0, progress / self.ramp_frac) if self.ramp_frac > 0 else 1.0
        return self.weight * ramp


class ExtraLosses:
    """The losses of a recipe on a network in training.

    An entry of weight 0, or of no layer that this network has, changes nothing.

    Args:
        network: Calibrated.
        losses: The recipe's.
    """

    def __init__(self, network: Network, losses: Losses) -> None:
        self._inputs: Inputs | None = None
        self._terms = tuple(self._terms_of(network, losses))
        self._progress = 0.0

    def set(self, progress: float) -> None:
        """Set how much of the training is done, 0 to 1."""
        self._progress = progress

    def beside(self, loss: Loss) -> Loss:
        """Return the sum of ``loss`` and of these; ``loss`` itself if there are none."""
        if not self._terms:
            return loss

        def total(logits: Tensor, images: Tensor, classes: Tensor) -> Tensor:
            value = loss(logits, images, classes)
            for term in self._terms:
                count = term.at(self._progress)
                if count:
                    value = value + count * term.value(logits, images)
            return value

        return total

    def clear(self) -> None:
        """Leave the network as it was."""
        if self._inputs is not None:
            self._inputs.close()

    def _terms_of(self, network: Network, losses: Losses) -> Iterator[_Term]:
        if (ones := losses.bit_sparsity) and ones.weight:
            yield from _of_bits(network, ones)
        if (binary := losses.binarisation) and binary.weight:
            narrow = [
                layer for layer in _named(network, binary) if layer.numerics.w_bits == BINARY_BITS
            ]
            yield from _of_weights(narrow, binarisation, binary.weight, binary.ramp_frac)
        if (shaped := losses.range_shaping) and shaped.weight:
            shape, aim = shaped.shape, shaped.aim
            layers = _named(network, shaped)
            yield from _of_weights(layers, lambda w: range_shaping(w, shape, aim), shaped.weight)
        if (moved := losses.noise_insensitivity) and moved.weight:
            yield _Term(lambda y, x: divergence(y, clean_logits(network, x)), moved.weight)
        if (beyond := losses.adc_overflow) and beyond.weight:
            yield from self._of_sums(network, beyond)

    def _of_sums(self, network: Network, entry: AdcOverflow) -> Iterator[_Term]:
        # Converters that compute an activation cut off what it does, and are to.
        layers = [
            layer
            for layer in _named(network, entry)
            if layer.converters.row_groups and layer.activation_ranges is None
        ]
        if not layers:
            return
        self._inputs = inputs = Inputs(layers)

        def value(_logits: Tensor, _images: Tensor) -> Tensor:
            taken = inputs.take()
            return _mean([overflow(layer, x, entry.range_frac) for layer, x in taken.items()])

        yield _Term(value, entry.weight)


def _of_bits(network: Network, entry: BitSparsity) -> Iterator[_Term]:
    """Yield the ones of layers, each counted by the energy that its cells take at most."""
    layers = [layer for layer in on_macro(network) if entry.of(layer.name)]
    energies = [cell_energy(layer, network) for layer in layers]
    if not sum(energies):
        return

    def value(_logits: Tensor, _images: Tensor) -> Tensor:
        shares = [ones_share(layer, entry.softness_frac) for layer in layers]
        counted = [share * energy for share, energy in zip(shares, energies, strict=True)]
        return torch.stack(counted).sum() / sum(energies)

    yield _Term(value, entry.weight)


def _of_weights(
    layers: list[CimLayer],
    loss: Callable[[Tensor], Tensor],
    weight: float,
    ramp_frac: float = 0.0,
) -> Iterator[_Term]:
    """Yield the mean over layers of a loss of their weights."""
    if layers:
        yield _Term(
            lambda _y, _x: _mean([loss(layer.weight) for layer in layers]), weight, ramp_frac
        )


def _named(network: Network, entry: LayerLoss) -> list[CimLayer]:
    return [layer for layer in network.cim_layers() if entry.of(layer.name)]


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
