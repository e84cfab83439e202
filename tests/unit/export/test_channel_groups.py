"""Networks whose layers have groups of channels of different weight bits, delivered."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.run import evaluate
from cimsearch.export.files import ExportError
from cimsearch.export.integers import network_tensors, rebuilt
from cimsearch.export.onnx import write_onnx
from cimsearch.export.verify import verify_export
from cimsearch.networks import Network, build
from cimsearch.space import Candidate
from cimsearch.training.prune import inherit
from tests.unit.export.networks import DIGITAL_MACRO, exported, hardware, job
from tests.unit.export.test_roundtrip import LEARNED
from tests.unit.onnx.runtimes import run_onnx
from tests.unit.space.families import varied
from tests.unit.space.grouped import grouped, parts_of, with_share

SMALL: dict[str, Any] = {
    "input_shape": (1, 8, 8),
    "classes": 10,
    "stages": (
        {"width": (6,), "depth": (2,), "downsample": True},
        {"width": (12,), "depth": (1,), "downsample": True},
    ),
    "genes": {"weight_bits": (2, 3), "activation_bits": (3,), "prune_ratio": (0.0, 0.25)},
}
SPACE = grouped(varied("vgg_tiny", **SMALL))


def candidate(**values: Any) -> Candidate:
    return with_share(SPACE, 0.25, **({"weight_bits": 2, "high_bits": 6} | values))


def job_of(candidate: Candidate, on: Any, **changes: Any) -> Job:
    return job(on, blueprint=candidate.blueprint, parent=candidate.parent, **changes)


PER_COLUMN = {"bits": 4, "range_policy": "column"}
CASES: dict[str, Any] = {
    "exact": lambda: job_of(candidate(), hardware(weights={"encoding": "differential"})),
    "pruned, a range a column": lambda: job_of(
        candidate(prune_ratio=0.25),
        hardware(weights={"encoding": "differential_digital"}, adc=PER_COLUMN),
    ),
    "learned steps": lambda: job_of(
        candidate(),
        hardware(),
        recipe=LEARNED,
        rung={"epochs": 1, "train_level": "L1"},
        level="L1",
    ),
    "digital": lambda: job_of(candidate(), hardware(**DIGITAL_MACRO)),
    "layers share arrays": lambda: job_of(
        candidate(), hardware(system={"layers_per_array": "many"}), level="L0"
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_replayed_to_the_last_image(case: str, tmp_path: Path) -> None:
    of = CASES[case]()
    assert parts_of(of.blueprint)
    written = exported(of, tmp_path / "out")
    found = verify_export(tmp_path / "out")
    assert found.passed, found
    assert not written.notes
    assert written.scores.as_in_study
    assert all(each.agreed == each.images == 50 for each in found.agreements)
    tensors = load_file(tmp_path / "out" / "integers.safetensors")
    for low, high, joined in parts_of(of.blueprint):
        for name, bits in ((low, 2), (high, 6)):
            assert int(tensors[f"{name}/codes"].abs().max()) < 2 ** (bits - 1)
        assert float(tensors[f"{low}/x_step"]) == float(tensors[f"{high}/x_step"])
        assert sorted(tensors[f"{joined}/order"].tolist()) == list(
            range(of.blueprint.node(joined).out_shape[0])
        )


def test_an_order_that_has_a_channel_twice_is_refused() -> None:
    of = candidate()
    network = made(of)
    tensors = network_tensors(network)
    name = f"{parts_of(of.blueprint)[0][2]}/order"
    again = rebuilt(of.blueprint, hardware().macro, tensors)
    order = again.module(name.removesuffix("/order")).get_buffer("order")
    assert torch.equal(order, tensors[name])
    twice = tensors[name].clone()
    twice[0] = twice[1]
    with pytest.raises(ExportError, match=r"order: allowed is each of 6 channels once"):
        rebuilt(of.blueprint, hardware().macro, tensors | {name: twice})


def made(of: Candidate) -> Network:
    """Return a calibrated network of a candidate, of random weights."""
    generator = torch.Generator().manual_seed(3)
    parent = build(of.parent, None, generator=generator).eval()
    network = build(of.blueprint, hardware().macro, generator=generator)
    inherit(network, parent)
    network.calibrate(torch.rand(32, *SPACE.spec.input_shape, generator=generator))
    return network.eval()


def test_onnxruntime_computes_the_same(tmp_path: Path) -> None:
    network = made(candidate())
    orders = [network.module(name).get_buffer("order") for *_, name in parts_of(network.blueprint)]
    assert any(not torch.equal(order, torch.arange(len(order))) for order in orders)
    write_onnx(network, tmp_path / "m.onnx")
    images = torch.rand(64, *SPACE.spec.input_shape, generator=torch.Generator().manual_seed(4))
    network.set_mode("L0", ideal=True)
    with torch.no_grad():
        wanted = network(images).numpy()
    found = run_onnx(tmp_path / "m.onnx", images.numpy(), optimised=True)
    errors = np.abs(found - wanted).max(axis=1) / np.abs(wanted).max()
    # A value that ends otherwise in its last bit may get another code: in few images.
    assert (errors < 1e-5).mean() > 0.9


@pytest.mark.parametrize("level", ["L0", "L1", "L2"])
def test_trained_at_every_level_and_scored_at_the_exact_one(level: str) -> None:
    rung = {"epochs": 1, "train_level": level}
    score = evaluate(job_of(candidate(), hardware(), rung=rung))
    assert isinstance(score, Score)
    assert score.level == "L2"
    assert 0.2 < score.accuracy <= 1
    assert {f"{low}.high" for low, *_ in parts_of(candidate().blueprint)} < set(score.density_frac)
