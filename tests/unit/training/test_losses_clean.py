"""How far noise moves logits, told without disturbing the training that asks."""

import copy
import math

import pytest
import torch
from torch.nn import functional

from cimsearch.networks import Network, build
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Macro, Noise
from cimsearch.training.losses.clean import clean_logits, divergence
from tests.unit.training.test_learning import same, state

BLUEPRINT = Space(load_space_spec("vgg_tiny")).uniform(weight_bits=4, activation_bits=4).blueprint
PLAIN = load_hardware("macros/yu_cicc_2020").macro
CELLS = {"cell_sigma_frac": 0.1, "adc_sigma_frac": 0.01}
NOISES = {
    "cells and conversions": Noise.model_validate(CELLS),
    # Effects that all layers of a chip share: a new chip is drawn at every pass.
    "effects": Noise.model_validate(CELLS | {"adc": {"offset_sigma_frac": 0.02}}),
}


def noisy(what: str) -> Macro:
    return PLAIN.model_copy(update={"noise": NOISES[what]})


def images(seed: int = 1) -> torch.Tensor:
    return torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def network(macro: Macro, level: str = "L1") -> Network:
    built = build(BLUEPRINT, macro, generator=torch.Generator().manual_seed(0))
    built.calibrate(images())
    built.set_mode("L2" if level == "L2" else "L1")
    return built.train()


def test_the_divergence_by_hand() -> None:
    # Clean 3/4 and 1/4, noisy 1/2 and 1/2.
    clean = torch.tensor([[math.log(3), 0.0]])
    wanted = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(divergence(torch.zeros(1, 2), clean)) == pytest.approx(wanted)
    assert float(divergence(clean + 5.0, clean)) == pytest.approx(0.0, abs=1e-6)


def test_a_step_downhill_brings_logits_nearer() -> None:
    generator = torch.Generator().manual_seed(0)
    clean, logits = torch.randn(2, 8, 10, generator=generator)
    logits.requires_grad_()
    before = divergence(logits, clean)
    (grad,) = torch.autograd.grad(before, logits)
    wanted = (functional.softmax(logits, 1) - functional.softmax(clean, 1)) / 8
    assert torch.allclose(grad, wanted.detach(), atol=1e-6)
    assert float(divergence(logits.detach() - grad, clean)) < float(before.detach())


@pytest.mark.parametrize("what", NOISES)
@pytest.mark.parametrize("level", ["L1", "L2"])
def test_clean_logits_are_those_of_an_ideal_network_in_training(what: str, level: str) -> None:
    built = network(noisy(what), level)
    ideal = copy.deepcopy(built)
    ideal.set_mode("L1", ideal=True)
    with torch.no_grad():
        wanted, moved = ideal(images(2)), built(images(2))
    found = clean_logits(built, images(2))
    assert torch.equal(found, wanted)
    assert not found.requires_grad
    assert float(divergence(moved, found)) > 1e-4


@pytest.mark.parametrize("what", NOISES)
def test_asking_disturbs_nothing(what: str) -> None:
    built = network(noisy(what))
    other = copy.deepcopy(built)
    before, modes = state(built), [layer.mode for layer in built.cim_layers()]
    clean_logits(built, images(2))
    assert same(before, state(built))
    assert [layer.mode for layer in built.cim_layers()] == modes
    assert all(module.training for module in built.modules())
    # The next pass draws the same noise, and its norms learn as if nobody had asked.
    assert torch.equal(built(images(3)), other(images(3)))
    assert same(state(built), state(other))
    assert torch.equal(built._generator.get_state(), other._generator.get_state())
