"""The operations of an ONNX graph, each as what it is in a blueprint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isclose, prod
from typing import Any

from torch import Tensor

from cimsearch.networks.importing.outcomes import (
    Made,
    Outcome,
    Pair,
    Refused,
    added,
    averaged_to,
    clipped,
    convolution,
    normalised,
    of_vectors,
    pair,
    pooling,
    refused,
    reshaped,
)

Sizes = tuple[int, ...]
"""The shape of a value: (images, ...)."""


@dataclass(frozen=True)
class Call:
    """A node of an ONNX graph.

    Attributes:
        op: Its operator.
        attributes: By name.
        given: The shapes of the activations that it reads.
        out: The shape of its output, if it is known.
        constants: The tensors that it reads, by the place of the input.
    """

    op: str
    attributes: Mapping[str, Any]
    given: tuple[Sizes, ...]
    out: Sizes
    constants: Mapping[int, Tensor]

    def whole(self, name: str, default: int) -> int:
        """Return an attribute that is a whole number."""
        return int(self.attributes.get(name, default))


def _odd_windows(call: Call) -> Refused | None:
    """Return why the windows of a convolution or pooling are not of height and width."""
    if len(call.given[0]) != 4:
        return of_vectors(call.given[0])
    sides = {"kernel_shape": 2, "strides": 2, "dilations": 2, "pads": 4}
    odd = [name for name, n in sides.items() if len(call.attributes.get(name, n * (1,))) != n]
    if odd:
        found = ", ".join(f"{name} {list(call.attributes[name])}" for name in odd)
        return refused(found, "are numbers for height and width")
    return None


def _pads(call: Call) -> tuple[Pair, Pair]:
    """Return what is put before and behind, (vertical, horizontal) each.

    SAME is as much as keeps the size, divided by the stride and rounded up.
    """
    how = call.attributes.get("auto_pad", b"NOTSET").decode(errors="replace")
    if not how.startswith("SAME"):
        stated = (0, 0, 0, 0) if how == "VALID" else call.attributes.get("pads", (0, 0, 0, 0))
        return pair(stated[:2]), pair(stated[2:])
    kernel = call.attributes.get("kernel_shape") or call.constants[1].shape[2:]
    stride = call.attributes.get("strides", (1, 1))
    total = [
        max(0, (-(-size // step) - 1) * step + k - size)
        for size, step, k in zip(call.given[0][2:], stride, kernel, strict=True)
    ]
    less, more = pair([n // 2 for n in total]), pair([n - n // 2 for n in total])
    return (less, more) if how == "SAME_UPPER" else (more, less)


def _conv(call: Call) -> Outcome:
    weight = call.constants.get(1)
    if weight is None or weight.dim() != 4:
        return refused("weights that are computed, or not of 2 dimensions", "are stored ones")
    if odd := _odd_windows(call):
        return odd
    kernel, stride = pair(weight.shape[2:]), pair(call.attributes.get("strides", 1))
    bias = call.constants.get(2)
    tensors = {"weight": weight} | ({} if bias is None else {"bias": bias})
    made = Made("conv", kernel, stride, call.whole("group", 1), tensors=tensors)
    return convolution(made, _pads(call), pair(call.attributes.get("dilations", 1)))


def _norm(call: Call) -> Outcome:
    if call.whole("training_mode", 0):
        return refused("training_mode 1", "is 0")
    names = dict(enumerate(("weight", "bias", "mean", "var"), start=1))
    if not set(names) <= set(call.constants):
        return refused("parameters that are computed", "are stored ones")
    tensors = {name: call.constants[place] for place, name in names.items()}
    return normalised(tensors, float(call.attributes.get("epsilon", 1e-5)))


def _pool(call: Call) -> Outcome:
    if odd := _odd_windows(call):
        return odd
    kernel = pair(call.attributes["kernel_shape"])
    stride = pair(call.attributes.get("strides", 1))
    return pooling(
        Made("maxpool" if call.op == "MaxPool" else "avgpool", kernel, stride),
        call.given[0],
        _pads(call),
        ceil_mode=bool(call.whole("ceil_mode", 0)),
        dilation=pair(call.attributes.get("dilations", 1)),
    )


def _global(call: Call) -> Outcome:
    return averaged_to(call.given[0], 1)


def _mean(call: Call) -> Outcome:
    axes = call.attributes.get("axes", call.constants[1].tolist() if 1 in call.constants else ())
    if len(call.given[0]) != 4 or {axis % 4 for axis in axes} != {2, 3}:
        found = f"a mean over {list(axes)} of {call.given[0][1:]}"
        return refused(found, "is one over height and width (2, 3)")
    return averaged_to(call.given[0], 1)


def _add(call: Call) -> Outcome:
    if len(call.given) != 2:
        stored = list(call.constants.values())
        if not stored:
            return refused("a term that is computed of no activation", "is one, or stored numbers")
        return added(stored[0], call.given[0])
    first, second = (shape[1:] for shape in call.given)
    return Made("add") if first == second else refused(f"{first} and {second}", "is one shape")


def _flatten(call: Call) -> Outcome:
    axis, given = call.whole("axis", 1), call.given[0]
    axis = axis % len(given) if axis < 0 else axis
    return reshaped(given, (prod(given[:axis]), prod(given[axis:])))


def _reshape(call: Call) -> Outcome:
    return reshaped(call.given[0], call.out)


def _gemm(call: Call) -> Outcome:
    weight, bias = call.constants.get(1), call.constants.get(2)
    odd = {name: call.attributes.get(name, 1.0) for name in ("alpha", "beta")}
    odd = {name: value for name, value in odd.items() if value != 1.0}
    if odd or call.whole("transA", 0):
        return refused(f"{odd or 'transA 1'}", "are alpha 1, beta 1 and transA 0")
    if weight is None or len(call.given) != 1:
        return refused("weights that are computed", "are stored ones")
    weight = weight if call.whole("transB", 0) else weight.t()
    return _linear(weight, bias)


def _matmul(call: Call) -> Outcome:
    weight = call.constants.get(1)
    if weight is None or weight.dim() != 2 or len(call.given[0]) != 2:
        return refused("a product that is of no vector and stored weights", "is a linear layer")
    return _linear(weight.t(), None)


def _linear(weight: Tensor, bias: Tensor | None) -> Outcome:
    """Return a linear layer with ``weight`` (outputs, inputs) and a bias that spreads to it."""
    if bias is None:
        return Made("linear", tensors={"weight": weight.contiguous()})
    if bias.numel() not in (1, len(weight)):
        found = f"a bias of shape {tuple(bias.shape)}"
        return refused(found, f"are {len(weight)} numbers, one an output")
    spread = bias.flatten().expand(len(weight)).clone()
    return Made("linear", tensors={"weight": weight.contiguous(), "bias": spread})


def _relu(_call: Call) -> Outcome:
    return Made("relu")


def _hard_sigmoid(call: Call) -> Outcome:
    alpha = float(call.attributes.get("alpha", 0.2))
    beta = float(call.attributes.get("beta", 0.5))
    # Attributes are of float32: the nearest to 1/6 is not it.
    if not isclose(alpha, 1 / 6, rel_tol=1e-6) or beta != 0.5:
        return refused(f"alpha {alpha:.6g} and beta {beta:.6g}", "are alpha 1/6 and beta 0.5")
    return Made("hard_sigmoid")


def _clip(call: Call) -> Outcome:
    # They were attributes before they became inputs.
    several = [tuple(values.shape) for values in call.constants.values() if values.numel() != 1]
    if several:
        return refused(f"an end of shape {several[0]}", "is one number")
    stored = {place: values.item() for place, values in call.constants.items()}
    least, most = (call.attributes.get(name) for name in ("min", "max"))
    return clipped(stored.get(1, least), stored.get(2, most))


def _same(_call: Call) -> Outcome:
    return "same"


OPERATIONS: Mapping[str, Callable[[Call], Outcome]] = {
    "Conv": _conv,
    "BatchNormalization": _norm,
    "Relu": _relu,
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global,
    "ReduceMean": _mean,
    "Add": _add,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Identity": _same,
    "Dropout": _same,
}
