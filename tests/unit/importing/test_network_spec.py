"""The file of a space of one network: what it may say, where it is wrong, and writing it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.space import Space
from cimsearch.space.network_family import network_spec
from cimsearch.spec import load_space_spec, load_study
from cimsearch.spec.network import NetworkSpec
from cimsearch.spec.network_text import network_text
from cimsearch.spec.resolved import Study
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

NETWORK = """
schema: cimsearch/space/1
name: hand
summary: a network written by hand
source: made for a test
family: network
input_shape: [1, 8, 8]
classes: 10
genes:
  weight_bits: [2, 4]
  activation_bits: [4]
  prune_ratio: [0.0, 0.5]
nodes:
  - {name: first, op: conv, channels: 4, kernel: [3, 3]}
  - {name: norm, op: batchnorm}
  - {name: relu, op: relu}
  - {name: mid, op: conv, channels: 6, kernel: [3, 3], stride: [2, 2]}
  - {name: pool, op: avgpool, kernel: [4, 4]}
  - {name: "0", op: linear, channels: 10}
"""


@pytest.fixture
def spec(write: Write) -> NetworkSpec:
    found = load_space_spec(str(write("hand.yaml", NETWORK)))
    assert isinstance(found, NetworkSpec)
    return found


def test_a_network_written_by_hand_is_a_space(spec: NetworkSpec) -> None:
    space = Space(spec)
    assert space.gene_names == ("first.prune_ratio", "mid.prune_ratio", "mid.weight_bits")
    assert space.size == 8
    largest = space.uniform(weight_bits=8, activation_bits=6)
    first, mid, last = (node for node in largest.blueprint.nodes if node.has_weights)
    assert (first.placement, first.w_bits, first.x_bits, first.x_signed) == ("digital", 8, 8, True)
    assert (mid.placement, mid.w_bits, mid.x_bits, mid.x_signed) == ("cim", 8, 6, False)
    assert (last.placement, last.out_shape) == ("digital", (10, 1, 1))
    assert mid.out_shape == (6, 4, 4)
    assert largest.blueprint.node("pool").stride == (4, 4)
    assert {n.placement for n in largest.parent.nodes if n.has_weights} == {"digital"}


def test_the_file_that_is_written_is_read_again(write: Write, spec: NetworkSpec) -> None:
    named = spec.model_copy(update={"weights_sha256": "ab" * 32})
    again = load_space_spec(str(write("again.yaml", network_text(named))))
    assert isinstance(again, NetworkSpec)
    assert again.weights_sha256 == "ab" * 32
    assert again.digital_layers == spec.digital_layers
    assert Space(again).uniform(weight_bits=8, activation_bits=8) == Space(spec).uniform(
        weight_bits=8, activation_bits=8
    )
    # Once written out, it is the same file for ever.
    assert network_text(again) == network_text(named)


@pytest.mark.parametrize("family", ["vgg_tiny", "resnet8"])
def test_a_network_of_any_family_can_be_searched_further(family: str) -> None:
    parent = Space(load_space_spec(family)).sample(3).parent
    genes = load_space_spec(family).genes
    head = {"name": "further", "summary": "one of a family", "source": "a test"}
    space = Space(network_spec(parent, genes, head, weights_sha256=""))
    found = space.uniform(weight_bits=4, activation_bits=4).parent
    unnamed = [
        (n.name, n.op, n.inputs, n.in_shape, n.out_shape, n.kernel, n.x_signed)
        for n in found.nodes
    ]
    assert unnamed == [
        (n.name, n.op, n.inputs, n.in_shape, n.out_shape, n.kernel, n.x_signed)
        for n in parent.nodes
    ]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            "{name: norm, op: batchnorm}",
            "{name: norm, op: swish}",
            "14:18: nodes.1.op: found \"swish\"; allowed is 'conv', 'linear'",
        ),
        (
            "{name: norm, op: batchnorm}",
            "{name: norm, op: batchnorm, channels: 4}",
            "14:33: nodes.1.channels: found 4; a node of op batchnorm has none",
        ),
        (
            "channels: 6, kernel: [3, 3], stride: [2, 2]",
            "kernel: [3, 3]",
            "nodes.3.channels: missing; a node of op conv needs it",
        ),
        (
            "{name: relu, op: relu}",
            "{name: relu, op: relu, inputs: [later]}",
            "nodes.2.inputs: found later; allowed are input and nodes above",
        ),
        (
            "{name: relu, op: relu}",
            "{name: norm, op: relu}",
            "15:6: nodes.2.name: found norm again; allowed is a name of its own",
        ),
        (
            "{name: relu, op: relu}",
            "{name: relu, op: add, inputs: [norm, input]}",
            "nodes.2.inputs: found 4 x 8 x 8 and 1 x 8 x 8; allowed are two of one shape",
        ),
        (
            "{name: relu, op: relu}",
            "{name: relu, op: relu, inputs: [first]}",
            "14:6: nodes.1.name: found norm, which nobody reads",
        ),
        (
            "kernel: [4, 4]",
            "kernel: [5, 5]",
            "nodes.4.kernel: found [5, 5] on 4 x 4; allowed is a smaller one",
        ),
        (
            "kernel: [4, 4]",
            "kernel: [2, 2]",
            "nodes.5.inputs: found an input of 6 x 2 x 2; allowed is a vector, as of a flatten",
        ),
        (
            "stride: [2, 2]}",
            "stride: [2, 2], groups: 5}",
            "nodes.3.groups: found 5; allowed is a divisor of 4 and 6 channels",
        ),
        ("channels: 10", "channels: 9", "nodes.5: 0: gives 9 x 1 x 1; allowed are 10 classes"),
        ('"0", op', "input, op", "nodes.5.name: found input again"),
        (
            "weight_bits: [2, 4]",
            "weight_bits: [0, 4]",
            "genes.weight_bits: found 0, which removes",
        ),
        (
            "nodes:",
            "digital: {layers: [first, nobody]}\nnodes:",
            "digital.layers.1: found nobody; allowed are first, mid, 0",
        ),
        (
            "nodes:",
            "digital: {layers: [first, mid, '0']}\nnodes:",
            "digital.layers: found all layers, of which none is left to search",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(write: Write, old: str, new: str, text: str) -> None:
    assert NETWORK.count(old) == 1
    path = write("bad.yaml", NETWORK.replace(old, new))
    with pytest.raises(SpecError) as error:
        load_space_spec(str(path))
    assert text in error.value.message, error.value.message


def test_layers_that_are_digital_are_named(write: Write) -> None:
    text = NETWORK.replace("nodes:", "digital: {layers: [mid], bits: 4}\nnodes:")
    spec = load_space_spec(str(write("digital.yaml", text)))
    nodes = Space(spec).uniform(weight_bits=2, activation_bits=2).blueprint.nodes
    found = {n.name: (n.placement, n.w_bits) for n in nodes if n.has_weights}
    assert found == {"first": ("cim", 2), "mid": ("digital", 4), "0": ("cim", 2)}
    assert (spec.first_layer.placement, spec.first_layer.bits) == ("cim", 4)


def test_a_network_of_two_layers_has_both_on_arrays(write: Write) -> None:
    text = (
        NETWORK[: NETWORK.index("nodes:")]
        + """nodes:
  - {name: flat, op: flatten}
  - {name: hidden, op: linear, channels: 16}
  - {name: relu, op: relu}
  - {name: last, op: linear, channels: 10}
"""
    )
    space = Space(load_space_spec(str(write("mlp.yaml", text))))
    assert space.gene_names == ("hidden.weight_bits", "last.weight_bits")


def test_a_study_of_it_is_checked_kept_and_read_again(write: Write) -> None:
    write("hand.yaml", NETWORK)
    text = TINY_STUDY.replace("space: vgg_tiny", "space: ./hand.yaml")
    study = load_study(str(write("s.yaml", text)))
    again = Study.from_json(study.to_json())
    assert again.hash == study.hash
    assert isinstance(again.space, NetworkSpec)
    assert again.space == study.space
    # Other weights are another study; another name or summary is not.
    write("hand.yaml", NETWORK.replace("genes:", f"weights_sha256: {'ab' * 32}\ngenes:"))
    other = load_study(str(write("s.yaml", text)))
    assert other.hash != study.hash
    assert other.workloads[0].parent_weights == "ab" * 32
    write("hand.yaml", NETWORK.replace("by hand", "elsewhere"))
    assert load_study(str(write("s.yaml", text))).hash == study.hash
