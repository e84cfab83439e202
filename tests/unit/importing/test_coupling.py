"""Which channels are dropped together, worked out by hand; and that dropping them is right."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cimsearch.layer_table import layer_table
from cimsearch.networks import Network, build
from cimsearch.networks.importing.assemble import Imported
from cimsearch.space import Space
from cimsearch.space.widths import multiples_of, widths_of, with_widths
from cimsearch.spec.network import NetworkSpec
from cimsearch.spec.node import NodeSpec
from cimsearch.spec.space import LayerGenes
from cimsearch.training.prune import inherit
from tests.unit.importing.models import Mobile, Plain, Residual, randomised
from tests.unit.importing.test_torch import imported

GENES = LayerGenes(weight_bits=(2, 4), activation_bits=(4,), prune_ratio=(0.0, 0.25, 0.5))


def network(
    *nodes: NodeSpec, shape: tuple[int, int, int] = (4, 8, 8), classes: int = 10
) -> NetworkSpec:
    return NetworkSpec(
        schema_="cimsearch/space/1",
        name="hand",
        summary="made by hand",
        source="a test",
        family="network",
        input_shape=shape,
        classes=classes,
        genes=GENES,
        nodes=nodes,
    )


def conv(name: str, channels: int, *inputs: str, groups: int = 1) -> NodeSpec:
    return NodeSpec(
        name=name, op="conv", inputs=inputs, channels=channels, kernel=(3, 3), groups=groups
    )


def add(name: str, *inputs: str) -> NodeSpec:
    return NodeSpec(name=name, op="add", inputs=inputs)


def relu(name: str) -> NodeSpec:
    return NodeSpec(name=name, op="relu")


END = (
    NodeSpec(name="pool", op="avgpool", kernel=(8, 8)),
    NodeSpec(name="fc", op="linear", channels=10),
)


def test_convolutions_in_a_row_are_groups_of_their_own() -> None:
    spec = network(conv("a", 8), relu("r"), conv("b", 6), *END)
    assert spec.prune_groups() == {"a": "a", "b": "b"}


def test_a_residual_add_couples_what_it_adds() -> None:
    spec = network(
        conv("stem", 8), conv("a", 6), relu("r"), conv("b", 8), add("s", "b", "stem"), *END
    )
    assert spec.prune_groups() == {"stem": "stem", "a": "a", "b": "stem"}


def test_adds_one_after_another_couple_all_of_them() -> None:
    spec = network(
        conv("stem", 8),
        conv("a", 8),
        add("s", "a", "stem"),
        conv("b", 8),
        add("t", "b", "s"),
        conv("wide", 16, "t"),
        conv("c", 16, "t"),
        add("u", "c", "wide"),
        *END,
    )
    groups = spec.prune_groups()
    assert {groups[name] for name in ("stem", "a", "b")} == {"stem"}
    assert groups["wide"] == groups["c"] == "wide"


def test_nested_residuals_couple_outer_and_inner() -> None:
    spec = network(
        conv("stem", 8),
        conv("outer1", 8),
        conv("inner1", 5),
        conv("inner2", 8),
        add("inner", "inner2", "outer1"),
        add("outer", "inner", "stem"),
        *END,
    )
    groups = spec.prune_groups()
    assert {groups[name] for name in ("stem", "outer1", "inner2")} == {"stem"}
    assert groups["inner1"] == "inner1"


def test_two_groups_that_meet_late_become_one_called_by_the_first() -> None:
    spec = network(
        conv("a", 8),
        conv("b", 8, "input"),
        conv("c", 8, "a"),
        add("ac", "a", "c"),
        conv("d", 8, "b"),
        add("bd", "d", "b"),
        add("all", "bd", "ac"),
        *END,
    )
    assert set(spec.prune_groups().values()) == {"a"}


def test_a_depthwise_convolution_is_in_the_group_of_its_input() -> None:
    spec = network(
        conv("stem", 8),
        conv("deep", 8, groups=8),
        conv("point", 8),
        add("s", "point", "deep"),
        *END,
    )
    assert set(spec.prune_groups().values()) == {"stem"}
    # Of stated groups, or with two outputs a channel, it has channels of its own.
    spec = network(conv("stem", 8), conv("pair", 16, groups=8), conv("four", 8, groups=4), *END)
    assert spec.prune_groups() == {"stem": "stem", "pair": "pair", "four": "four"}


def test_what_meets_the_input_or_the_logits_keeps_all_its_channels() -> None:
    spec = network(
        conv("deep", 4, groups=4), conv("a", 4), add("s", "a", "input"), conv("b", 8), *END
    )
    assert spec.prune_groups() == {"deep": "", "a": "", "b": "b"}
    last = network(
        conv("a", 8), conv("b", 10), conv("c", 10), add("s", "c", "b"),
        NodeSpec(name="pool", op="avgpool", kernel=(8, 8)),
    )  # fmt: skip
    assert last.prune_groups() == {"a": "a", "b": "", "c": ""}


def test_a_flatten_leaves_what_is_in_front_of_it_prunable() -> None:
    spec = network(
        conv("a", 8),
        NodeSpec(name="flat", op="flatten"),
        NodeSpec(name="fc", op="linear", channels=10),
    )
    space = Space(spec)
    genes = space.encode({"a.prune_ratio": 0.5, "a.weight_bits": 2, "fc.weight_bits": 4})
    nodes = {node.name: node for node in space.decode(genes).blueprint.nodes}
    assert (nodes["a"].out_shape[0], nodes["fc"].in_shape[0]) == (4, 4 * 64)


def test_ratios_keep_what_grouped_convolutions_can_be_cut_into() -> None:
    space = Space(network(conv("a", 8), conv("b", 12, groups=4), conv("c", 6), *END))
    choices = {gene.name: gene.choices for gene in space.genes}
    # 8 channels in units of 4: a quarter less rounds to all of them.
    assert choices["a.prune_ratio"] == (0.0, 0.5)
    assert choices["b.prune_ratio"] == (0.0, 0.25)
    assert choices["c.prune_ratio"] == (0.0, 0.25, 0.5)


SPACES = {
    "plain": Space(imported(randomised(Plain()), (1, 8, 8)).spec),
    "residual": Space(imported(randomised(Residual()), (1, 8, 8)).spec),
    "mobile": Space(imported(randomised(Mobile()), (3, 16, 16)).spec),
}


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 10_000))
def test_candidates_are_the_parent_with_other_widths_and_tables_are_theirs(
    name: str, seed: int
) -> None:
    space = SPACES[name]
    genes = space.sample_genes(3, seed)
    candidates = [space.decode(row) for row in genes]
    table, expected = space.layer_table(genes), layer_table([c.blueprint for c in candidates])
    for column in ("op", "in_channels", "out_channels", "groups", "w_bits", "x_signed"):
        assert np.array_equal(getattr(table, column), getattr(expected, column)), column
    candidate = candidates[0]
    narrow = with_widths(candidate.parent, widths_of(candidate.blueprint))
    shapes = [(n.name, n.in_shape, n.out_shape, n.groups) for n in narrow.nodes]
    assert shapes == [
        (n.name, n.in_shape, n.out_shape, n.groups) for n in candidate.blueprint.nodes
    ]


@torch.no_grad()
def without_channels(found: Imported, group: str, unit: int) -> Network:
    """Silence a channel in each of ``unit`` parts of a prune group and return what is left."""
    network = found.network
    width = widths_of(network.blueprint)[group]
    for node in network.blueprint.nodes:
        if node.op == "batchnorm" and network.blueprint.node(node.inputs[0]).prune_group == group:
            for name in ("weight", "bias"):
                network.module(node.name).get_parameter(name)[:: width // unit] = 0.0
    narrow = with_widths(network.blueprint, {group: width - unit})
    pruned = build(narrow, None, generator=torch.Generator().manual_seed(0)).eval()
    inherit(pruned, network)
    return pruned


@pytest.mark.parametrize(
    ("make", "shape"), [(Plain, (1, 8, 8)), (Residual, (1, 8, 8)), (Mobile, (3, 16, 16))]
)
def test_channels_that_say_nothing_can_be_dropped_together_and_nothing_changes(
    make: Callable[[], nn.Module], shape: tuple[int, int, int]
) -> None:
    module = randomised(make())
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(2))
    for group, unit in multiples_of(imported(module, shape).network.blueprint).items():
        found = imported(module, shape)
        pruned = without_channels(found, group, unit)
        assert pruned.blueprint.weights < found.network.blueprint.weights
        with torch.no_grad():
            assert torch.allclose(pruned(images), found.network(images), atol=1e-5), group


@st.composite
def networks(draw: st.DrawFn) -> NetworkSpec:
    """Draw a network of convolutions, depthwise ones and adds between anything of one shape."""
    nodes, widths = [], {"input": 4}
    for index in range(draw(st.integers(2, 9))):
        name, read = f"n{index}", draw(st.sampled_from(sorted(widths)))
        equals = sorted(other for other in widths if widths[other] == widths[read])
        match draw(st.sampled_from(["conv", "depthwise", "add", "relu"])):
            case "conv":
                widths[name] = draw(st.sampled_from([4, 6, 8]))
                nodes.append(conv(name, widths[name], read, groups=draw(st.sampled_from([1, 2]))))
            case "depthwise":
                widths[name] = widths[read]
                nodes.append(conv(name, widths[name], read, groups=widths[read]))
            case "add":
                widths[name] = widths[read]
                nodes.append(add(name, read, draw(st.sampled_from(equals))))
            case "relu":
                widths[name] = widths[read]
                nodes.append(NodeSpec(name=name, op="relu", inputs=(read,)))
    # Whatever nobody reads is brought to one width and added up, so that all of it counts.
    seen = {name for each in nodes for name in each.inputs}
    last = ""
    for loose in [each.name for each in nodes if each.name not in seen]:
        nodes.append(conv(f"{loose}.out", 8, loose))
        if last:
            nodes.append(add(f"{loose}.sum", f"{loose}.out", last))
        last = nodes[-1].name
    return network(*nodes, *END)


@given(spec=networks(), seed=st.integers(0, 1000))
def test_any_network_stays_one_whatever_is_dropped(spec: NetworkSpec, seed: int) -> None:
    space = Space(spec)
    candidate = space.decode(space.sample_genes(1, seed)[0])
    given_shapes = {"input": spec.input_shape}
    for each in candidate.blueprint.nodes:
        read = [given_shapes[name] for name in each.inputs]
        assert each.in_shape == read[0]
        assert len(set(read)) == 1, f"{each.name} adds {read}"
        assert each.in_shape[0] % each.groups == each.out_shape[0] % each.groups == 0
        given_shapes[each.name] = each.out_shape
    assert each.out_shape == (10, 1, 1)
    parent = build(candidate.parent, None, generator=torch.Generator().manual_seed(seed))
    narrow = with_widths(candidate.parent, widths_of(candidate.blueprint))
    pruned = build(narrow, None, generator=torch.Generator().manual_seed(seed))
    inherit(pruned, parent)
    assert pruned(torch.zeros(1, *spec.input_shape)).shape == (1, 10)
