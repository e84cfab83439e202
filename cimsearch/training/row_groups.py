"""Which row groups of a network's layers hold no weights: those of the least norm."""

import torch
from torch import Tensor

from cimsearch.cim import CimLayer
from cimsearch.cim.skipping import least_row_groups
from cimsearch.networks import Network
from cimsearch.space.resting import resting
from cimsearch.training.channel_groups import layers_in_parts


def skip_least_row_groups(network: Network) -> None:
    """Choose the row groups without weights by the weights that the network has, and clear them.

    What a linear layer read there of channels at rest goes into its bias (see ``resting``). Both
    parts of a layer whose groups of channels have different bits read the same rows, and so skip
    the same ones.
    """
    parts, rest = layers_in_parts(network.blueprint), resting(network.blueprint)
    for node in network.blueprint.nodes:
        layer = network.module(node.name) if node.row_sparsity_ppm else None
        if not isinstance(layer, CimLayer):
            continue
        found = parts.get(node.name)
        if found is not None and node == found.high:
            # The first part, which came before, has chosen for both.
            continue
        both = [found.low, found.high] if found else [node]
        modules = [network.module(each.name) for each in both]
        weight = torch.cat([module.get_parameter("weight").detach() for module in modules])
        chosen = least_row_groups(weight, layer.geometry, node.row_sparsity_ppm)
        for module in modules:
            if isinstance(module, CimLayer):
                _skip(module, chosen, rest[node.inputs[0]])


@torch.no_grad()
def _skip(layer: CimLayer, chosen: Tensor, rest: float) -> None:
    """Let a layer hold no weights in ``chosen`` row groups, whose inputs are ``rest`` at rest."""
    before = layer.weight.flatten(1).sum(dim=1)
    layer.skip(chosen)
    if layer.bias is not None:
        layer.bias.add_(rest * (before - layer.weight.flatten(1).sum(dim=1)))
