"""Operations without weights: activation, pooling, flattening, adding, joining."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.blueprint import Node
from cimsearch.cim import QuantisedOperand
from cimsearch.errors import UsageError

Operation = Callable[..., Tensor]


class Joined(nn.Module):
    """Joins the parts of a layer whose groups of channels have different bits.

    Inputs are (n, c_i, h, w), the output (n, channels, h, w). ``order`` says which channel of the
    parts, one after another, each channel of the output is: inherited with the weights, so that
    whoever reads the layer finds its channels where they are in the float parent.
    """

    order: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("order", torch.arange(channels))

    def forward(self, *parts: Tensor) -> Tensor:
        """Return the channels of all parts in the layer's order."""
        joined = torch.cat(parts, dim=1).index_select(1, self.order)
        return joined.contiguous(memory_format=torch.channels_last)


class Added(nn.Module):
    """Adds two values (n, c, h, w), of which the second waits for the first in few bits.

    Args:
        node: The addition, with the bits that the second is kept in.

    Raises:
        HardwareError: The bits are out of range.
    """

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.operand = QuantisedOperand(node)

    def forward(self, first: Tensor, waiting: Tensor) -> Tensor:
        """Return the sum."""
        read: Tensor = self.operand(waiting)
        return first + read


def plain_operation(node: Node, *, may_overwrite: bool) -> Operation:
    """Return what ``node`` computes, as a function of its inputs.

    Args:
        node: A node without weights.
        may_overwrite: Whether nobody else reads its input.

    Raises:
        UsageError: There is no such operation.
    """
    match node.op:
        case "relu" if node.limit is not None:
            return partial(functional.hardtanh, min_val=0.0, max_val=node.limit)
        case "relu":
            return functional.relu_ if may_overwrite else functional.relu
        case "hard_sigmoid":
            return functional.hardsigmoid
        case "maxpool":
            return lambda x: functional.max_pool2d(x, node.kernel, node.stride, node.pads)
        case "avgpool":
            return lambda x: functional.avg_pool2d(x, node.kernel, node.stride)
        case "flatten":
            return lambda x: x.flatten(1)[:, :, None, None]
        case "add":
            return lambda a, b: a + b
    raise UsageError(f"{node.name}: found operation {node.op!r}")
