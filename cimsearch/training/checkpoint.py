"""Where a training is, at the end of an epoch: to go on from there with the same bits."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from safetensors.torch import load, save
from torch import Tensor

from cimsearch.networks import Network
from cimsearch.training.seal import DIGEST, UNSEALED, metadata_of, sealed

_MOMENTUM = "momentum/"


@dataclass(frozen=True)
class State:
    """All that a training's next epoch follows from, beside its network as it began.

    Attributes:
        epoch: Epochs that are done.
        weights: Parameters and statistics, as ``Network.state_dict`` names them.
        momentum: The optimiser's, by the parameter's name; nothing before its first step.
        generator: State of the random stream.
    """

    epoch: int
    weights: Mapping[str, Tensor]
    momentum: Mapping[str, Tensor]
    generator: Tensor


@dataclass(frozen=True)
class Training:
    """A training in progress.

    Attributes:
        network: What is trained.
        optimizer: Its SGD.
        generator: Order, augmentation and noise.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    generator: torch.Generator

    def state(self, epoch: int) -> State:
        """Return where it is after ``epoch`` epochs; tensors are those that are trained."""
        momenta = {
            name: self.optimizer.state[parameter].get("momentum_buffer")
            for name, parameter in self.network.named_parameters()
        }
        return State(
            epoch,
            self.network.state_dict(),
            {name: values for name, values in momenta.items() if values is not None},
            self.generator.get_state(),
        )

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Become what ``state`` was taken of."""
        self.network.load_state_dict(state.weights)
        for name, parameter in self.network.named_parameters():
            if name in state.momentum:
                # Fused SGD needs it to lie in memory as the parameter does.
                own = torch.empty_like(parameter).copy_(state.momentum[name])
                self.optimizer.state[parameter]["momentum_buffer"] = own
        self.generator.set_state(state.generator)


@dataclass(frozen=True)
class Course:
    """What goes along with a training.

    Attributes:
        begin: Where it goes on from; None from the beginning.
        after_epoch: Called after each epoch with the epochs done, the share (0..1) of the epoch's
            images that were right, and a function that returns the state.
    """

    begin: State | None
    after_epoch: Callable[[int, float, Callable[[], State]], None]


def _nothing(_epoch: int, _accuracy: float, _state: Callable[[], State]) -> None:
    """Nothing follows an epoch."""


ALONE = Course(None, _nothing)


def to_bytes(state: State, key: str, about: Mapping[str, str] | None = None) -> bytes:
    """Return a state as a sealed safetensors file: weights under their names.

    Args:
        state: To be written.
        key: Which it is kept under.
        about: More metadata.
    """
    tensors = dict(state.weights)
    tensors |= {f"{_MOMENTUM}{name}": values for name, values in state.momentum.items()}
    metadata = {
        "schema": "cimsearch/checkpoint/1",
        "key": key,
        "epoch": str(state.epoch),
        "generator": b64encode(state.generator.numpy().tobytes()).decode(),
        DIGEST: UNSEALED,
    }
    plain = {name: values.detach().contiguous() for name, values in tensors.items()}
    return sealed(save(plain, metadata | dict(about or {})))


def from_bytes(content: bytes) -> State:
    """Return the state that ``to_bytes`` wrote, of a file that is whole."""
    metadata, tensors = metadata_of(content), load(content)
    generator = bytearray(b64decode(metadata["generator"]))
    return State(
        epoch=int(metadata["epoch"]),
        weights={n: v for n, v in tensors.items() if not n.startswith(_MOMENTUM)},
        momentum={
            name.removeprefix(_MOMENTUM): values
            for name, values in tensors.items()
            if name.startswith(_MOMENTUM)
        },
        generator=torch.frombuffer(generator, dtype=torch.uint8),
    )
