"""Networks of every family are built, get weights of their parents, priced and run on arrays."""

from typing import Any

import pytest
import torch
from torch import Tensor

from cimsearch.cost import estimate, mapping_plan
from cimsearch.networks import build
from cimsearch.space import Candidate, Space
from cimsearch.space.widths import depthwise
from cimsearch.spec import load_hardware
from cimsearch.spec.study import Level
from cimsearch.training.prune import inherit, kept_channels
from tests.unit.space.families import BLOCKS, GENES, INVERTED, REMOVABLE, SIGNED, small

HARDWARE = load_hardware("macros/yu_cicc_2020")
OF_THE_MACRO: dict[str, Any] = GENES | {"encoding": ()}
SPACES = {
    "separable": small("dscnn_kws", blocks=BLOCKS, genes=OF_THE_MACRO),
    "inverted": small(
        "mobilenet_v2",
        blocks=INVERTED | {"head": (8,)},
        genes=REMOVABLE | SIGNED | {"encoding": ()},
    ),
    "removable resnet": small("resnet8", genes=REMOVABLE | {"encoding": ()}, kernel=(5, 3)),
    "vgg of kernels": small("vgg_tiny", genes=OF_THE_MACRO, kernel=(1, 5, 3)),
}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("seed", range(2))
def test_candidates_are_built_inherit_are_priced_and_run(name: str, seed: int) -> None:
    candidate = SPACES[name].sample(seed)
    parent = build(candidate.parent, None, generator=generator())
    network = build(candidate.blueprint, HARDWARE.macro, generator=generator())
    inherit(network, parent)
    images = torch.rand((4, *candidate.blueprint.input_shape), generator=generator())
    network.calibrate(images)
    network.eval()
    levels: tuple[Level, ...] = ("L0", "L1", "L2")
    for level in levels:
        network.set_mode(level)
        network.set_chip(0)
        logits = network(images)
        assert logits.shape == (4, 3)
        assert bool(torch.isfinite(logits).all())
    price = estimate(candidate.blueprint, HARDWARE)
    assert price.energy_pj > 0
    stored = sum(part.cells for part in mapping_plan(candidate.blueprint, HARDWARE))
    on_arrays = [n for n in candidate.blueprint.nodes if n.placement == "cim"]
    assert stored == sum(node.weights * node.w_bits for node in on_arrays)


@pytest.mark.parametrize("name", ["separable", "inverted"])
def test_unpruned_float_copies_compute_what_their_parents_do(name: str) -> None:
    candidate = unpruned(SPACES[name])
    parent = build(candidate.parent, None, generator=generator()).eval()
    copy = build(candidate.parent, None, generator=torch.Generator().manual_seed(1)).eval()
    images = torch.rand((2, *candidate.parent.input_shape), generator=generator())
    assert not torch.equal(copy(images), parent(images))
    inherit(copy, parent)
    assert torch.equal(copy(images), parent(images))


def unpruned(space: Space) -> Candidate:
    values = {g.name: g.choices[-1] for g in space.genes}
    values |= {g.name: 0.0 for g in space.genes if g.name.endswith("prune_ratio")}
    return space.decode(space.encode(values))


@pytest.mark.parametrize("how", ["digital", "diagonal", "grouped_2", "grouped_4"])
def test_a_filter_of_each_channel_goes_with_it(how: str) -> None:
    """A depthwise convolution keeps the filters of the channels it reads."""
    space = SPACES["separable"]
    values = {g.name: g.choices[0] for g in space.genes}  # prunes 0.6 of all
    values |= {n: how for n in values if n.endswith("execution")}
    candidate = space.decode(space.encode(values))
    parent = build(candidate.parent, None, generator=generator())
    network = build(candidate.blueprint, HARDWARE.macro, generator=generator())
    inherit(network, parent)
    kept = kept_channels(parent, candidate.blueprint)
    name = "stage1.block0.depthwise"
    node, whole = candidate.blueprint.node(name), candidate.parent.node(name)
    assert (name in depthwise(candidate.parent)) == (how in ("digital", "diagonal"))
    assert torch.equal(kept[name], kept[node.inputs[0]])
    assert node.out_shape[0] < whole.out_shape[0]
    weight, old = (n.module(name).get_parameter("weight").detach() for n in (network, parent))
    if whole.groups == whole.in_shape[0]:
        assert torch.equal(weight, old[kept[name]])
    else:
        part = dense(old, whole.groups)[:, kept[name]][:, :, kept[name]]
        assert torch.equal(dense(weight, node.groups), part)


def dense(weight: Tensor, groups: int) -> Tensor:
    """Return a grouped convolution's weights (kernel area, outputs, inputs), zeros between."""
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    whole = torch.zeros(weight[0, 0].numel(), weight.shape[0], groups * inputs)
    for group in range(groups):
        own = slice(group * outputs, (group + 1) * outputs)
        read = slice(group * inputs, (group + 1) * inputs)
        whole[:, own, read] = weight[own].flatten(2).permute(2, 0, 1)
    return whole
