"""Residual blocks that can be left out: which they are, and what the network is without one."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.errors import SpaceError
from cimsearch.space.bypass import bypasses, without, without_those_of
from cimsearch.space.resting import resting
from tests.unit.space.families import SPACES

SHAPE = (4, 8, 8)


def conv(name: str, reads: str) -> Node:
    return Node(name, "conv", (reads,), SHAPE, SHAPE, kernel=(3, 3), prune_group="all")


def plain(name: str, op: str, *reads: str, limit: float | None = None) -> Node:
    return Node(name, op, reads, SHAPE, SHAPE, limit=limit)  # type: ignore[arg-type]


def network(*nodes: Node) -> Blueprint:
    """Return a network whose last layer reads the last of ``nodes``, with a stem before them."""
    stem = Node("stem", "conv", ("input",), (1, 8, 8), SHAPE, kernel=(3, 3), prune_group="all")
    last = replace(conv("last", nodes[-1].name), x_signed=True)
    return Blueprint((1, 8, 8), 4, (replace(stem, x_signed=True), *nodes, last))


BLOCK = (
    plain("entry", "relu", "stem"),
    conv("a", "entry"),
    plain("a.norm", "batchnorm", "a"),
    plain("sum", "add", "a.norm", "entry"),
)


@pytest.mark.parametrize(
    ("name", "last"), [("removable resnet", "conv2"), ("removable inverted", "project")]
)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_it_is_the_network_that_0_weight_bits_leave(name: str, last: str, seed: int) -> None:
    space = SPACES[name]
    genes = tuple(map(int, space.sample_genes(1, seed)[0]))
    names = [gene.name for gene in space.genes]
    for s, b in ((0, 0), (0, 1), (1, 1)):
        gene = f"stage{s}.block{b}.{last}.weight_bits"
        place = names.index(gene)
        if 0 not in space.genes[place].choices:
            continue
        whole, removed = (
            space.decode(
                (*genes[:place], space.genes[place].choices.index(bits), *genes[place + 1 :])
            )
            for bits in (2, 0)
        )
        block = f"stage{s}.block{b}.add"
        assert block in bypasses(whole.blueprint)
        assert without(whole.blueprint, block) == removed.blueprint
        assert without(whole.parent, block) == removed.parent
        assert without_those_of(whole.blueprint, removed.blueprint) == removed.blueprint


def test_families_have_a_block_for_each_identity_shortcut() -> None:
    resnet = SPACES["removable resnet"].sample(0)
    names = {node.name for node in resnet.blueprint.nodes}
    adds = {name for name in names if name.endswith(".add")}
    with_layer = {name for name in adds if name.replace(".add", ".shortcut") in names}
    assert with_layer
    assert set(bypasses(resnet.blueprint)) == adds - with_layer
    assert not bypasses(SPACES["vgg of kernels"].sample(0).blueprint)
    assert not bypasses(SPACES["separable"].sample(0).blueprint)


def test_a_block_knows_what_it_is_made_of() -> None:
    (block,) = bypasses(network(*BLOCK)).values()
    assert block.entry == "entry"
    assert block.path == {"a", "a.norm"}
    assert block.end == ("a", "a.norm")
    assert block.group == "all"


def test_what_reads_the_sum_reads_the_entry_instead() -> None:
    left = without(network(*BLOCK), "sum")
    assert [node.name for node in left.nodes] == ["stem", "entry", "last"]
    assert left.node("last").inputs == ("entry",)
    # The sum might be negative, the entry is not.
    assert not left.node("last").x_signed
    assert left.node("stem").x_signed


@pytest.mark.parametrize(
    ("entry", "behind", "idle"),
    [
        (None, None, True),
        (6.0, 6.0, True),
        (4.0, 6.0, True),
        (None, 6.0, False),
    ],
)
def test_an_activation_behind_the_sum_goes_where_it_does_nothing(
    entry: float | None, behind: float | None, idle: bool
) -> None:
    first = replace(BLOCK[0], limit=entry)
    left = without(network(first, *BLOCK[1:], plain("end", "relu", "sum", limit=behind)), "sum")
    assert left.node("last").inputs == (("entry",) if idle else ("end",))
    assert idle or left.node("end").inputs == ("entry",)


def test_an_activation_of_an_input_that_may_be_negative_stays() -> None:
    linear = (plain("entry", "batchnorm", "stem"), *BLOCK[1:], plain("end", "relu", "sum"))
    left = without(network(*linear), "sum")
    assert left.node("end").inputs == ("entry",)
    # Pooling of what is not negative is not negative either.
    pooled = (
        plain("first", "relu", "stem"),
        plain("entry", "maxpool", "first"),
        *BLOCK[1:],
        plain("end", "relu", "sum"),
    )
    assert without(network(*pooled), "sum").node("last").inputs == ("entry",)


@pytest.mark.parametrize(
    "nodes",
    [
        # The shortcut is a layer.
        (*BLOCK[:3], conv("b", "entry"), plain("sum", "add", "a.norm", "b")),
        # The main path has no layer, or none alone at its end.
        (BLOCK[0], plain("pool", "maxpool", "entry"), plain("sum", "add", "pool", "entry")),
        (BLOCK[0], plain("sum", "add", "entry", "entry")),
        # Others read the main path.
        (*BLOCK, plain("more", "add", "sum", "a")),
        # The main path reads what is before the block.
        (*BLOCK[:3], plain("b", "add", "a.norm", "stem"), plain("sum", "add", "b", "entry")),
    ],
)
def test_other_sums_are_no_blocks(nodes: tuple[Node, ...]) -> None:
    assert not bypasses(network(*nodes))


def test_the_sum_that_is_the_output_stays() -> None:
    whole = network(*BLOCK)
    assert not bypasses(replace(whole, nodes=whole.nodes[:-1]))


def test_of_blocks_in_blocks_the_inner_one_goes_first() -> None:
    outer = network(*BLOCK, plain("whole", "add", "sum", "stem"))
    nested = network(
        plain("entry", "relu", "stem"),
        conv("b", "entry"),
        conv("a", "b"),
        plain("sum", "add", "a", "b"),
        plain("whole", "add", "sum", "entry"),
    )
    assert list(bypasses(outer)) == ["sum"]
    assert list(bypasses(nested)) == ["sum"]
    left = without(nested, "sum")
    assert list(bypasses(left)) == ["whole"]
    assert [node.name for node in without(left, "whole").nodes] == ["stem", "entry", "last"]


def test_a_block_that_is_not_there_is_told() -> None:
    with pytest.raises(
        SpaceError, match="block 'more': found none that can be left out; known: sum"
    ):
        without(network(*BLOCK), "more")


def test_a_waiting_shortcut_keeps_its_sign() -> None:
    """A main path that ends in a ReLU is added to a shortcut that may be negative."""
    two = replace(plain("two.sum", "add", "d", "sum"), x_bits=8, x_signed=True)
    whole = network(
        plain("entry", "batchnorm", "stem"),
        conv("a", "entry"),
        plain("b", "relu", "a"),
        plain("sum", "add", "b", "entry"),
        conv("c", "sum"),
        plain("d", "relu", "c"),
        two,
    )
    after = without(whole, "sum").node("two.sum")
    assert (after.inputs, after.x_bits, after.x_signed) == (("d", "entry"), 8, True)


def test_a_hard_sigmoid_behind_the_sum_stays() -> None:
    first = replace(BLOCK[0], op="hard_sigmoid")
    left = without(network(first, *BLOCK[1:], plain("end", "hard_sigmoid", "sum")), "sum")
    assert left.node("end").inputs == ("entry",)
    assert left.node("last").inputs == ("end",)
    assert not left.node("last").x_signed


@pytest.mark.parametrize(("limit", "idle"), [(None, True), (1.0, True), (0.9, False)])
def test_a_relu_behind_a_hard_sigmoid_does_nothing_from_a_limit_of_1(
    limit: float | None, idle: bool
) -> None:
    first = replace(BLOCK[0], op="hard_sigmoid")
    left = without(network(first, *BLOCK[1:], plain("end", "relu", "sum", limit=limit)), "sum")
    assert left.node("last").inputs == (("entry",) if idle else ("end",))


def test_a_path_that_ends_in_a_hard_sigmoid_adds_a_half_without_its_layer() -> None:
    path = (*BLOCK[:3], plain("a.act", "hard_sigmoid", "a.norm"))
    assert not bypasses(network(*path, plain("sum", "add", "a.act", "entry")))
    relu = (*path[:3], plain("a.act", "relu", "a.norm"))
    assert list(bypasses(network(*relu, plain("sum", "add", "a.act", "entry")))) == ["sum"]


def test_what_channels_are_at_rest() -> None:
    nodes = (
        plain("a", "hard_sigmoid", "stem"),
        plain("pool", "maxpool", "a"),
        plain("b", "hard_sigmoid", "pool"),
        plain("sum", "add", "a", "b"),
        plain("c", "relu", "sum", limit=0.75),
        plain("norm", "batchnorm", "c"),
        plain("d", "relu", "norm"),
    )
    found = resting(network(*nodes))
    hard = 0.5 / 6 + 0.5
    wanted = {"stem": 0, "a": 0.5, "pool": 0.5, "b": hard, "sum": 0.5 + hard, "c": 0.75}
    assert found == pytest.approx(wanted | {"input": 0, "norm": 0, "d": 0, "last": 0})
