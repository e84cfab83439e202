"""Structured pruning: what stays, that it is consistent, that nothing pruned is no change."""

from dataclasses import replace

import pytest
import torch

from cimsearch.blueprint import Blueprint, Node
from cimsearch.errors import UsageError
from cimsearch.networks import Network, build
from cimsearch.space import Candidate, Space
from cimsearch.space.widths import with_widths
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.training.prune import importance, inherit, kept_channels
from tests.unit.space.test_widths import grouped

MACRO = load_hardware("macros/yu_cicc_2020").macro
SPACES = [Space(load_space_spec(name)) for name in ("vgg_tiny", "resnet8")]
RESNET = SPACES[1]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(blueprint: Blueprint) -> Network:
    """A float network whose norms are as different as after training."""
    network = build(blueprint, None, generator=generator())
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if "norm" in name and values.dtype == torch.float32:
                values.copy_(torch.rand(values.shape, generator=generator(len(name))) + 0.1)
    return network.eval()


def candidate_of(space: Space, seed: int) -> Candidate:
    return space.sample(seed)


@pytest.mark.parametrize("space", SPACES, ids=["vgg", "resnet"])
@pytest.mark.parametrize("seed", range(4))
def test_every_node_keeps_what_its_blueprint_says(space: Space, seed: int) -> None:
    candidate = candidate_of(space, seed)
    kept = kept_channels(trained(candidate.parent), candidate.blueprint)
    for node in candidate.blueprint.nodes:
        channels = kept[node.name]
        assert len(channels) == node.out_shape[0]
        assert channels.tolist() == sorted(set(channels.tolist()))
        assert int(channels.max()) < candidate.parent.node(node.name).out_shape[0]


def test_coupled_convolutions_keep_the_same_channels() -> None:
    candidate = candidate_of(RESNET, 3)
    kept = kept_channels(trained(candidate.parent), candidate.blueprint)
    groups: dict[str, torch.Tensor] = {}
    for node in candidate.blueprint.nodes:
        if node.op == "conv":
            assert torch.equal(
                groups.setdefault(node.prune_group, kept[node.name]), kept[node.name]
            )
    assert len(groups) == 6


def test_the_most_important_channels_stay() -> None:
    candidate = next(
        c for c in map(RESNET.sample, range(50)) if c.blueprint.weights < c.parent.weights / 3
    )
    parent = trained(candidate.parent)
    scores = importance(parent)
    kept = kept_channels(parent, candidate.blueprint)
    node = candidate.blueprint.node("stage1.block0.conv1")
    score = scores[node.prune_group]
    dropped = torch.ones(len(score), dtype=torch.bool)
    dropped[kept[node.name]] = False
    assert bool(dropped.any())
    assert float(score[dropped].max()) <= float(score[kept[node.name]].min())


def test_importance_is_filter_norm_times_gain_over_the_group() -> None:
    parent = trained(RESNET.sample(0).parent)
    wanted = torch.zeros_like(importance(parent)["stage1"])
    for name in ("stage1.block0.conv2", "stage1.block0.shortcut"):
        weight = parent.module(name).get_parameter("weight")
        gain = parent.module(f"{name}.norm").get_parameter("weight").abs()
        wanted += weight.flatten(1).square().sum(dim=1).sqrt() * gain
    assert torch.allclose(importance(parent)["stage1"], wanted)


@pytest.mark.parametrize("space", SPACES, ids=["vgg", "resnet"])
def test_a_parent_of_which_nothing_is_pruned_is_itself(space: Space) -> None:
    parent = trained(space.sample(0).parent)
    same = build(parent.blueprint, None, generator=generator(9))
    inherit(same, parent)
    x = torch.randn(4, *parent.blueprint.input_shape, generator=generator(1))
    assert torch.equal(same.eval()(x), parent(x))


@pytest.mark.parametrize("space", SPACES, ids=["vgg", "resnet"])
def test_a_pruned_network_is_the_parent_with_the_dropped_filters_silenced(space: Space) -> None:
    candidate = candidate_of(space, 5)
    parent = trained(candidate.parent)
    floating = tuple(
        replace(node, placement="digital" if node.has_weights else "", w_bits=0, x_bits=0)
        for node in candidate.blueprint.nodes
    )
    narrow = build(replace(candidate.blueprint, nodes=floating), None, generator=generator(9))
    inherit(narrow, parent)
    kept = kept_channels(parent, candidate.blueprint)
    x = torch.randn(4, *parent.blueprint.input_shape, generator=generator(1))
    wanted = narrow.eval()(x)
    with torch.no_grad():
        for node in parent.blueprint.nodes:
            if node.op == "batchnorm":
                dropped = torch.ones(node.out_shape[0], dtype=torch.bool)
                dropped[kept[node.name]] = False
                for name in ("weight", "bias"):
                    parent.module(node.name).get_parameter(name)[dropped] = 0
    assert torch.allclose(parent(x), wanted, atol=1e-4)


