"""The integers of a calibrated layer, and what they stand for."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cimsearch.cim import CimLayer
from cimsearch.errors import UsageError


@dataclass(frozen=True)
class Codes:
    """Weights of a layer.

    Attributes:
        weight: Codes, whole numbers (outputs, c / groups, kh, kw).
        weight_step: What code 1 stands for, (outputs, 1, 1, 1).
        unit: What 1 in a sum of codes of inputs times weights stands for, (outputs, 1, 1, 1).
    """

    weight: Tensor
    weight_step: Tensor
    unit: Tensor


@torch.no_grad()
def codes_of(layer: CimLayer) -> Codes:
    """Return the codes of a calibrated layer, as it computes with them.

    Raises:
        UsageError: The layer is not calibrated.
    """
    if layer.x_scale == 0.0:
        raise UsageError(f"{layer.name}: not calibrated", "call Network.calibrate first")
    codes, _, step = layer.codes_of(layer.weight)
    return Codes(codes, step, step * layer.x_scale)
