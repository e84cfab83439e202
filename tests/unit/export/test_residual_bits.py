"""Networks whose additions keep what waits in few bits, delivered."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from cimsearch.export.files import ExportError
from cimsearch.export.integers import network_tensors, rebuilt
from cimsearch.export.onnx import write_onnx, write_qonnx
from cimsearch.export.verify import verify_export
from cimsearch.networks import Network, build
from cimsearch.training.prune import inherit
from tests.unit.export.networks import exported, hardware, job
from tests.unit.export.test_roundtrip import LEARNED
from tests.unit.onnx.networks import Values, logits_of
from tests.unit.onnx.runtimes import run_onnx, run_qonnx
from tests.unit.space.residuals import additions, with_residual

SIGNS = {"stage0.block0.add": False, "stage1.block0.add": True, "stage1.block1.add": False}


def test_replayed_to_the_last_image(tmp_path: Path) -> None:
    candidate = with_residual(2, prune_ratio=0.5)
    of = job(
        hardware(),
        blueprint=candidate.blueprint,
        parent=candidate.parent,
        recipe=LEARNED,
        rung={"epochs": 1, "train_level": "L1"},
    )
    written = exported(of, tmp_path / "out")
    found = verify_export(tmp_path / "out")
    assert found.passed, found
    assert written.scores.as_in_study
    assert not written.notes
    assert all(each.agreed == each.images == 50 for each in found.agreements)
    tensors = load_file(tmp_path / "out" / "integers.safetensors")
    mapping = json.loads((tmp_path / "out" / "mapping.json").read_text())
    bits = additions(of.blueprint)[0].x_bits
    for node, kept in zip(additions(of.blueprint), mapping["residuals"], strict=True):
        assert kept == {
            "addition": node.name,
            "waits": node.inputs[1],
            "bits": bits,
            "signed": SIGNS[node.name],
            "step": float(tensors[f"{node.name}/x_step"]),
        }
        assert kept["step"] > 0
        row = f"| {node.name} | {node.inputs[1]} | {bits} | {'yes' if node.x_signed else 'no'} |"
        assert row in (tmp_path / "out" / "card.md").read_text()


def made(bits: int) -> Network:
    """Return a calibrated network of random weights."""
    candidate, draws = with_residual(bits), torch.Generator().manual_seed(3)
    parent = build(candidate.parent, None, generator=draws).eval()
    network = build(candidate.blueprint, hardware().macro, generator=draws)
    inherit(network, parent)
    network.calibrate(torch.randn(64, 1, 8, 8, generator=draws))
    return network.eval()


def images() -> Values:
    found: Values = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(4)).numpy()
    return found


def test_onnxruntime_computes_the_same(tmp_path: Path) -> None:
    network = made(3)
    write_onnx(network, tmp_path / "m.onnx")
    agree(run_onnx(tmp_path / "m.onnx", images()), network)
    graph = onnx.load(tmp_path / "m.onnx").graph
    for node in additions(network.blueprint):
        kinds = [n.op_type for n in graph.node if n.output[0].startswith(node.name)]
        assert kinds == ["Div", "Round", "Clip", "Mul", "Add"]


def test_the_executor_of_qonnx_computes_the_same(tmp_path: Path) -> None:
    network = made(3)
    write_qonnx(network, tmp_path / "m.onnx")
    agree(run_qonnx(tmp_path / "m.onnx", images()), network)
    graph = onnx.load(tmp_path / "m.onnx").graph
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for node, operand in zip(additions(network.blueprint), network.operands(), strict=True):
        (quant,) = (n for n in graph.node if n.output[0] == f"{node.name}/read")
        assert quant.op_type == "Quant"
        x, step, _, bits = quant.input
        assert x == node.inputs[1]
        assert constants[bits] == 3
        assert constants[step] == np.float32(operand.x_scale)
        (signed,) = (a.i for a in quant.attribute if a.name == "signed")
        assert bool(signed) == SIGNS[node.name]


def agree(found: Values, network: Network) -> None:
    wanted = logits_of(network, images())
    errors = np.abs(found - wanted).max(axis=1) / np.abs(wanted).max()
    # A value that ends otherwise in its last bit may get another code: in few images.
    assert (errors < 1e-5).mean() > 0.9
    # Without what quantises, all images would differ.
    words = np.abs(found - logits_of(made(0), images())).max(axis=1) / np.abs(wanted).max()
    assert (words > 1e-3).all()


def test_a_step_that_is_missing_is_told() -> None:
    network = made(4)
    tensors = network_tensors(network)
    again = rebuilt(network.blueprint, hardware().macro, tensors)
    assert [operand.x_scale for operand in again.operands()] == [
        float(np.float32(operand.x_scale)) for operand in network.operands()
    ]
    name = "stage1.block0.add/x_step"
    bare = {key: values for key, values in tensors.items() if key != name}
    with pytest.raises(ExportError, match=r"stage1\.block0\.add/x_step: missing"):
        rebuilt(network.blueprint, hardware().macro, bare)


def test_a_network_that_keeps_words_says_nothing_of_them() -> None:
    network = made(0)
    assert not any("add" in name for name in network_tensors(network))
