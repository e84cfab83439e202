"""The float weights of a network as a file: what a parent that was trained elsewhere comes as."""

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from cimsearch.errors import DataError
from cimsearch.networks.network import Network

_NAMED = 5
"""Tensors that an error names before it counts the rest."""


def weights_file(network: Network) -> bytes:
    """Return the parameters and statistics of a network as a safetensors file.

    Equal weights of equal blueprints give equal bytes: its metadata is the blueprint's hash alone.
    """
    tensors = {name: values.detach().contiguous() for name, values in _state(network).items()}
    return save(tensors, {"blueprint": network.blueprint.hash})


@torch.no_grad()
def load_weights(network: Network, content: bytes) -> None:
    """Give a network the weights of a safetensors file.

    Raises:
        DataError: It is no such file, or its tensors are not the network's.
    """
    try:
        found = load(content)
    except SafetensorError as error:
        raise DataError(f"weights: found no safetensors file: {error}") from error
    own = _state(network)
    wrong = [f"{name}: missing" for name in own if name not in found]
    wrong += [f"{name}: not of the network" for name in found if name not in own]
    wrong += [
        f"{name}: found {_shown(found[name])}; allowed is {_shown(values)}"
        for name, values in own.items()
        if name in found and _shown(found[name]) != _shown(values)
    ]
    if wrong:
        rest = [f"and {len(wrong) - _NAMED} more"] if len(wrong) > _NAMED else []
        lines = "\n  ".join(wrong[:_NAMED] + rest)
        raise DataError(f"weights: found a file that is not of this network:\n  {lines}")
    for name, values in own.items():
        values.copy_(found[name])
    network.check_finite()


def _state(network: Network) -> dict[str, Tensor]:
    return dict(network.state_dict())


def _shown(values: Tensor) -> str:
    return f"{list(values.shape)} of {str(values.dtype).removeprefix('torch.')}"
