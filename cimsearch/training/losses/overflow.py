"""Sums of row groups against the range of their converters, with a gradient."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from cimsearch.cim import CimLayer


def overflow(layer: CimLayer, x: Tensor, range_frac: float) -> Tensor:
    """Return the mean of ``max(0, |S - middle| / half - range_frac)`` over a layer's sums.

    S is the sum of a row group as level L1 converts it, without noise; middle and half are of the
    range that all its converters span together. The mean is over images, positions, outputs and
    row groups. Gradients pass the quantisers where they do not clip.

    Args:
        layer: Calibrated, on an analog macro.
        x: Its inputs (n, c, h, w).
        range_frac: Share of the range that costs nothing.
    """
    product, _, _ = layer.quantised(x.detach(), layer.weight.detach())
    _, _, step = layer.codes_of(layer.weight.detach())
    limits, w_limit = layer.numerics.x_limits, layer.numerics.w_limit
    codes = _through((x.float() / layer.x_scale).clamp(*limits), product.x)
    stored = _through((layer.weight / step).clamp(-w_limit, w_limit), product.w)
    stored = stored + layer.numerics.correction
    read = codes.view(len(codes), product.geometry.groups, -1, *codes.shape[2:])
    beyond = []
    for group in layer.converters.row_groups:
        first, last = group.channels
        part = read[:, :, first:last].flatten(1, 2)
        sums = product.convolve(part, stored[:, first:last] * group.gain, group.shift)
        middle, half = (group.lo + group.hi) / 2, (group.hi - group.lo) / 2
        beyond.append(((sums - middle).abs() / half - range_frac).relu().mean())
    return torch.stack(beyond).mean()


def _through(steps: Tensor, codes: Tensor) -> Tensor:
    """Return ``codes`` with the gradient of ``steps`` (straight through)."""
    return steps + (codes.float() - steps).detach()


class Inputs:
    """Keeps what goes into layers at a pass with gradients, until it is taken.

    Args:
        layers: Whose inputs are kept.
    """

    def __init__(self, layers: Iterable[CimLayer]) -> None:
        self._kept: dict[CimLayer, Tensor] = {}
        self._handles: list[RemovableHandle] = [
            layer.register_forward_pre_hook(self._keep) for layer in layers
        ]

    def _keep(self, layer: Any, inputs: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled() and layer.training:
            self._kept[layer] = inputs[0]

    def take(self) -> dict[CimLayer, Tensor]:
        """Return the inputs of the last pass, and keep them no longer."""
        taken, self._kept = self._kept, {}
        return taken

    def close(self) -> None:
        """Keep nothing from now on."""
        for handle in self._handles:
            handle.remove()
        self._kept = {}
