"""Operations without weights: activation, pooling, flattening, adding."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from cimsearch.blueprint import Node
from cimsearch.errors import UsageError

Operation = Callable[..., Tensor]


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
        case "maxpool":
            return lambda x: functional.max_pool2d(x, node.kernel, node.stride, node.pads)
        case "avgpool":
            return lambda x: functional.avg_pool2d(x, node.kernel, node.stride)
        case "flatten":
            return lambda x: x.flatten(1)[:, :, None, None]
        case "add":
            return lambda a, b: a + b
    raise UsageError(f"{node.name}: found operation {node.op!r}")
