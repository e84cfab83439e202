"""Networks as users bring them compute the same here, on arrays and in an exported file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import cimsearch
from cimsearch.blueprint import Blueprint, Node
from cimsearch.cim.geometry import Geometry
from cimsearch.export.onnx import write_onnx
from cimsearch.networks import Network, build
from cimsearch.networks.importing.assemble import Imported, Model, assembled
from cimsearch.networks.importing.onnx_source import read_onnx
from cimsearch.networks.importing.torch_source import read_module
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.network_text import network_text
from cimsearch.training.prune import inherit
from tests.unit.importing.brought import LeNet, MobileNetV2, ResNet, exported
from tests.unit.importing.models import randomised
from tests.unit.onnx.runtimes import run_onnx

Write = Callable[[str, str], Path]

SHAPES: dict[type[nn.Module], tuple[int, int, int]] = {
    LeNet: (1, 28, 28),
    ResNet: (3, 40, 40),
    MobileNetV2: (3, 20, 20),
}


def drawn(n: int, shape: tuple[int, ...], scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def modules() -> dict[type[nn.Module], nn.Module]:
    return {kind: randomised(kind()) for kind in SHAPES}


@pytest.fixture(scope="module")
def brought(modules: dict[type[nn.Module], nn.Module]) -> dict[type[nn.Module], Imported]:
    """Return each of the networks, imported from torch."""
    found = {}
    for kind, shape in SHAPES.items():
        module = modules[kind]
        pieces = read_module("a:b", module, shape)
        found[kind] = assembled(Model("a:b", shape, pieces, module), "mine")
    return found


def quantised(found: Imported) -> Network:
    """Return it with 6-bit weights and inputs on a macro, calibrated."""
    generator = torch.Generator().manual_seed(0)
    candidate = Space(found.spec).uniform(weight_bits=6, activation_bits=6)
    macro = load_hardware("macros/yu_cicc_2020").macro
    network = build(candidate.blueprint, macro, generator=generator)
    inherit(network, found.network)
    network.calibrate(drawn(16, found.spec.input_shape))
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize("kind", SHAPES)
def test_torch_and_its_onnx_file_are_the_same_network(
    kind: type[nn.Module],
    modules: dict[type[nn.Module], nn.Module],
    brought: dict[type[nn.Module], Imported],
    tmp_path: Path,
) -> None:
    # Large values, so that many are over 6.
    images = drawn(8, SHAPES[kind], 4.0)
    logits = modules[kind](images)
    close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4 * float(logits.abs().max())}
    torch.testing.assert_close(brought[kind].network(images), logits, **close)
    path = exported(modules[kind], SHAPES[kind], tmp_path / "a.onnx")
    again = assembled(read_onnx(path), "mine")
    torch.testing.assert_close(again.network(images), logits, **close)
    ops = [
        [(n.op, n.kernel, n.padding, n.limit) for n in f.spec.nodes]
        for f in (brought[kind], again)
    ]
    # The file has the biases of its batch norms in its convolutions, so that there are others.
    assert [each for each in ops[0] if each[0] != "batchnorm"] == [
        each for each in ops[1] if each[0] != "batchnorm"
    ]


def test_only_what_is_unusual_is_stated(brought: dict[type[nn.Module], Imported]) -> None:
    stated = {
        kind: {n.name: n.padding for n in found.spec.nodes if n.padding is not None}
        for kind, found in brought.items()
    }
    assert stated[LeNet] == {"conv1": (0, 0), "conv2": (0, 0)}
    assert stated[ResNet] == {"maxpool": (1, 1)}
    assert stated[MobileNetV2] == {}
    limits = [n.limit for n in brought[MobileNetV2].spec.nodes if n.op == "relu"]
    assert limits == 6 * [6.0]
    sides = {n.name: n.out_shape[1] for n in brought[ResNet].network.blueprint.nodes}
    assert (sides["conv1"], sides["maxpool"]) == (20, 10)
    sides = {n.name: n.out_shape[1] for n in brought[LeNet].network.blueprint.nodes}
    assert (sides["conv1"], sides["conv2"]) == (24, 8)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_space_is_written_read_and_priced(
    kind: type[nn.Module], brought: dict[type[nn.Module], Imported], write: Write
) -> None:
    spec = brought[kind].spec
    again = load_space_spec(str(write("mine.yaml", network_text(spec))))
    space = Space(again)
    whole: dict[str, Any] = {"weight_bits": 4, "activation_bits": 4}
    assert space.uniform(**whole) == Space(spec).uniform(**whole)
    genes = space.sample_genes(4, 0)
    hardware = load_hardware("macros/yu_cicc_2020")
    costs = cimsearch.estimate_batch(space, genes, hardware)
    for vector, energy_pj in zip(genes, costs.energy_pj, strict=True):
        candidate = space.decode(vector)
        one = cimsearch.estimate(candidate, hardware)
        assert one.energy_pj == pytest.approx(float(energy_pj), rel=1e-9)
        blueprint = candidate.blueprint
        assert Blueprint.from_json(blueprint.to_json()) == blueprint


@torch.no_grad()
@pytest.mark.parametrize("kind", SHAPES)
def test_on_arrays_all_levels_agree_with_an_ideal_converter(
    kind: type[nn.Module], brought: dict[type[nn.Module], Imported]
) -> None:
    network = quantised(brought[kind])
    images = drawn(3, SHAPES[kind])
    network.set_mode("L0", ideal=True)
    plain = network(images)
    network.set_mode("L2", ideal=True)
    torch.testing.assert_close(network(images), plain, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kind", SHAPES)
def test_onnxruntime_runs_what_is_exported(
    kind: type[nn.Module], brought: dict[type[nn.Module], Imported], tmp_path: Path
) -> None:
    network, images = brought[kind].network, drawn(4, SHAPES[kind], 4.0)
    write_onnx(network, tmp_path / "a.onnx")
    ours = network(images).numpy()
    theirs = run_onnx(tmp_path / "a.onnx", images.numpy())
    assert np.abs(theirs - ours).max() < 1e-4 * np.abs(ours).max()


def test_a_usual_padding_is_none_and_plain_data_leaves_it_out() -> None:
    shapes = ((3, 9, 9), (4, 9, 9))
    usual = Node("c", "conv", ("input",), *shapes, kernel=(3, 5), padding=(1, 2))
    assert usual == Node("c", "conv", ("input",), *shapes, kernel=(3, 5))
    assert (usual.padding, usual.pads, Geometry.of(usual, None).padding) == (None, (1, 2), (1, 2))
    other = Node("c", "conv", ("input",), (3, 9, 9), (4, 7, 5), kernel=(3, 5), padding=(0, 0))
    assert (other.pads, Geometry.of(other, None).out_size(9, 9)) == ((0, 0), (7, 5))
    assert Node("p", "maxpool", ("input",), *shapes, padding=(0, 0)).padding is None
    plain = [Blueprint((3, 9, 9), 4, (node,)).to_dict()["nodes"][0] for node in (usual, other)]
    assert set(plain[1]) - set(plain[0]) == {"padding"}
    assert "limit" not in plain[1]