def test_a_quantised_candidate_inherits_the_same_weights() -> None:
    candidate = candidate_of(RESNET, 5)
    parent = trained(candidate.parent)
    network = build(candidate.blueprint, MACRO, generator=generator())
    inherit(network, parent)
    kept = kept_channels(parent, candidate.blueprint)
    node = candidate.blueprint.node("stage1.block0.conv1")
    whole = parent.module(node.name).get_parameter("weight")
    assert torch.equal(
        network.module(node.name).get_parameter("weight"),
        whole[kept[node.name]][:, kept[node.inputs[0]]],
    )


def test_flatten_spreads_channels_over_pixels() -> None:
    nodes = (
        Node("conv", "conv", ("input",), (1, 2, 2), (4, 2, 2), (3, 3), prune_group="a"),
        Node("flat", "flatten", ("conv",), (4, 2, 2), (16, 1, 1)),
        Node("fc", "linear", ("flat",), (16, 1, 1), (3, 1, 1)),
    )
    parent = build(Blueprint((1, 2, 2), 3, nodes), None, generator=generator())
    with torch.no_grad():
        weight = parent.module("conv").get_parameter("weight")
        weight.mul_(torch.tensor([1.0, 10.0, 0.1, 5.0]).view(4, 1, 1, 1))
    narrow = (
        replace(nodes[0], out_shape=(2, 2, 2)),
        replace(nodes[1], in_shape=(2, 2, 2), out_shape=(8, 1, 1)),
        replace(nodes[2], in_shape=(8, 1, 1)),
    )
    kept = kept_channels(parent, Blueprint((1, 2, 2), 3, narrow))
    assert kept["conv"].tolist() == [1, 3]
    assert kept["flat"].tolist() == [4, 5, 6, 7, 12, 13, 14, 15]


def test_a_candidate_wider_than_its_parent_is_an_error() -> None:
    candidate = candidate_of(SPACES[0], 0)
    first = candidate.blueprint.nodes[0]
    wider = (replace(first, out_shape=(100, 8, 8)), *candidate.blueprint.nodes[1:])
    with pytest.raises(UsageError, match="allowed is one group of 100 or more"):
        kept_channels(trained(candidate.parent), replace(candidate.blueprint, nodes=wider))


def test_a_parent_with_a_weight_that_is_not_a_number_is_an_error() -> None:
    candidate = candidate_of(SPACES[0], 0)
    parent = trained(candidate.parent)
    with torch.no_grad():
        parent.module("stage0.layer0").get_parameter("weight")[0] = float("nan")
    network = build(candidate.blueprint, MACRO, generator=generator())
    with pytest.raises(UsageError, match="found NaN or infinity"):
        inherit(network, parent)


@pytest.mark.parametrize("widths", [{"wide": 4, "last": 2}, {"wide": 8, "last": 4}, {"wide": 2}])
def test_pruned_groups_compute_what_the_parent_does_without_its_channels(
    widths: dict[str, int],
) -> None:
    parent = trained(grouped())
    narrow = build(with_widths(grouped(), widths), None, generator=generator(1)).eval()
    inherit(narrow, parent)
    kept = kept_channels(parent, narrow.blueprint)
    with torch.no_grad():
        for node in grouped().nodes:
            if node.op == "batchnorm":
                dropped = torch.ones(node.out_shape[0], dtype=torch.bool)
                dropped[kept[node.name]] = False
                for name in ("weight", "bias"):
                    parent.module(node.name).get_parameter(name)[dropped] = 0.0
    images = torch.rand((7, 3, 4, 4), generator=generator(2))
    assert torch.allclose(narrow(images), parent(images), atol=1e-5)


def test_what_is_kept_may_be_said() -> None:
    parent = trained(grouped())
    scores = {"wide": torch.tensor([0, 1, 0, 0, 0, 0, 1, 0]), "last": torch.arange(6)}
    narrow = with_widths(grouped(), {"wide": 2, "last": 2})
    kept = kept_channels(parent, narrow, scores)
    assert kept["a"].tolist() == kept["b"].tolist() == [1, 6]
    assert kept["c"].tolist() == [2, 5]
