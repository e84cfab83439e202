"""The same network with brevitas layers, to time a training step beside ours.

Brevitas (Xilinx/AMD) quantises weights and activations in training, without any hardware: its
step is what quantisation alone costs there.
"""

from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node

MISSING = "brevitas is not installed: pip install --group peers"


class BrevitasNetwork(nn.Module):
    """A blueprint of convolutions, linear layers, batch norms and activations in brevitas.

    Args:
        blueprint: What to build.
        bits: Of weights and activations.

    Raises:
        ModuleNotFoundError: Brevitas is not installed.
    """

    def __init__(self, blueprint: Blueprint, bits: int) -> None:
        super().__init__()
        import brevitas.nn as layers

        self.blueprint = blueprint
        self.quantised_input = layers.QuantIdentity(bit_width=bits)
        self.operations = nn.ModuleDict(
            {_key(node): _layer(node, bits, layers) for node in blueprint.nodes}
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes)."""
        x = self.quantised_input(images.contiguous(memory_format=torch.channels_last))
        values = {NETWORK_INPUT: x}
        for node in self.blueprint.nodes:
            x, *others = (values[name] for name in node.inputs)
            layer = self.operations[_key(node)]
            if node.op == "linear":
                x = x.flatten(1)
            values[node.name] = x + others[0] if node.op == "add" else layer(x)
        logits: Tensor = values[self.blueprint.nodes[-1].name].flatten(1)
        return logits


def _layer(node: Node, bits: int, layers: ModuleType) -> nn.Module:
    made: nn.Module
    match node.op:
        case "conv":
            made = layers.QuantConv2d(
                node.in_shape[0], node.out_shape[0], node.kernel, node.stride,
                (node.kernel[0] // 2, node.kernel[1] // 2), groups=node.groups, bias=False,
                weight_bit_width=bits,
            )  # fmt: skip
        case "linear":
            made = layers.QuantLinear(
                node.in_shape[0], node.out_shape[0], bias=True, weight_bit_width=bits
            )
        case "batchnorm":
            made = nn.BatchNorm2d(node.in_shape[0])
        case "relu":
            made = layers.QuantReLU(bit_width=bits)
        case "avgpool":
            made = _MeanPool()
        case _:
            made = nn.Identity()
    return made


class _MeanPool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(x, 1)


def _key(node: Node) -> str:
    return node.name.replace(".", "/")
