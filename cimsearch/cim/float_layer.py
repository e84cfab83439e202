"""A float layer with weights. A linear layer is a convolution of 1 x 1."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.blueprint import Node
from cimsearch.cim.geometry import Geometry


class FloatLayer(nn.Module):
    """A float convolution; weights are cast to the type of the input.

    Input (n, c, h, w) in float32 or bfloat16, output (n, outputs, h', w') of the same type. A
    linear layer has a bias, a convolution none: batch norm follows it.

    Args:
        node: The layer's node.
        geometry: Where its rows are.
        generator: Draws the initial weights (He et al., arXiv 1502.01852).
    """

    def __init__(self, node: Node, geometry: Geometry, generator: torch.Generator) -> None:
        super().__init__()
        self.geometry = geometry
        fan_in = node.in_shape[0] // node.groups
        shape = (node.out_shape[0], fan_in, *node.kernel)
        spread = (2 / (fan_in * node.kernel[0] * node.kernel[1])) ** 0.5
        weight = torch.randn(shape, generator=generator).mul_(spread)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if node.op == "linear" else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output."""
        y = self._multiply(x)
        return y if self.bias is None else y + self.bias.view(1, -1, 1, 1).to(y.dtype)

    def _multiply(self, x: Tensor) -> Tensor:
        g = self.geometry
        weight = self.weight.to(x.dtype)
        return functional.conv2d(x, weight, None, g.stride, g.padding, groups=g.groups)
