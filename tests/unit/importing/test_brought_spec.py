"""Padding, limits and depthwise convolutions in a space's file: checked, built, exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cimsearch
from cimsearch.errors import SpecError
from cimsearch.export.verify import verify_export
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec, load_study
from cimsearch.spec.network import NetworkSpec
from cimsearch.spec.network_text import network_text
from cimsearch.spec.node import NodeSpec
from cimsearch.spec.resolved import Study
from tests.studies import TINY_STUDY
from tests.unit.export.networks import exported, hardware, job

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
  weight_bits: [3, 4]
  activation_bits: [3]
  prune_ratio: [0.0, 0.5]
depthwise: [digital, diagonal]
digital: {layers: [last]}
nodes:
  - {name: first, op: conv, channels: 6, kernel: [3, 3], padding: [0, 0]}
  - {name: relu, op: relu, limit: 6.0}
  - {name: pool, op: maxpool, kernel: [3, 3], stride: [2, 2], padding: [1, 1]}
  - {name: deep, op: conv, channels: 6, kernel: [3, 3], padding: [2, 0], groups: 6}
  - {name: mid, op: conv, channels: 8, kernel: [3, 1], padding: [0, 0]}
  - {name: relu2, op: relu, limit: 0.5}
  - {name: flat, op: flatten}
  - {name: last, op: linear, channels: 10}
"""


@pytest.fixture
def spec(write: Write) -> NetworkSpec:
    found = load_space_spec(str(write("hand.yaml", NETWORK)))
    assert isinstance(found, NetworkSpec)
    return found


def test_the_file_is_what_is_built_and_is_read_again(spec: NetworkSpec, write: Write) -> None:
    shapes = list(spec.shapes().values())
    assert shapes[:6] == [(1, 8, 8), (6, 6, 6), (6, 6, 6), (6, 3, 3), (6, 5, 1), (8, 3, 1)]
    again = load_space_spec(str(write("again.yaml", network_text(spec))))
    assert isinstance(again, NetworkSpec)
    assert again.depthwise == ("digital", "diagonal")
    assert again.nodes == spec.nodes
    nodes = {n.name: n for n in Space(again).sample(0).blueprint.nodes}
    assert (nodes["pool"].pads, nodes["deep"].pads, nodes["relu2"].limit) == ((1, 1), (2, 0), 0.5)


def test_what_is_not_stated_leaves_hashes_as_they_were(write: Write) -> None:
    text = NETWORK.replace("depthwise: [digital, diagonal]\n", "")
    for stated in (", padding: [0, 0]", ", padding: [1, 1]", ", padding: [2, 0]"):
        text = text.replace(stated, "")
    text = text.replace(", limit: 6.0", "").replace(", limit: 0.5", "").replace("[3, 1]", "[3, 3]")
    spec = load_space_spec(str(write("hand.yaml", text)))
    plain = spec.model_dump(mode="json")
    assert "depthwise" not in plain
    fields = {"name", "op", "inputs", "channels", "kernel", "stride", "groups"}
    assert {frozenset(node) for node in plain["nodes"]} == {frozenset(fields)}
    study = TINY_STUDY.replace("space: vgg_tiny", "space: ./hand.yaml")
    before = load_study(str(write("s.yaml", study))).hash
    write("hand.yaml", NETWORK)
    whole = load_study(str(write("s.yaml", study)))
    assert whole.hash != before
    again = Study.from_json(whole.to_json())
    assert (again.hash, again.space) == (whole.hash, whole.space)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            "stride: [2, 2], padding: [1, 1]",
            "stride: [2, 2], padding: [2, 1]",
            "nodes.2.padding: found [2, 1]; allowed is half a kernel, [1, 1], or less",
        ),
        ("{name: flat, op: flatten}", "{name: flat, op: flatten, padding: [0, 0]}", "has none"),
        (
            "{name: flat, op: flatten}",
            "{name: flat, op: flatten, limit: 6.0}",
            "nodes.6.limit: found 6.0; a node of op flatten has none",
        ),
        ("limit: 6.0", "limit: 0.0", "nodes.1.limit: found 0.0; allowed is greater than 0"),
        (
            "[digital, diagonal]",
            "[digital, digital]",
            "depthwise: found a repeated choice in ['digital', 'digital']",
        ),
        ("[digital, diagonal]", "[grouped_2]", 'depthwise.0: found "grouped_2"; allowed is'),
    ],
)
def test_what_is_wrong_is_told_with_its_place(write: Write, old: str, new: str, text: str) -> None:
    assert NETWORK.count(old) == 1
    path = write("bad.yaml", NETWORK.replace(old, new))
    with pytest.raises(SpecError) as error:
        load_space_spec(str(path))
    assert text in error.value.message, error.value.message


