"""Networks with other widths: shapes follow, couplings hold, impossible widths are refused."""

import pytest

from cimsearch.blueprint import Blueprint, Node
from cimsearch.errors import SpaceError
from cimsearch.space import Space
from cimsearch.space.widths import multiples_of, widths_of, with_widths
from cimsearch.spec import load_space_spec

RESNET = Space(load_space_spec("resnet8"))


def layer(name: str, reads: str, given: int, out: int, groups: int, group: str) -> list[Node]:
    """A convolution that keeps 4 x 4, its norm and its activation."""
    shapes = ((given, 4, 4), (out, 4, 4))
    conv = Node(name, "conv", (reads,), *shapes, kernel=(3, 3), groups=groups, prune_group=group)
    norm = Node(f"{name}.norm", "batchnorm", (name,), shapes[1], shapes[1])
    return [conv, norm, Node(f"{name}.relu", "relu", (norm.name,), shapes[1], shapes[1])]


def grouped() -> Blueprint:
    """Convolution, depthwise convolution, convolution of 2 groups, flattened into a classifier."""
    nodes = (
        *layer("a", "input", 3, 8, 1, "wide"),
        *layer("b", "a.relu", 8, 8, 8, "wide"),
        *layer("c", "b.relu", 8, 6, 2, "last"),
        Node("flat", "flatten", ("c.relu",), (6, 4, 4), (96, 1, 1)),
        Node("classifier", "linear", ("flat",), (96, 1, 1), (5, 1, 1)),
    )
    return Blueprint((3, 4, 4), 5, nodes)


@pytest.mark.parametrize("seed", range(5))
def test_a_pruned_candidate_is_its_parent_with_other_widths(seed: int) -> None:
    candidate = RESNET.sample(seed)
    narrow = with_widths(candidate.parent, widths_of(candidate.blueprint))
    shapes = [(node.name, node.in_shape, node.out_shape) for node in narrow.nodes]
    wanted = [(node.name, node.in_shape, node.out_shape) for node in candidate.blueprint.nodes]
    assert shapes == wanted
    assert narrow.nodes[0].w_bits == candidate.parent.nodes[0].w_bits
    assert with_widths(narrow, widths_of(candidate.parent)) == candidate.parent


def test_depthwise_groups_and_flattened_inputs_follow() -> None:
    narrow = with_widths(grouped(), {"wide": 4, "last": 2})
    assert widths_of(narrow) == {"wide": 4, "last": 2}
    assert narrow.node("b").groups == 4
    assert narrow.node("b").weights == 4 * 9
    assert narrow.node("c").groups == 2
    assert narrow.node("c").weights == 2 * 2 * 9
    assert narrow.node("classifier").in_shape == (32, 1, 1)


def test_networks_grow_again() -> None:
    one_each = with_widths(grouped(), {"wide": 2, "last": 2})
    assert with_widths(one_each, widths_of(grouped())) == grouped()
    assert (
        with_widths(with_widths(RESNET.sample(0).parent, {"stage0": 1}), {"stage0": 8})
        .node("stem")
        .out_shape[0]
        == 8
    )


def test_widths_are_cut_into_groups() -> None:
    assert multiples_of(grouped()) == {"wide": 2, "last": 2}
    assert set(multiples_of(RESNET.sample(0).parent).values()) == {1}


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"other": 2}, "prune group 'other': there is none of that name; known: wide, last"),
        ({"wide": 3}, "prune group wide: found 3 channels; allowed is a multiple of 2"),
        ({"last": 0}, "prune group last: found 0 channels; allowed is a multiple of 2"),
    ],
)
def test_impossible_widths_are_refused(widths: dict[str, int], message: str) -> None:
    with pytest.raises(SpaceError) as error:
        with_widths(grouped(), widths)
    assert error.value.message == message
