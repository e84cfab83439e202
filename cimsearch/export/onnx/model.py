"""A network as an ONNX model: its graph, and what the model says of itself."""

from math import prod
from pathlib import Path

from onnx import ModelProto, OperatorSetIdProto, helper
from torch import nn

import cimsearch
from cimsearch.blueprint import NETWORK_INPUT, Blueprint, Node
from cimsearch.cim import CimLayer, FloatLayer
from cimsearch.errors import UsageError
from cimsearch.export.onnx.graph import Graph, Kind, batch_of
from cimsearch.export.onnx.layers import add_float
from cimsearch.export.onnx.operations import add_join, add_norm, add_operation
from cimsearch.export.onnx.quant import DOMAIN
from cimsearch.networks import Network
from cimsearch.networks.operations import Added, Joined
from cimsearch.spec.base import canonical_json
from cimsearch.training.cache import whole_file

SCHEMA = "cimsearch/onnx/1"
"""Of the names and the metadata of a model."""

INPUT, OUTPUT = "images", "logits"

# Of 2022 and 2021: new enough for all that is used, old enough for compilers of other makers.
_OPSET, _IR_VERSION, _QONNX_OPSET = 17, 8, 1


def model_of(network: Network, kind: Kind, images: str) -> ModelProto:
    """Return the model of a network.

    Args:
        network: Float, or quantised and calibrated.
        kind: How what is quantised is written.
        images: How the input is made, in words.

    Raises:
        UsageError: A layer is not calibrated, or a weight is not finite.
    """
    network.check_finite()
    blueprint, graph = network.blueprint, Graph()
    for node in blueprint.nodes:
        inputs = [_value(name) for name in node.inputs]
        _add_node(graph, network, node, inputs, kind)
        graph.state_shape(_value(node.name), node.out_shape)
    last = blueprint.nodes[-1]
    graph.add("Flatten", [_value(last.name)], OUTPUT, axis=1)
    whole = helper.make_graph(
        graph.nodes,
        "network",
        [batch_of(INPUT, blueprint.input_shape, images)],
        [batch_of(OUTPUT, (prod(last.out_shape),))],
        graph.constants,
        value_info=graph.values,
    )
    model = helper.make_model(
        whole,
        ir_version=_IR_VERSION,
        opset_imports=_opsets(graph),
        producer_name="cimsearch",
        producer_version=cimsearch.__version__,
    )
    helper.set_model_props(model, _about(blueprint, images))
    return model


def save(model: ModelProto, path: Path) -> None:
    """Write a model to a file, whole or not at all.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(model.SerializeToString(deterministic=True))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _value(name: str) -> str:
    """Return the name of a node's value: the node's own, where the model has no such name."""
    if name == NETWORK_INPUT:
        return INPUT
    return f"{name}/value" if name in (INPUT, OUTPUT) else name


def _add_node(graph: Graph, network: Network, node: Node, inputs: list[str], kind: Kind) -> None:
    output = _value(node.name)
    if not network.has_module(node.name):
        add_operation(graph, node, inputs, output)
        return
    match network.module(node.name):
        case CimLayer() as layer:
            kind.add_layer(graph, layer, inputs[0], output)
        case FloatLayer() as layer:
            add_float(graph, layer, inputs[0], output)
        case nn.BatchNorm2d() as norm:
            add_norm(graph, norm, inputs[0], output)
        case Joined() as join:
            add_join(graph, join, inputs, output)
        case Added(operand=operand):
            waiting = kind.add_operand(graph, operand, inputs[1], output)
            add_operation(graph, node, [inputs[0], waiting], output)


def _opsets(graph: Graph) -> list[OperatorSetIdProto]:
    """Return the sets of operators that a graph uses."""
    opsets = [helper.make_opsetid("", _OPSET)]
    if any(node.domain == DOMAIN for node in graph.nodes):
        opsets.append(helper.make_opsetid(DOMAIN, _QONNX_OPSET))
    return opsets


def _about(blueprint: Blueprint, images: str) -> dict[str, str]:
    """Return the metadata: schema, the blueprint's hash, images, bits of layers and additions."""
    layers = {
        node.name: {
            "w_bits": node.w_bits,
            "x_bits": node.x_bits,
            "x_signed": node.x_signed,
            "placement": node.placement,
        }
        for node in blueprint.nodes
        if node.has_weights or node.x_bits
    }
    return {
        "cimsearch.schema": SCHEMA,
        "cimsearch.blueprint": blueprint.hash,
        "cimsearch.images": images,
        "cimsearch.layers": canonical_json(layers),
    }
