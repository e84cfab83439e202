"""Written models compute what networks compute with ideal converters and without noise.

Layers agree to the bit (``test_layers``). Batch norms and average pooling are of float32 and end
otherwise in the last bit: where a value then lies on the other side of a tie, the next layer reads
another code. That is one value in a million.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from cimsearch.cim import CimLayer
from cimsearch.cim.quantise import activation_codes
from cimsearch.export.onnx import write_onnx, write_qonnx
from cimsearch.networks import Network
from tests.unit.onnx.networks import Values, grouped_network, logits_of, validation
from tests.unit.onnx.runtimes import run_onnx, run_qonnx, values_of

ALL = ["float", "vgg", "learned", "resnet", "hard sigmoids"]

# Largest errors, as shares of the largest logit: of rounding float32, and of another code.
ROUNDING = 1e-5
ANOTHER_CODE = 0.1
# Images in which any value may get another code.
MOVED_FRAC = 0.03


def agree(found: Values, wanted: Values) -> None:
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    errors = np.abs(found - wanted).max(axis=1) / np.abs(wanted).max()
    same = errors <= ROUNDING
    assert same.mean() >= 1 - MOVED_FRAC
    assert errors.max() <= ANOTHER_CODE
    assert np.array_equal(found[same].argmax(axis=1), wanted[same].argmax(axis=1))


@pytest.mark.parametrize("optimised", [True, False])
@pytest.mark.parametrize("name", ALL)
def test_onnxruntime_agrees(
    networks: dict[str, Network], tmp_path: Path, name: str, optimised: bool
) -> None:
    images = validation()
    write_onnx(networks[name], tmp_path / "m.onnx")
    found = run_onnx(tmp_path / "m.onnx", images, optimised=optimised)
    agree(found, logits_of(networks[name], images))


@pytest.mark.parametrize("name", ALL)
def test_the_executor_of_qonnx_agrees(
    networks: dict[str, Network], tmp_path: Path, name: str
) -> None:
    images = validation()
    write_qonnx(networks[name], tmp_path / "m.onnx")
    agree(run_qonnx(tmp_path / "m.onnx", images), logits_of(networks[name], images))


def test_the_float_parent_agrees_at_every_image(
    networks: dict[str, Network], tmp_path: Path
) -> None:
    images, wanted = validation(), logits_of(networks["float"], validation())
    write_onnx(networks["float"], tmp_path / "m.onnx")
    found = run_onnx(tmp_path / "m.onnx", images)
    assert np.allclose(found, wanted, rtol=0, atol=ROUNDING * np.abs(wanted).max())


def test_grouped_and_depthwise_layers_agree(tmp_path: Path) -> None:
    network, images = grouped_network()
    wanted = logits_of(network, images)
    write_onnx(network, tmp_path / "m.onnx")
    write_qonnx(network, tmp_path / "q.onnx")
    agree(run_onnx(tmp_path / "m.onnx", images), wanted)
    agree(run_qonnx(tmp_path / "q.onnx", images), wanted)


@torch.no_grad()
def test_codes_of_every_layer_are_those_of_the_network(
    networks: dict[str, Network], tmp_path: Path
) -> None:
    network, images = networks["resnet"], validation()
    wanted = {}

    def keep(layer: CimLayer, inputs: tuple[torch.Tensor, ...]) -> None:
        codes = activation_codes(inputs[0], layer.x_scale, layer.numerics.x_limits)
        wanted[layer.name] = codes.numpy()

    hooks = [layer.register_forward_pre_hook(keep) for layer in network.cim_layers()]
    logits_of(network, images)
    for hook in hooks:
        hook.remove()
    write_onnx(network, tmp_path / "m.onnx")
    names = [f"{name}/{part}" for name in wanted for part in ("codes", "sums")]
    found = dict(zip(names, values_of(tmp_path / "m.onnx", names, images), strict=True))
    for name, codes in wanted.items():
        moved = (found[f"{name}/codes"] != codes).any(axis=(1, 2, 3))
        assert moved.mean() <= MOVED_FRAC
        sums = found[f"{name}/sums"]
        assert np.array_equal(sums, sums.round())
        assert 0 < np.abs(sums).max() < 2**24


@pytest.mark.parametrize("count", [1, 5])
def test_the_size_of_a_batch_is_free(
    networks: dict[str, Network], tmp_path: Path, count: int
) -> None:
    images = validation()[:count]
    write_onnx(networks["vgg"], tmp_path / "m.onnx")
    assert run_onnx(tmp_path / "m.onnx", images).shape == (count, 10)
