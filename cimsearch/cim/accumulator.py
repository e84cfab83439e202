"""The register that sums of codes end in: its width, its overflow, the bits it drops."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cimsearch.spec.hardware import Accumulator


@dataclass(frozen=True)
class Register:
    """A register of one layer.

    It holds an output's codes, shifted and added over planes, slices and row groups, before
    anything is taken off for inputs. Its sum is exact; what is stored of it is not.

    Attributes:
        kind: Width and rounding.
        unit: Value of one step of the converter, in units of the product.
    """

    kind: Accumulator
    unit: float


def register_of(kind: Accumulator | None, lsb: NDArray[np.float64]) -> Register | None:
    """Return the register of a layer whose converters have one step; None if it is wide enough."""
    return None if kind is None else Register(kind, float(lsb.flat[0]))


def accumulated(sums: Tensor, register: Register) -> Tensor:
    """Return what the register keeps of sums in units of the product, in place."""
    kind, steps = register.kind, sums.div_(register.unit)
    if kind.bits is not None:
        half = 2.0 ** (kind.bits - 1)
        if kind.overflow == "saturate":
            steps.clamp_(-half, half - 1)
        else:
            # In float64, which holds the width: float32 would lose the low bits of a wide one.
            turns = ((steps.double() + half) / (2 * half)).floor_()
            steps.copy_(steps.double() - 2 * half * turns)
    if kind.drop_bits:
        dropped = 2.0**kind.drop_bits
        if kind.rounding == "nearest":
            steps.add_(dropped / 2)
        steps.div_(dropped).floor_().mul_(dropped)
    return steps.mul_(register.unit)
