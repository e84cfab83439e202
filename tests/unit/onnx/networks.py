"""Networks to write: trained on digits, quantised in several ways, grouped, float."""

from dataclasses import replace
from itertools import cycle

import numpy as np
import torch
from numpy.typing import NDArray

from cimsearch.blueprint import Blueprint
from cimsearch.networks import Network, build
from cimsearch.space import Space
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.data import DigitsData
from cimsearch.spec.recipe import Recipe
from cimsearch.training.data import load_part, normalise
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData
from cimsearch.training.tune import fine_tune
from tests.unit.space.activations import searching
from tests.unit.space.test_widths import grouped

Values = NDArray[np.float32]

MACRO = load_hardware("macros/yu_cicc_2020").macro
VGG = Space(load_space_spec("vgg_tiny"))
HARD = searching(VGG, "hard_sigmoid")
RESNET = Space(load_space_spec("resnet8").model_copy(update={"input_shape": (1, 8, 8)}))
_DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
_RECIPE = Recipe(batch=64, parent_epochs=1, parent_lr=0.1, qat_lr=0.05)


def validation() -> Values:
    """Return the validation images of the digits as a network takes them."""
    images: Values = normalise(load_part(_DIGITS, None, "validation").x, _DIGITS).numpy()
    return images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_bits(blueprint: Blueprint, bits: list[int]) -> Blueprint:
    """Return a blueprint whose layers have these bits of weights and inputs in turn.

    Layers without a placement become digital; inputs that are images become signed.
    """
    turn = cycle(bits)
    nodes = tuple(
        replace(
            node,
            placement=node.placement or "digital",
            w_bits=next(turn),
            x_bits=next(turn),
            x_signed=node.x_signed or node.inputs == ("input",),
        )
        if node.has_weights
        else node
        for node in blueprint.nodes
    )
    return replace(blueprint, nodes=nodes)


def trained(space: Space, bits: list[int], *, learned: bool = False) -> tuple[Network, Network]:
    """Return a float parent and a quantised network, each trained for some steps on digits.

    Args:
        space: Where it comes from: first layer and classifier digital, the others on a macro.
        bits: Of weights and inputs in turn.
        learned: Whether steps of codes are trained too.
    """
    candidate = space.uniform(weight_bits=4, activation_bits=4)
    half = {group: width // 2 for group, width in widths_of(candidate.parent).items()}
    float_blueprint, blueprint = (
        with_widths(whole, half) for whole in (candidate.parent, candidate.blueprint)
    )
    training, draws = TrainingData(load_part(_DIGITS, None, "train"), _DIGITS), generator()
    parent = build(float_blueprint, None, generator=draws)
    _tune(parent, training, draws, steps=30, rate=0.1)
    network = build(with_bits(blueprint, bits), MACRO, generator=draws)
    inherit(network, parent)
    network.calibrate(training.sample(128, draws))
    if learned:
        for layer in network.cim_layers():
            layer.learn_steps()
    network.set_mode("L1", ideal=True)
    _tune(network, training, draws, steps=10, rate=0.02)
    return parent, network


def _tune(
    network: Network, training: TrainingData, draws: torch.Generator, *, steps: int, rate: float
) -> None:
    fine_tune(
        network,
        training,
        _RECIPE,
        steps=steps,
        rate=lambda progress: rate * (1 - progress),
        generator=draws,
    )


def grouped_network() -> tuple[Network, Values]:
    """Return a network with depthwise and grouped layers, and images for it."""
    network = build(with_bits(grouped(), [2, 8, 5, 3, 7, 4, 6]), None, generator=generator())
    images = torch.randn(64, 3, 4, 4, generator=generator(1))
    network.calibrate(images)
    return network.eval(), images.numpy()


@torch.no_grad()
def logits_of(network: Network, images: Values) -> Values:
    """Return what the network itself gives with ideal converters and without noise."""
    network.set_mode("L1", ideal=True)
    logits: Values = network(torch.from_numpy(images)).numpy()
    return logits
