"""A single layer agrees to the bit: any bits, any geometry, signed or not, ties and clipping."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cim import CimLayer
from cimsearch.cim.quantise import activation_codes
from cimsearch.export.onnx import write_onnx, write_qonnx
from cimsearch.networks import Network, build
from tests.unit.onnx.networks import Values, generator, logits_of
from tests.unit.onnx.runtimes import run_onnx, run_qonnx, values_of

# Sums of at most 4 * 9 products of 8 and 11 bits stay below 2**24: exact in float32.
X_BITS, W_BITS = st.integers(2, 8), st.integers(2, 11)


def alone(node: Node) -> Network:
    """Return a network of one layer."""
    blueprint = Blueprint(node.in_shape, node.out_shape[0], (node,))
    return build(blueprint, None, generator=generator())


@st.composite
def layers(draw: st.DrawFn) -> Node:
    """Draw a convolution of 5 x 4 inputs."""
    groups = draw(st.sampled_from([1, 2, 4]))
    kernel = (draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 3])))
    stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    height, width = (
        (side + 2 * (k // 2) - k) // step + 1
        for side, k, step in zip((5, 4), kernel, stride, strict=True)
    )
    return Node(
        "layer",
        "conv",
        ("input",),
        (4, 5, 4),
        (8, height, width),
        kernel=kernel,
        stride=stride,
        groups=groups,
        placement="digital",
        w_bits=draw(W_BITS),
        x_bits=draw(X_BITS),
        x_signed=draw(st.booleans()),
    )


@settings(max_examples=40)
@given(node=layers(), seed=st.integers(0, 99))
def test_any_layer_agrees_to_the_bit(node: Node, seed: int) -> None:
    network = alone(node)
    images = torch.randn(3, *node.in_shape, generator=generator(seed))
    network.calibrate(images)
    # Some values lie beyond the codes.
    images *= 1.5
    with TemporaryDirectory() as directory:
        path = Path(directory, "m.onnx")
        write_onnx(network, path)
        found = run_onnx(path, images.numpy())
        write_qonnx(network, path)
        close = run_qonnx(path, images.numpy())
    wanted = logits_of(network, images.numpy())
    assert np.array_equal(found, wanted)
    assert np.allclose(close, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def ties(*, signed: bool) -> tuple[Network, CimLayer, Values]:
    """Return a layer that passes codes of 4 bits on, and inputs of quarter steps to beyond them.

    Steps are powers of 2, so that every second input lies on a tie and nothing else is rounded.
    """
    node = Node("layer", "linear", ("input",), (1, 1, 1), (1, 1, 1), placement="digital")
    network = alone(replace(node, w_bits=4, x_bits=4, x_signed=signed))
    (layer,) = network.cim_layers()
    layer.x_scale = 0.5
    with torch.no_grad():
        layer.weight.fill_(7 * 0.125)
    images = torch.arange(-40, 80).float().mul_(0.125).view(-1, 1, 1, 1)
    return network, layer, images.numpy()


@pytest.mark.parametrize("signed", [False, True])
def test_ties_go_to_the_even_code(tmp_path: Path, signed: bool) -> None:
    network, layer, images = ties(signed=signed)
    codes = activation_codes(torch.from_numpy(images), 0.5, layer.numerics.x_limits).numpy()
    low, high = (-8, 7) if signed else (0, 15)
    even = [min(max(round(float(x) / 0.5), low), high) for x in images.flatten()]
    assert codes.flatten().tolist() == even
    write_onnx(network, tmp_path / "m.onnx")
    write_qonnx(network, tmp_path / "q.onnx")
    (found,) = values_of(tmp_path / "m.onnx", ["layer/codes"], images)
    assert found.flatten().tolist() == even
    wanted = np.array(even, dtype=np.float32).reshape(-1, 1) * 7 * 0.0625
    assert np.array_equal(run_onnx(tmp_path / "m.onnx", images), wanted)
    assert np.array_equal(run_qonnx(tmp_path / "q.onnx", images), wanted)
    assert np.array_equal(logits_of(network, images), wanted)


def test_inputs_of_one_bit(tmp_path: Path) -> None:
    node = Node("layer", "linear", ("input",), (3, 1, 1), (2, 1, 1), placement="digital")
    network = alone(replace(node, w_bits=2, x_bits=1))
    images = torch.rand(9, 3, 1, 1, generator=generator(1))
    network.calibrate(images)
    write_onnx(network, tmp_path / "m.onnx")
    write_qonnx(network, tmp_path / "q.onnx")
    wanted = logits_of(network, images.numpy())
    assert np.array_equal(run_onnx(tmp_path / "m.onnx", images.numpy()), wanted)
    assert np.allclose(run_qonnx(tmp_path / "q.onnx", images.numpy()), wanted, atol=1e-6)


def test_a_bias_is_added_after_the_product(tmp_path: Path) -> None:
    network, layer, images = ties(signed=True)
    assert layer.bias is not None
    with torch.no_grad():
        layer.bias.fill_(0.7)
    write_onnx(network, tmp_path / "m.onnx")
    assert np.array_equal(run_onnx(tmp_path / "m.onnx", images), logits_of(network, images))