def test_a_depthwise_layer_is_digital_or_on_the_diagonal(spec: NetworkSpec) -> None:
    opened = spec.genes.model_copy(update={"adc_bits": (4, 5)})
    space = Space(spec.model_copy(update={"genes": opened}))
    assert "deep.execution" in space.gene_names
    assert not [n for n in space.gene_names if n.endswith("execution") and n[:4] != "deep"]
    given = {gene.name: gene.choices[0] for gene in space.genes}
    digital = space.encode(given | {"deep.execution": "digital"})
    diagonal = space.encode(given | {"deep.execution": "diagonal"})
    found = {}
    for how, genes in (("digital", digital), ("diagonal", diagonal)):
        node = space.decode(genes).blueprint.node("deep")
        found[how] = (node.placement, node.groups, node.w_bits, node.adc_bits)
    assert found == {"digital": ("digital", 6, 3, 0), "diagonal": ("cim", 6, 3, 4)}
    # A converter's bits count where there is one only.
    adc = space.gene_names.index("deep.adc_bits")
    assert space.active(np.array([digital, diagonal]))[:, adc].tolist() == [False, True]
    # The parent is one, and so are its weights.
    assert space.decode(digital).parent == space.decode(diagonal).parent
    first = space.uniform(weight_bits=8, activation_bits=8).blueprint
    assert first.node("deep").placement == "digital"
    macro = load_hardware("macros/yu_cicc_2020")
    costs = cimsearch.estimate_batch(space, np.array([digital, diagonal]), macro)
    own = [cimsearch.estimate(space.decode(g), macro).energy_pj for g in (digital, diagonal)]
    np.testing.assert_allclose(costs.energy_pj, own, rtol=1e-9)
    assert own[0] != own[1]


def test_before_there_was_a_choice_it_was_on_the_diagonal(spec: NetworkSpec) -> None:
    space = Space(spec.model_copy(update={"depthwise": ("diagonal",)}))
    assert not [name for name in space.gene_names if name.endswith("execution")]
    assert space.sample(1).blueprint.node("deep").placement == "cim"


def test_a_node_of_everything_states_what_is_unusual() -> None:
    whole: dict[str, Any] = {"channels": 3, "stride": (1, 1), "groups": 1, "limit": None}
    node = NodeSpec.of("a", "conv", ("b",), kernel=(3, 5), padding=(1, 2), **whole)
    assert (node.padding, node.pads) == (None, (1, 2))
    node = NodeSpec.of("a", "conv", ("b",), kernel=(3, 5), padding=(0, 2), **whole)
    assert (node.padding, node.pads) == ((0, 2), (0, 2))
    node = NodeSpec.of("a", "add", ("b", "c"), kernel=(1, 1), padding=(0, 0), **whole)
    assert node == NodeSpec(name="a", op="add", inputs=("b", "c"))


@pytest.mark.parametrize("how", ["digital", "diagonal"])
def test_what_is_exported_is_replayed_to_the_last_image(
    spec: NetworkSpec, how: str, tmp_path: Path
) -> None:
    space = Space(spec)
    chosen = {gene.name: gene.choices[0] for gene in space.genes} | {"deep.execution": how}
    blueprint = space.decode(space.encode(chosen)).blueprint
    exported(job(hardware(), blueprint=blueprint), tmp_path / "out")
    found = verify_export(tmp_path / "out")
    assert found.passed, found
    assert all(each.agreed == each.images == 50 for each in found.agreements)
