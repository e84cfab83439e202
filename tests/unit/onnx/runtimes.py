"""Models run by onnxruntime and by QONNX's own executor. Neither has types."""

from importlib import import_module
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto

from tests.unit.onnx.networks import Values


def run_onnx(path: Path, images: Values, *, optimised: bool = True) -> Values:
    """Return the logits that onnxruntime gives, with its own optimisations or without any."""
    logits: Values = _session(onnx.load(path), optimised).run(["logits"], {"images": images})[0]
    return logits


def values_of(path: Path, names: list[str], images: Values) -> list[Values]:
    """Return values between operators as onnxruntime makes them."""
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    values: list[Values] = _session(model, optimised=True).run(names, {"images": images})
    return values


def _session(model: ModelProto, optimised: bool) -> Any:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return runtime.InferenceSession(model.SerializeToString(), options)


def qonnx_model(path: Path, batch: int) -> Any:
    """Return a model as QONNX has it: with a fixed batch, and shapes that it inferred itself."""
    names = ("core.modelwrapper", "transformation.change_batchsize", "transformation.infer_shapes")
    wrapper, batches, shapes = (import_module(f"qonnx.{name}") for name in names)
    model = wrapper.ModelWrapper(str(path)).transform(batches.ChangeBatchSize(batch))
    return model.transform(shapes.InferShapes())


def run_qonnx(path: Path, images: Values) -> Values:
    """Return the logits that QONNX's executor gives."""
    model = qonnx_model(path, len(images))
    executor = import_module("qonnx.core.onnx_exec")
    logits: Values = executor.execute_onnx(model, {"images": images})["logits"]
    return logits
