"""Training for some steps more: it learns, it is repeatable, it says when it diverged."""

import pytest
import torch

from cimsearch.errors import CimsearchError
from cimsearch.networks import Network, build
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.data import DigitsData
from cimsearch.spec.recipe import Recipe
from cimsearch.training.accuracy import accuracy
from cimsearch.training.data import load_part
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData
from cimsearch.training.tune import fine_tune

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
TRAINING = TrainingData(load_part(DIGITS, None, "train"), DIGITS)
RECIPE = Recipe(batch=64, parent_epochs=1, parent_lr=0.1, qat_lr=0.05)
CANDIDATE = Space(load_space_spec("vgg_tiny")).uniform(weight_bits=4, activation_bits=4)
MACRO = load_hardware("macros/yu_cicc_2020").macro


def tuned(steps: int, seed: int = 1) -> Network:
    network = build(CANDIDATE.parent, None, generator=torch.Generator().manual_seed(0))
    fine_tune(
        network,
        TRAINING,
        RECIPE,
        steps=steps,
        rate=lambda progress: 0.1 * (1 - progress),
        generator=torch.Generator().manual_seed(seed),
    )
    return network


def test_a_float_network_learns_over_more_steps_than_an_epoch_has() -> None:
    images = load_part(DIGITS, None, "validation")
    assert accuracy(tuned(2 * TRAINING.steps(64) + 3), images, DIGITS) > 0.8


def test_equal_streams_give_equal_bits() -> None:
    weights = [tuned(3, seed).module("classifier").get_parameter("weight") for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_quantised_network_is_trained_at_its_mode() -> None:
    network = build(CANDIDATE.blueprint, MACRO, generator=torch.Generator().manual_seed(0))
    inherit(network, tuned(20))
    generator = torch.Generator().manual_seed(1)
    network.calibrate(TRAINING.sample(128, generator))
    network.set_mode("L0", noise_scale=0.5)
    before = network.module("stage1.layer0").get_parameter("weight").detach().clone()
    fine_tune(network, TRAINING, RECIPE, steps=2, rate=lambda _: 0.05, generator=generator)
    layer = next(iter(network.cim_layers()))
    assert layer.mode.noise_scale == 0.5
    assert not torch.equal(before, network.module("stage1.layer0").get_parameter("weight"))
    assert not network.training


def test_no_step_is_no_change() -> None:
    first, untouched = (
        tuned(0),
        build(CANDIDATE.parent, None, generator=torch.Generator().manual_seed(0)),
    )
    for name, values in untouched.state_dict().items():
        assert torch.equal(first.state_dict()[name], values)


def test_a_loss_that_diverges_is_told() -> None:
    network = tuned(0)
    with pytest.raises(CimsearchError, match="fine-tuning diverged: loss is nan after 4 steps"):
        fine_tune(
            network,
            TRAINING,
            RECIPE,
            steps=4,
            rate=lambda _: 1e20,
            generator=torch.Generator().manual_seed(1),
        )
