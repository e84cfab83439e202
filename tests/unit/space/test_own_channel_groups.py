"""Groups of channels with different weight bits in a network of one's own."""

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.space import Space
from cimsearch.space.network_family import network_spec
from cimsearch.spec.network import NetworkSpec
from cimsearch.spec.space import LayerGenes

from .families import varied
from .grouped import VGG, parts_of, with_share

PLAIN = LayerGenes(weight_bits=(2, 4), activation_bits=(4,), prune_ratio=(0.0,))
HEAD = {"name": "one", "summary": "one network", "source": "tests"}


@pytest.mark.parametrize("name", ["vgg_tiny", "resnet8"])
def test_a_network_of_its_own_has_groups_too(name: str) -> None:
    plain = varied(name).uniform(weight_bits=4, activation_bits=4).parent
    genes = VGG.spec.genes.model_copy(update={"adc_bits": (), "encoding": ()})
    space = Space(network_spec(plain, genes, HEAD, weights_sha256=""))
    table = space.layer_table(space.sample_genes(20, 3))
    expected = layer_table([space.decode(r).blueprint for r in space.sample_genes(20, 3)])
    for column in fields(LayerTable):
        np.testing.assert_array_equal(getattr(table, column.name), getattr(expected, column.name))
    quarter = with_share(space, 0.25).blueprint
    assert len(parts_of(quarter)) == sum(gene.name.endswith("high_share") for gene in space.genes)
    assert parts_of(quarter)
    # Patterns may name both parts of what is in parts, and of nothing else.
    assert space.spec.layer_names == tuple(n.name for n in quarter.nodes if n.has_weights)
    assert Space(network_spec(plain, PLAIN, HEAD, weights_sha256="")).spec.layer_names == tuple(
        n.name for n in plain.nodes if n.has_weights
    )


def network_with_ends(**of_first: Any) -> dict[str, Any]:
    """Return a network of one channel, which is digital, four, and a classifier."""
    first: dict[str, Any] = {"name": "first", "op": "conv", "channels": 1, "kernel": [3, 3]}
    nodes = [
        first | of_first,
        {"name": "first.high", "op": "relu"},
        {"name": "middle", "op": "conv", "channels": 4, "kernel": [3, 3]},
        {"name": "pool", "op": "avgpool", "kernel": [4, 4], "stride": [4, 4]},
        {"name": "flat", "op": "flatten"},
        {"name": "last", "op": "linear", "channels": 3},
    ]
    genes = {"weight_bits": [2, 4], "activation_bits": [4], "prune_ratio": [0.0, 0.5]}
    groups = {"high_share": [0.0, 0.5], "high_bits": [8]}
    about = {"schema": "cimsearch/space/1", "family": "network", **HEAD}
    of_images = {"input_shape": [2, 4, 4], "classes": 3}
    return about | of_images | {"genes": genes | groups, "nodes": nodes}


def test_ends_of_a_network_of_its_own_are_in_no_groups() -> None:
    """The channel of its first layer need not be two, and its second part is not there."""
    spec = NetworkSpec.model_validate_json(json.dumps(network_with_ends()))
    assert spec.layer_names == ("first", "middle", "middle.high", "last")
    assert parts_of(with_share(Space(spec), 0.5).blueprint) == [
        ("middle", "middle.high", "middle.joined")
    ]
    searched = network_with_ends() | {"digital": {"layers": ["last"]}}
    with pytest.raises(ValidationError, match="pruning leaves 1 channel of"):
        NetworkSpec.model_validate_json(json.dumps(searched))
    wider = network_with_ends(channels=4) | {"digital": {"layers": ["last"]}}
    with pytest.raises(ValidationError, match=r"found nodes called first\.high; parts are called"):
        NetworkSpec.model_validate_json(json.dumps(wider))
