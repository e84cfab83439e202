"""Residual blocks among what pruning may take: which goes, at what price, and what is left."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from cimsearch.blueprint import Blueprint
from cimsearch.cost.model import estimate_table
from cimsearch.layer_table import layer_table
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.space import Candidate
from cimsearch.space.bypass import bypasses, without
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import load_hardware
from cimsearch.training.gain import Pruned, Step, Target, Tuning, prune
from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.orders import Joint, alternating
from cimsearch.training.gain.target import Per
from cimsearch.training.gain.taylor import taylor, taylor_with_blocks
from cimsearch.training.gain.whole import Maker
from cimsearch.training.prune import inherit
from tests.unit.space.families import varied
from tests.unit.training.gain_networks import blocks, candidate_of, stream, trained, tuning
from tests.unit.training.test_gain_taylor import batch_for, product, untrained

HARDWARE = load_hardware("macros/yu_cicc_2020")
CANDIDATE, TUNING = blocks(), tuning()
UNTUNED = replace(TUNING, epochs=0.0, images=64)
ONE, TWO = "one.add", "two.add"


@pytest.fixture(scope="module")
def parent() -> Network:
    return trained(CANDIDATE)


@pytest.fixture(scope="module")
def pruned(parent: Network) -> Pruned:
    return pruned_to(parent, Target(0.6, layers=True), TUNING)


def pruned_to(
    network: Network,
    target: Target,
    tuning: Tuning = UNTUNED,
    candidate: Candidate = CANDIDATE,
) -> Pruned:
    return prune(network, candidate, HARDWARE, target, tuning, generator=stream(1))


@pytest.fixture(scope="module")
def idle() -> Network:
    """The network with a block that adds nothing: trained without it."""
    shallower = Candidate(without(CANDIDATE.blueprint, TWO), without(CANDIDATE.parent, TWO))
    network = build(CANDIDATE.parent, None, generator=stream())
    network.load_state_dict(trained(shallower).state_dict(), strict=False)
    with torch.no_grad():
        for name in ("weight", "bias"):
            network.module("two.b.norm").get_parameter(name).zero_()
    # The norms inside the block have seen nothing yet.
    recalibrate_norms(network, [TUNING.training.sample(1024, stream())])
    return network


def taken(found: Pruned) -> list[str]:
    return [step.block for step in found.history if step.block]


def energy_pj(blueprint: Blueprint) -> float:
    return float(estimate_table(layer_table([blueprint]), HARDWARE).energy_pj[0])


def test_what_a_block_adds_is_measured_as_channels_are() -> None:
    network, (images, classes) = untrained(CANDIDATE), batch_for(CANDIDATE)
    wanted = torch.zeros(8)
    for image, label in zip(images, classes, strict=True):
        network.zero_grad()
        torch.autograd.backward(functional.cross_entropy(network(image[None]), label[None]))
        summed = product(network, "one.b", "weight").sum(dim=(1, 2, 3))
        for name in ("weight", "bias"):
            summed = summed + product(network, "one.b.norm", name)
        wanted += summed.square() / len(images)
    halves = [(images[:3], classes[:3]), (images[3:], classes[3:])]
    found = taylor_with_blocks(network, halves, bypasses(network.blueprint))
    assert found.blocks.keys() == {ONE, TWO}
    assert torch.allclose(found.blocks[ONE].float(), wanted, rtol=1e-3, atol=1e-9)
    for group, values in taylor(network, halves).items():
        assert torch.equal(found.groups[group], values)


def test_channels_without_a_group_are_measured_too() -> None:
    nodes = [
        replace(node, prune_group="") if node.prune_group == "wide" else node
        for node in CANDIDATE.parent.nodes
    ]
    free = candidate_of(replace(CANDIDATE.parent, nodes=tuple(nodes)))
    batches = [batch_for(free)]
    alone, coupled = (
        taylor_with_blocks(untrained(each), batches, bypasses(each.parent)).blocks
        for each in (free, CANDIDATE)
    )
    assert torch.equal(alone[ONE], coupled[ONE])
    found = pruned_to(untrained(free), Target(0.5, layers=True), candidate=free)
    assert taken(found)


def test_a_block_that_adds_nothing_goes_first_and_is_not_missed(idle: Network) -> None:
    found = pruned_to(idle, Target(0.9, layers=True, exchange=False))
    first, step = found.history
    assert (step.block, step.removed, step.importance) == (TWO, (), 0.0)
    assert step.cost_frac < 0.9
    assert step.accuracy == pytest.approx(first.accuracy, abs=0.01)
    # Without norms that are measured again it is the same network to the last bit.
    maker = Maker(idle, CANDIDATE, HARDWARE.macro, TUNING.training, stream())
    channels = Channels.all_of(CANDIDATE.parent)
    shallower = maker.without(TWO).floating(channels.within(without(CANDIDATE.parent, TWO)))
    images = batch_for(CANDIDATE, 16)[0]
    assert torch.equal(shallower(images), idle(images))
    assert not taken(pruned_to(idle, Target(0.9, exchange=False)))


def test_the_result_is_the_network_without_the_block_at_its_price(pruned: Pruned) -> None:
    assert taken(pruned)
    whole, parent = CANDIDATE.blueprint, CANDIDATE.parent
    for block in taken(pruned):
        whole, parent = without(whole, block), without(parent, block)
    widths = widths_of(pruned.network.blueprint)
    assert pruned.candidate.blueprint == with_widths(whole, widths)
    assert pruned.candidate.parent == pruned.network.blueprint == with_widths(parent, widths)
    first, *_, last = pruned.history
    assert last.energy_pj == pytest.approx(energy_pj(pruned.candidate.blueprint))
    assert last.energy_pj / first.energy_pj == pytest.approx(last.cost_frac)
    assert last.weights == pruned.candidate.blueprint.weights
    assert last.macs == pruned.candidate.blueprint.macs
    assert pruned.accuracy > 0.5
    quantised = build(pruned.candidate.blueprint, HARDWARE.macro, generator=stream())
    inherit(quantised, pruned.network)


def test_a_block_ends_the_round_and_channels_go_after_it(idle: Network) -> None:
    found = pruned_to(idle, Target(0.45, per="plain", layers=True))
    assert taken(found) == [TWO]
    place = next(i for i, step in enumerate(found.history) if step.block)
    assert found.history[place].accuracy is not None
    gone = dict[str, int]()
    for step in found.history:
        assert not (step.block and step.removed)
        for group, count in step.removed:
            gone[group] = gone.get(group, 0) + count
    after = {group for step in found.history[place + 1 :] for group, _ in step.removed}
    assert "wide" in after
    widths = widths_of(CANDIDATE.parent)
    left = widths_of(found.network.blueprint)
    assert left == {group: widths[group] - gone.get(group, 0) for group in left}
    for node in found.network.blueprint.nodes:
        if node.prune_group == "wide":
            weight = found.network.module(node.name).get_parameter("weight")
            assert len(weight) == left["wide"]


def test_equal_streams_give_equal_results(parent: Network, pruned: Pruned) -> None:
    again = pruned_to(parent, Target(0.6, layers=True), TUNING)
    assert again.history == pruned.history
    for name, values in pruned.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], values)


@pytest.mark.parametrize("per", ["cim", "random"])
def test_without_such_blocks_nothing_changes(parent: Network, per: Per) -> None:
    flat = Candidate(
        without(without(CANDIDATE.blueprint, ONE), TWO),
        without(without(CANDIDATE.parent, ONE), TWO),
    )
    network = build(flat.parent, None, generator=stream())
    inherit(network, parent)
    off, on = (
        pruned_to(network.eval(), Target(0.7, per=per, layers=layers), candidate=flat)
        for layers in (False, True)
    )
    assert off.history == on.history
    assert len(off.history) > 1
    for name, values in off.network.state_dict().items():
        assert torch.equal(on.network.state_dict()[name], values)


@pytest.mark.parametrize("per", ["macs", "parameters", "plain", "random"])
def test_controls_take_blocks_too(idle: Network, per: Per) -> None:
    found = pruned_to(idle, Target(0.3, per=per, layers=True, least_channels=4))
    assert found.history[-1].cost_frac <= 0.3
    assert taken(found)
    if per != "random":
        assert found.history[1].block == TWO
    assert energy_pj(found.candidate.blueprint) == pytest.approx(found.history[-1].energy_pj)


def test_a_quantised_network_loses_blocks_through_its_hardware(idle: Network) -> None:
    network = build(CANDIDATE.blueprint, HARDWARE.macro, generator=stream())
    inherit(network, idle)
    network.calibrate(TUNING.training.sample(128, stream()))
    network.set_mode("L0", noise_scale=0.5)
    found = pruned_to(network, Target(0.6, layers=True, exchange=False), TUNING)
    assert taken(found)[0] == TWO
    assert found.tuned.blueprint == found.candidate.blueprint
    assert {layer.mode.noise_scale for layer in found.tuned.cim_layers()} == {0.5}
    assert found.network.blueprint == found.candidate.parent
    assert found.accuracy > 0.4


def test_what_is_pruned_again_has_lost_its_blocks(idle: Network) -> None:
    joint = Joint(CANDIDATE, HARDWARE, Target(0.4, layers=True), UNTUNED, epochs=0)
    found = alternating(idle, joint, generator=stream())
    first, second = found.pruned
    assert TWO in taken(first)
    assert TWO not in taken(second)
    assert found.network.blueprint == second.candidate.blueprint
    assert found.energy_pj == pytest.approx(energy_pj(found.network.blueprint))
    assert found.energy_pj <= 0.4 * first.history[0].energy_pj


def test_a_float_network_is_pruned_at_the_price_of_layers_in_parts() -> None:
    genes = {"weight_bits": (4,), "activation_bits": (4,), "prune_ratio": (0.0,)}
    space = varied(
        "resnet8",
        input_shape=(1, 8, 8),
        stages=({"width": (8,), "depth": (2,), "downsample": False},),
        genes=genes | {"high_share": (0.5,), "high_bits": (8,)},
    )
    candidate = space.sample(0)
    parent = build(candidate.parent, None, generator=stream()).eval()
    target = Target(0.5, layers=True, least_channels=2)
    found = pruned_to(parent, target, candidate=candidate)
    assert taken(found)
    (in_parts,) = (n for n in found.candidate.blueprint.nodes if n.name.endswith("1.high"))
    assert not in_parts.name.startswith(taken(found)[0].removesuffix("add"))
    after = estimate_table(layer_table([found.candidate.blueprint]), HARDWARE).energy_pj[0]
    assert float(after) == pytest.approx(found.history[-1].energy_pj)


def test_a_block_that_is_missed_too_much_stays_and_channels_go_on(parent: Network) -> None:
    heard = list[Step]()
    found = prune(
        parent,
        CANDIDATE,
        HARDWARE,
        Target(0.05, least_accuracy=0.8, exchange=False, layers=True),
        UNTUNED,
        generator=stream(),
        after_round=lambda step, _: heard.append(step),
    )
    assert found.stopped == "accuracy"
    assert found.accuracy >= 0.8
    assert tuple(heard) == found.scored
    # Blocks would have been the better choice, had they left it accurate enough.
    free = pruned_to(parent, Target(0.05, exchange=False, layers=True))
    assert len(taken(free)) == 2
    assert len(taken(found)) < 2
