"""Networks whose additions keep what waits in few bits: run, trained, and what it does to them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from cimsearch.evaluate import Score
from cimsearch.evaluate.run import evaluate
from cimsearch.networks import Network, build
from cimsearch.networks.operations import Added
from cimsearch.space import Candidate
from cimsearch.spec import load_hardware
from cimsearch.spec.recipe import Recipe
from cimsearch.training.channel_groups import put_together
from cimsearch.training.checkpoint import Training, from_bytes, to_bytes
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import STEP_RATE, optimiser_of
from tests.unit.export.networks import DIGITAL_MACRO, hardware, job
from tests.unit.space.grouped import grouped, parts_of
from tests.unit.space.residuals import SMALL, additions, with_residual
from tests.unit.training.test_prune import generator, trained

MACRO = load_hardware("macros/yu_cicc_2020").macro
RECIPE = Recipe(batch=32, parent_epochs=4, parent_lr=0.2, qat_lr=0.05)


def images(count: int = 24) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=generator(1))


def quantised(candidate: Candidate, parent: Network, draws: int = 2) -> Network:
    network = build(candidate.blueprint, MACRO, generator=generator(draws))
    inherit(network, parent)
    network.calibrate(images())
    return network.eval()


@pytest.fixture(scope="module")
def parent() -> Network:
    return trained(with_residual(0).parent)


@torch.no_grad()
def logits(network: Network, level: Any = "L1", *, ideal: bool = True) -> Tensor:
    network.set_mode(level, ideal=ideal)
    network.set_chip(0)
    found: Tensor = network(images())
    return found


def test_fewer_bits_move_the_logits_more(parent: Network) -> None:
    whole = logits(quantised(with_residual(0), parent))
    moved = [
        float((logits(quantised(with_residual(bits), parent)) - whole).abs().mean())
        for bits in (2, 4, 8, 16)
    ]
    assert moved == sorted(moved, reverse=True)
    size = float(whole.abs().mean())
    assert moved[0] > 0.05 * size
    assert moved[-1] < 0.01 * size


@torch.no_grad()
@pytest.mark.parametrize("ideal", [True, False])
@pytest.mark.parametrize("level", ["L0", "L1", "L2"])
def test_what_waits_is_quantised_at_every_level(parent: Network, level: str, ideal: bool) -> None:
    network = quantised(with_residual(2), parent)
    read: dict[str, Tensor] = {}
    for operand in network.operands():
        operand.register_forward_hook(lambda of, _, out: read.update({of.name: out}))
    logits(network, level, ideal=ideal)
    assert set(read) == {node.name for node in additions(network.blueprint)}
    for operand in network.operands():
        codes = torch.unique(read[operand.name] / operand.x_scale)
        assert torch.allclose(codes, codes.round(), atol=1e-5)
        assert codes.min() >= operand.limits[0]
        assert codes.max() <= operand.limits[1]
        assert len(codes) <= 4
    signs = {operand.name: operand.signed for operand in network.operands()}
    assert set(signs.values()) == {True, False}


def test_the_sum_is_of_the_first_and_of_what_the_codes_stand_for(parent: Network) -> None:
    network = quantised(with_residual(4), parent)
    name = additions(network.blueprint)[0].name
    module = network.module(name)
    assert isinstance(module, Added)
    one, two = (torch.rand(2, 6, 8, 8, generator=generator(seed)) for seed in (1, 2))
    assert torch.equal(module(one, two), one + module.operand(two))


def test_a_float_network_has_none(parent: Network) -> None:
    assert not list(parent.operands())
    # Of a trained network whose layers are in parts the float one is made anew.
    space = grouped(SMALL, weight_bits=(2, 4))
    candidate = with_residual(4, space, high_share=0.25)
    assert parts_of(candidate.blueprint)
    network = build(candidate.blueprint, MACRO, generator=generator())
    inherit(network, trained(candidate.parent))
    whole = put_together(network)
    assert not list(whole.operands())
    assert all(not node.x_bits for node in whole.blueprint.nodes)


def test_learned_steps_are_trained_and_kept_in_checkpoints(parent: Network) -> None:
    network = quantised(with_residual(4), parent)
    for each in network.quantisers():
        each.learn_steps()
    optimiser = optimiser_of(network, RECIPE, 0.1)
    steps = {id(p) for operand in network.operands() for p in operand.learned_parameters()}
    assert len(steps) == len(additions(network.blueprint))
    (slow,) = (g for g in optimiser.param_groups if g["share"] == STEP_RATE)
    assert steps <= {id(parameter) for parameter in slow["params"]}
    assert slow["weight_decay"] == 0
    before = [operand.x_scale for operand in network.operands()]
    network.train()
    network(images()).square().sum().backward()
    optimiser.step()
    for each in network.quantisers():
        each.settle()
    after = [operand.x_scale for operand in network.operands()]
    assert all(a != b and a > 0 for a, b in zip(after, before, strict=True))

    run = Training(network, optimiser, generator())
    content = to_bytes(run.state(1), "key")
    other = quantised(with_residual(4), parent)
    for each in other.quantisers():
        each.learn_steps()
    Training(other, optimiser_of(other, RECIPE, 0.1), generator()).restore(from_bytes(content))
    assert [operand.x_scale for operand in other.operands()] == after


def scored(bits: int, recipe: Recipe = RECIPE) -> Score:
    """Train on digits for a macro without errors: what is quantised is all that differs."""
    candidate = with_residual(bits)
    of = job(
        hardware(**DIGITAL_MACRO),
        blueprint=candidate.blueprint,
        parent=candidate.parent,
        level="L0",
        rung={"epochs": 2, "train_level": "L0", "chips": 1, "images": 500},
        recipe=recipe,
    )
    found = evaluate(of)
    assert isinstance(found, Score)
    return found


def test_8_bits_keep_the_accuracy_on_digits() -> None:
    word, eight = scored(0), scored(8)
    learned = scored(8, RECIPE.model_copy(update={"steps": "learned"}))
    assert word.float_accuracy == eight.float_accuracy
    assert word.accuracy > 0.6
    # Three standard errors of a difference of two accuracies.
    error = 3 * (2 * word.accuracy * (1 - word.accuracy) / word.images) ** 0.5
    assert abs(eight.accuracy - word.accuracy) < error
    assert abs(learned.accuracy - word.accuracy) < error
