"""Networks of other spaces as spaces of their own: what such a space says of their layers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch import load_hardware, load_space
from cimsearch.cost.budget import ArrayBudget
from cimsearch.errors import SpaceError
from cimsearch.orchestrate.imported.bring import write_network
from cimsearch.orchestrate.imported.resized import resized_spec
from cimsearch.space import Space
from cimsearch.spec import load_space_spec
from cimsearch.spec.network import NetworkSpec
from tests.commands import cimsearch
from tests.studies import TINY_STUDY
from tests.unit.importing.models import Mobile, randomised
from tests.unit.importing.test_torch import imported

Write = Callable[[str, str], Path]

MACRO = "macros/chih_isscc_2021"
TO = Path("mine.yaml")

DEEP = """
schema: cimsearch/space/1
name: deep
summary: a network with a depthwise convolution
source: made for a test
family: network
input_shape: [1, 8, 8]
classes: 10
genes: {weight_bits: [4, 8], activation_bits: [4, 8], prune_ratio: [0.0]}
depthwise: [digital, diagonal]
nodes:
  - {name: first, op: conv, channels: 8, kernel: [3, 3], stride: [2, 2]}
  - {name: norm1, op: batchnorm}
  - {name: relu1, op: relu}
  - {name: deep, op: conv, channels: 8, kernel: [3, 3], groups: 8}
  - {name: norm2, op: batchnorm}
  - {name: relu2, op: relu}
  - {name: wide, op: conv, channels: 16, kernel: [1, 1]}
  - {name: norm3, op: batchnorm}
  - {name: relu3, op: relu}
  - {name: pool, op: avgpool, kernel: [4, 4], stride: [4, 4]}
  - {name: flat, op: flatten}
  - {name: last, op: linear, channels: 10}
"""


def read(path: Path) -> tuple[NetworkSpec, dict[str, tuple[object, ...]]]:
    """Return the space of a network's file and the choices of its genes."""
    space = load_space(str(path))
    assert isinstance(space.spec, NetworkSpec)
    return space.spec, {gene.name: gene.choices for gene in space.genes}


@pytest.mark.parametrize("how", ["digital", "diagonal"])
def test_filling_an_imported_network_keeps_how_its_layers_may_run(
    tmp_path: Path, how: str
) -> None:
    """Whatever way it is filled with, which is then that of the uniform networks."""
    found = imported(randomised(Mobile()), (3, 16, 16))
    write_network(found.spec, found.weights, tmp_path / "mine.yaml", force=False)
    own, genes = read(tmp_path / "mine.yaml")
    assert genes["deep.0.execution"] == ("digital", "diagonal")
    ends = {name: choices[-1 if "_bits" in name else 0] for name, choices in genes.items()}
    (tmp_path / "genes.json").write_text(json.dumps(ends | {"deep.0.execution": how}))
    told = cimsearch(
        "network", "fill", "./mine.yaml", "--hardware", MACRO, "--budget", "900",
        "--genes", "genes.json", "--to", "filled.yaml", "--json", cwd=tmp_path,
    )  # fmt: skip
    filled, choices = read(tmp_path / "filled.yaml")
    assert set(choices["deep.0.execution"]) == {"digital", "diagonal"}
    assert choices["deep.0.weight_bits"] == genes["deep.0.weight_bits"]
    assert filled.digital_layers == own.digital_layers
    network = Space(filled).uniform(weight_bits=8, activation_bits=8).blueprint
    assert network.node("deep.0").placement == ("digital" if how == "digital" else "cim")
    units = ArrayBudget(900, load_hardware(MACRO)).units(network)
    assert units == json.loads(told.stdout)["filled"]["units"]


def test_morphing_keeps_how_layers_may_run(write: Write, tmp_path: Path) -> None:
    write("deep.yaml", DEEP)
    study = TINY_STUDY.replace("space: vgg_tiny", "space: ./deep.yaml")
    write("tiny.yaml", study.replace("genes: {adc_bits: [3, 4, 5]}\n", ""))
    cimsearch(
        "network", "morph", "tiny.yaml", "--budget", "600", "--unit", "cells", "--rounds", "1",
        "--shrink-epochs", "0.3", "--tune-epochs", "0.2", "--to", "small.yaml", cwd=tmp_path,
    )  # fmt: skip
    small, genes = read(tmp_path / "small.yaml")
    assert genes["deep.execution"] == ("digital", "diagonal")
    assert small.digital_layers == {"first", "last"}
    network = Space(small).uniform(weight_bits=8, activation_bits=8).blueprint
    assert network.node("deep").groups == network.node("deep").out_shape[0]


def test_layers_that_a_space_holds_digital_stay_so() -> None:
    found = imported(randomised(Mobile()), (3, 16, 16)).spec
    text = {"layers": ("stem.0", "deep.0", "head"), "bits": 6}
    spec = NetworkSpec.model_validate(found.model_dump(by_alias=True) | {"digital": text})
    network = Space(spec).uniform(weight_bits=8, activation_bits=8).blueprint
    made = resized_spec(network, spec, TO, "three digital layers")
    assert (made.digital_layers, made.digital.bits) == (spec.digital_layers, 6)
    assert not any("execution" in gene.name for gene in Space(made).genes)


def test_depthwise_layers_of_a_family_keep_their_genes() -> None:
    """Also where they have other bits than the ends; what replaces one is a layer as others."""
    spec = load_space_spec("dscnn_kws")
    space = Space(spec)
    of_4_bits = space.uniform(weight_bits=4, activation_bits=8)
    made = resized_spec(of_4_bits.blueprint, spec, TO, "depthwise layers of 4 bits")
    assert made.depthwise == ("digital", "diagonal")
    assert made.digital.layers == ("stem", "classifier")
    assert made.digital.bits == 8
    ways = {gene.name: gene.choices for gene in Space(made).genes if "execution" in gene.name}
    there = {f"{node.name}.execution" for node in of_4_bits.blueprint.nodes}
    assert set(ways) == {gene.name for gene in space.genes if "execution" in gene.name} & there
    assert set(ways.values()) == {("digital", "diagonal")}
    values = {gene.name: gene.choices[0] for gene in space.genes}
    replaced: dict[str, int | str] = {"stage0.depth": len(ways), next(iter(ways)): "grouped_4"}
    network = space.decode(space.encode(values | replaced)).blueprint
    made = resized_spec(network, spec, TO, "one of four groups")
    assert sum("execution" in gene.name for gene in Space(made).genes) == len(ways) - 1
    assert next(n for n in made.nodes if n.name == next(iter(ways)).rsplit(".", 1)[0]).groups == 4


def test_digital_layers_have_one_number_of_bits() -> None:
    spec = load_space_spec("dscnn_kws")
    network = Space(spec).uniform(weight_bits=8, activation_bits=8).blueprint
    assert resized_spec(network, spec, TO, "all of 8 bits").digital.bits == 8
    assert spec.classifier is not None
    other = spec.model_copy(update={"classifier": spec.classifier.model_copy(update={"bits": 4})})
    network = Space(other).uniform(weight_bits=8, activation_bits=8).blueprint
    with pytest.raises(SpaceError, match="digital layers: found 4 and 8 weight bits") as error:
        resized_spec(network, other, TO, "a classifier of 4 bits")
    assert "first_layer and classifier" in error.value.hint
