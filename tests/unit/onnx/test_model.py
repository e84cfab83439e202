"""What a written model says of itself: shapes, operators, weights, metadata; and clear errors."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper

import cimsearch
from cimsearch.blueprint import Blueprint, Node
from cimsearch.errors import UsageError
from cimsearch.export.onnx import write_onnx, write_qonnx
from cimsearch.networks import Network, build
from tests.unit.onnx.networks import Values, generator, grouped_network, logits_of
from tests.unit.onnx.runtimes import qonnx_model, run_onnx

Write = Callable[[Network, Path], None]

WRITERS = [write_onnx, write_qonnx]


def constants(model: ModelProto) -> dict[str, Values]:
    return {part.name: numpy_helper.to_array(part) for part in model.graph.initializer}


def dimensions(value: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("name", ["float", "vgg", "resnet"])
def test_inferred_shapes_are_those_of_the_blueprint(
    networks: dict[str, Network], tmp_path: Path, name: str
) -> None:
    write_onnx(networks[name], tmp_path / "m.onnx")
    onnx.checker.check_model(tmp_path / "m.onnx", full_check=True)
    model = onnx.load(tmp_path / "m.onnx")
    stated = {value.name: dimensions(value) for value in model.graph.value_info}
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    shapes = {value.name: dimensions(value) for value in inferred.graph.value_info}
    for node in networks[name].blueprint.nodes:
        assert shapes[node.name] == stated[node.name] == ["n", *node.out_shape]
    assert [dimensions(v) for v in model.graph.input] == [["n", 1, 8, 8]]
    assert [dimensions(v) for v in inferred.graph.output] == [["n", 10]]


@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_shapes_that_qonnx_infers_are_those_of_the_blueprint(
    networks: dict[str, Network], tmp_path: Path, name: str
) -> None:
    write_qonnx(networks[name], tmp_path / "m.onnx")
    onnx.checker.check_model(tmp_path / "m.onnx", full_check=True)
    model = qonnx_model(tmp_path / "m.onnx", batch=3)
    assert model.check_all_tensor_shapes_specified()
    for node in networks[name].blueprint.nodes:
        assert model.get_tensor_shape(node.name) == [3, *node.out_shape]


@pytest.mark.parametrize("write", WRITERS)
def test_grouped_networks_pass_the_checker(tmp_path: Path, write: Write) -> None:
    network, _ = grouped_network()
    write(network, tmp_path / "m.onnx")
    onnx.checker.check_model(tmp_path / "m.onnx", full_check=True)
    convolutions = [n for n in onnx.load(tmp_path / "m.onnx").graph.node if n.op_type == "Conv"]
    groups = [next(a.i for a in n.attribute if a.name == "group") for n in convolutions]
    assert groups == [1, 8, 2, 1]


def test_weights_are_stored_as_codes(networks: dict[str, Network], tmp_path: Path) -> None:
    write_onnx(networks["learned"], tmp_path / "m.onnx")
    stored = constants(onnx.load(tmp_path / "m.onnx"))
    for layer in networks["learned"].cim_layers():
        codes, limit = stored[f"{layer.name}/weight_codes"], layer.numerics.w_limit
        assert codes.dtype == np.int8
        assert np.abs(codes).max() <= limit
        product, _, _ = layer.quantised(torch.zeros(1), layer.weight.detach())
        assert np.array_equal(codes, product.w.numpy())
        assert np.array_equal(stored[f"{layer.name}/unit"], product.by_channel.numpy())


def test_codes_of_more_than_a_byte_are_stored_in_two(tmp_path: Path) -> None:
    node = Node("layer", "linear", ("input",), (4, 1, 1), (3, 1, 1), placement="digital")
    wide = Blueprint((4, 1, 1), 3, (replace(node, w_bits=9, x_bits=4),))
    network = build(wide, None, generator=generator())
    network.calibrate(torch.rand(8, 4, 1, 1, generator=generator(1)))
    write_onnx(network, tmp_path / "m.onnx")
    codes = constants(onnx.load(tmp_path / "m.onnx"))["layer/weight_codes"]
    assert codes.dtype == np.int16
    assert np.abs(codes).max() > 127


def test_operators_are_of_the_standard_alone(networks: dict[str, Network], tmp_path: Path) -> None:
    write_onnx(networks["vgg"], tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    assert {node.domain for node in model.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    layers = len(list(networks["vgg"].cim_layers()))
    counts = Counter(node.op_type for node in model.graph.node)
    assert counts["Div"] == counts["Round"] == counts["Clip"] == counts["Conv"] == layers


def test_quant_nodes_say_what_codes_are(networks: dict[str, Network], tmp_path: Path) -> None:
    network = networks["vgg"]
    write_qonnx(network, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    stored = constants(model)
    nodes = {node.name: node for node in model.graph.node if node.op_type == "Quant"}
    assert {node.domain for node in nodes.values()} == {"qonnx.custom_op.general"}
    assert len(nodes) == 2 * len(list(network.cim_layers()))
    for layer in network.cim_layers():
        of = layer.numerics
        _, weights, _ = layer.quantised(torch.zeros(1), layer.weight.detach())
        for part, bits, signed, narrow in (
            ("read", of.x_bits, of.x_signed, False),
            ("stored", of.w_bits, True, True),
        ):
            node = nodes[f"{layer.name}/{part}"]
            _, step, zero, width = node.input
            modes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            assert modes == {"signed": signed, "narrow": narrow, "rounding_mode": b"ROUND"}
            assert [float(stored[name]) for name in (zero, width)] == [0, bits]
        assert stored[step].shape == (len(weights), 1, 1, 1)
        assert np.array_equal(stored[f"{layer.name}/weight"], weights.numpy())
        assert stored[f"{layer.name}/step"] == np.float32(layer.x_scale)


def test_the_datatypes_that_qonnx_infers(networks: dict[str, Network], tmp_path: Path) -> None:
    transformation = import_module("qonnx.transformation.infer_datatypes")
    infer = transformation.InferDataTypes(allow_scaledint_dtypes=True)
    write_qonnx(networks["vgg"], tmp_path / "m.onnx")
    model = qonnx_model(tmp_path / "m.onnx", batch=1).transform(infer)
    for layer in networks["vgg"].cim_layers():
        bits = layer.numerics.w_bits
        assert model.get_tensor_datatype(f"{layer.name}/stored").name == f"SCALEDINT<{bits}>"


@pytest.mark.parametrize("write", WRITERS)
def test_metadata(networks: dict[str, Network], tmp_path: Path, write: Write) -> None:
    network = networks["vgg"]
    write(network, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    assert (model.producer_name, model.producer_version) == ("cimsearch", cimsearch.__version__)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["cimsearch.schema"] == "cimsearch/onnx/1"
    assert about["cimsearch.blueprint"] == network.blueprint.hash
    assert about["cimsearch.images"] == "normalised as in training"
    layers = json.loads(about["cimsearch.layers"])
    assert list(layers) == sorted(layer.name for layer in network.cim_layers())
    assert layers["classifier"] == {
        "placement": "digital",
        "w_bits": network.blueprint.node("classifier").w_bits,
        "x_bits": network.blueprint.node("classifier").x_bits,
        "x_signed": False,
    }


@pytest.mark.parametrize("write", WRITERS)
def test_equal_networks_give_equal_files(
    networks: dict[str, Network], tmp_path: Path, write: Write
) -> None:
    for name in ("a", "b"):
        write(networks["resnet"], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_writing_leaves_a_network_as_it_is(networks: dict[str, Network], tmp_path: Path) -> None:
    network = networks["vgg"].train()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    write_onnx(network, tmp_path / "m.onnx")
    assert network.training
    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())
    network.eval()


def test_nodes_may_have_the_names_of_the_input_and_the_output(tmp_path: Path) -> None:
    nodes = (
        Node("images", "relu", ("input",), (3, 1, 1), (3, 1, 1)),
        Node("logits", "add", ("images", "input"), (3, 1, 1), (3, 1, 1)),
    )
    network = build(Blueprint((3, 1, 1), 3, nodes), None, generator=generator())
    write_onnx(network, tmp_path / "m.onnx")
    onnx.checker.check_model(tmp_path / "m.onnx", full_check=True)
    images = np.array([-1, 2, -3], dtype=np.float32).reshape(1, 3, 1, 1)
    assert run_onnx(tmp_path / "m.onnx", images).tolist() == [[-1, 4, -3]]


def test_flattening_is_in_c_order(tmp_path: Path) -> None:
    nodes = (
        Node("pool", "maxpool", ("input",), (3, 4, 5), (3, 2, 2), (2, 2), (2, 2)),
        Node("flat", "flatten", ("pool",), (3, 2, 2), (12, 1, 1)),
    )
    network = build(Blueprint((3, 4, 5), 12, nodes), None, generator=generator())
    images = torch.randn(2, 3, 4, 5, generator=generator(1)).numpy()
    write_onnx(network, tmp_path / "m.onnx")
    assert np.array_equal(run_onnx(tmp_path / "m.onnx", images), logits_of(network, images))


class TestErrors:
    @pytest.mark.parametrize("write", WRITERS)
    def test_a_network_that_is_not_calibrated(self, tmp_path: Path, write: Write) -> None:
        blueprint = grouped_network()[0].blueprint
        with pytest.raises(UsageError, match=r"a: not calibrated\nhint: call Network\.calib"):
            write(build(blueprint, None, generator=generator()), tmp_path / "m.onnx")
        assert not list(tmp_path.iterdir())

    def test_a_weight_that_is_no_number(self, tmp_path: Path) -> None:
        network, _ = grouped_network()
        with torch.no_grad():
            network.module("b").get_parameter("weight")[0, 0, 0, 0] = float("nan")
        with pytest.raises(UsageError, match=r"b\.weight: found NaN or infinity"):
            write_onnx(network, tmp_path / "m.onnx")

    def test_a_file_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        network, _ = grouped_network()
        with pytest.raises(UsageError, match=r"file/m.onnx cannot be written: "):
            write_onnx(network, tmp_path / "file" / "m.onnx")

    @pytest.mark.parametrize("write", WRITERS)
    def test_onnx_is_not_installed(
        self, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "onnx", None)
        with pytest.raises(UsageError, match=r"needs onnx\nhint: pip install 'cimsearch\[onnx\]'"):
            write(grouped_network()[0], tmp_path / "m.onnx")
