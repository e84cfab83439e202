"""What an operation of a model is in a blueprint, or why it is nothing there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isinf, prod
from typing import Any, Literal

import torch
from torch import Tensor

from cimsearch.networks.importing.pieces import Piece
from cimsearch.spec.node import NodeOp

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
    padding: Pair = (0, 0)
    limit: float | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def piece(self, name: str, inputs: Iterable[str]) -> Piece:
        """Return the piece of that name that reads ``inputs``."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return Piece(name=name, inputs=tuple(inputs), **own)


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
    """Return a convolution; one of a blueprint pads both sides alike.

    Args:
        made: What it is where it fits, without its padding.
        pads: Zeros above and left, and those below and right, (vertical, horizontal) each.
        dilation: Vertical and horizontal.
    """
    reasons = _reasons(pads, dilation)
    return Refused(reasons) if reasons else replace(made, padding=pads[0])


def pooling(
    made: Made,
    given: Sequence[int],
    pads: tuple[Pair, Pair],
    *,
    ceil_mode: bool,
    dilation: Pair,
) -> Outcome:
    """Return a pooling of ``given`` (images, ...); for the rest see ``convolution``.

    In a blueprint an average pooling does not pad, and windows are whole.
    """
    if len(given) != 4:
        return of_vectors(given)
    size = given[2:]
    reasons = list(_reasons(pads, dilation))
    if made.op == "avgpool" and any(map(any, pads)):
        reasons.append((f"an average over padding {pads[0]}", "is padding 0"))
    sides = zip(size, made.kernel, made.stride, *pads, strict=True)
    if ceil_mode and any((s + a + b - k) % step for s, k, step, a, b in sides):
        found = f"ceil_mode on {size[0]} x {size[1]}, where a part of a window is left"
        reasons.append((found, "is False"))
    return Refused(tuple(reasons)) if reasons else replace(made, padding=pads[0])


def _reasons(pads: tuple[Pair, Pair], dilation: Pair) -> tuple[Reason, ...]:
    reasons: list[Reason] = []
    if pads[0] != pads[1]:
        found = f"padding {pads[0]} before and {pads[1]} behind"
        reasons.append((found, "is the same at both sides"))
    if dilation != (1, 1):
        reasons.append((f"dilation {dilation}", "is (1, 1)"))
    return tuple(reasons)


def clipped(least: Any, most: Any) -> Outcome:
    """Return a clipping to ``least`` and ``most`` (None: no end) as a ReLU with a limit."""
    above = most is None or (isinstance(most, int | float) and most > 0)
    if not isinstance(least, int | float) or least != 0 or not above:
        return refused(f"a clip to {least} and {most}", "is one to 0 and a number over 0, or none")
    return Made("relu", limit=None if most is None or isinf(most) else float(most))


def added(stored: Tensor, given: Sequence[int]) -> Outcome:
    """Return the adding of stored numbers to an activation of shape ``given`` (images, ...)."""
    sides = [1, *given[1:2], *(1 for _ in given[2:])]
    fits = stored.dim() <= len(sides) and all(
        side in (1, own) for side, own in zip(stored.shape[::-1], sides[::-1], strict=False)
    )
    if not fits:
        found = f"stored numbers of shape {tuple(stored.shape)}"
        return refused(found, f"are one, or {sides[1]} of shape {tuple(sides)}")
    spread = torch.broadcast_to(stored.detach().to(torch.float32), sides)
    return Made("batchnorm", tensors={"bias": spread.flatten().clone()})


def of_vectors(given: Sequence[int]) -> Refused:
    """Return that ``given`` (images, ...) has no height and width."""
    return refused(f"an input of {tuple(given[1:])}", "is one of channels, height and width")


def averaged_to(given: Sequence[int], wanted: Any) -> Outcome:
    """Return an adaptive average pooling of ``given`` (images, ...) to ``wanted``.

    Of its height and width, None is as it was.
    """
    if len(given) != 4:
        return of_vectors(given)
    size, sides = given[2:], wanted if isinstance(wanted, Sequence) else (wanted, wanted)
    out = [own if each is None else int(each) for each, own in zip(sides, size, strict=True)]
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
    if out[1:] and out[0] == given[0] and given[1] == values == out[1] == prod(out[1:]):
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
