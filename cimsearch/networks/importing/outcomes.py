"""What an operation of a model is in a blueprint, or why it is nothing there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor

from cimsearch.networks.importing.pieces import Piece
from cimsearch.spec.network import NodeOp

NORM_EPS = 1e-5
"""What a blueprint's batch norms add to a variance."""

Pair = tuple[int, int]
Reason = tuple[str, str]
"""What was found of an operation, and what is allowed ("is ..." or "are ...")."""


@dataclass(frozen=True)
class Made:
    """A piece without its name and inputs; see ``Piece``."""

    op: NodeOp
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    groups: int = 1
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def piece(self, name: str, inputs: Iterable[str]) -> Piece:
        """Return the piece of that name that reads ``inputs``."""
        window = (self.kernel, self.stride, self.groups)
        return Piece(name, self.op, tuple(inputs), *window, self.tensors)


@dataclass(frozen=True)
class Refused:
    """Why an operation is none of a blueprint, one or more reasons."""

    reasons: tuple[Reason, ...]


Outcome = Made | Refused | Literal["same"]
"""What becomes of an operation; ``same``: it passes on its input."""


def refused(found: str, allowed: str) -> Refused:
    """Return that an operation is none of a blueprint, for one reason."""
    return Refused(((found, allowed),))


def pair(value: Any) -> Pair:
    """Return a number, or one or two of them, as two."""
    if isinstance(value, Iterable):
        first, *rest = (int(each) for each in value)
        return first, rest[0] if rest else first
    return int(value), int(value)


def convolution(made: Made, pads: tuple[Pair, Pair], dilation: Pair) -> Outcome:
    """Return a convolution; one of a blueprint pads with half a kernel.

    Args:
        made: What it is where it fits.
        pads: Zeros above and left, and those below and right, (vertical, horizontal) each.
        dilation: Vertical and horizontal.
    """
    reasons: list[Reason] = []
    kernel = made.kernel
    wanted = (kernel[0] // 2, kernel[1] // 2)
    if pads != (wanted, wanted):
        shown = pads[0] if pads[0] == pads[1] else f"{pads[0]} before and {pads[1]} behind"
        reasons.append((f"padding {shown} of kernel {kernel}", f"is kernel // 2, {wanted}"))
    if dilation != (1, 1):
        reasons.append((f"dilation {dilation}", "is (1, 1)"))
    return Refused(tuple(reasons)) if reasons else made


def pooling(made: Made, size: Pair, padding: Any, *, ceil_mode: bool, dilation: Any) -> Outcome:
    """Return a pooling of an input of ``size``; one of a blueprint does not pad."""
    reasons: list[Reason] = []
    if any(padding if isinstance(padding, Iterable) else (padding,)):
        reasons.append((f"padding {padding}", "is 0"))
    if pair(dilation) != (1, 1):
        reasons.append((f"dilation {dilation}", "is 1"))
    rest = [(s - k) % step for s, k, step in zip(size, made.kernel, made.stride, strict=True)]
    if ceil_mode and any(rest):
        found = f"ceil_mode on {size[0]} x {size[1]}, where a part of a window is left"
        reasons.append((found, "is False"))
    return Refused(tuple(reasons)) if reasons else made


def averaged_to(size: Pair, wanted: Any) -> Outcome:
    """Return an adaptive average pooling from ``size`` to ``wanted`` (None keeps a side)."""
    given = wanted if isinstance(wanted, Sequence) else (wanted, wanted)
    out = [own if each is None else int(each) for each, own in zip(given, size, strict=True)]
    if any(own % each for own, each in zip(size, out, strict=True)):
        found = f"an output of {out[0]} x {out[1]} from {size[0]} x {size[1]}"
        return refused(found, "is one whose windows are equal, such as 1 x 1")
    window = (size[0] // out[0], size[1] // out[1])
    return "same" if window == (1, 1) else Made("avgpool", window, window)


def reshaped(given: Sequence[int], out: Sequence[int]) -> Outcome:
    """Return a change of shape (images, ...), which may be one to vectors.

    Sides of 1 behind the channels may come and go.
    """
    values = prod(given[1:])
    if out and out[0] == given[0] and given[1] == values == out[1] == prod(out[1:]):
        return "same"
    if tuple(out) != (given[0], values):
        found = f"{tuple(given[1:])} to {tuple(out[1:])}"
        return refused(found, "is to a vector of all values of an image")
    return Made("flatten")


def normalised(tensors: Mapping[str, Tensor], eps: float) -> Made:
    """Return a batch norm: of another epsilon with gains that make up for it."""
    if eps == NORM_EPS:
        return Made("batchnorm", tensors=tensors)
    gain, var = tensors["weight"], tensors["var"].double()
    scale = ((var + NORM_EPS) / (var + eps)).sqrt()
    scaled = (gain.double() * scale).to(torch.float32)
    return Made("batchnorm", tensors={**tensors, "weight": scaled})
