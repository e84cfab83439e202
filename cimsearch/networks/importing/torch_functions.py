"""The functions and methods of a traced torch module, each as what it is in a blueprint."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.networks.importing.outcomes import (
    Made,
    Outcome,
    Pair,
    added,
    averaged_to,
    clipped,
    convolution,
    normalised,
    pair,
    refused,
    reshaped,
)
from cimsearch.networks.importing.torch_operations import Call, pooled

_NORM = ("running_mean", "running_var", "weight", "bias")
_COMPUTED = refused("parameters that are computed", "are stored ones")


def _call_conv(call: Call) -> Outcome:
    given = call.named("weight", "bias", "stride", "padding", "dilation", "groups")
    tensors = _stored(call, given)
    if "weight" not in tensors:
        return _COMPUTED
    weight, dilation = tensors["weight"], pair(given.get("dilation", 1))
    made = Made(
        "conv",
        pair(weight.shape[2:]),
        pair(given.get("stride", 1)),
        given.get("groups", 1),
        tensors=tensors,
    )
    return convolution(made, _pads(given.get("padding", 0), weight, dilation), dilation)


def _pads(stated: Any, weight: Tensor, dilation: Pair) -> tuple[Pair, Pair]:
    """Return what a convolution puts before and behind, (vertical, horizontal) each."""
    if stated != "same":
        pads = pair(0 if stated == "valid" else stated)
        return pads, pads
    total = [step * (k - 1) for step, k in zip(dilation, weight.shape[2:], strict=True)]
    return pair([n // 2 for n in total]), pair([n - n // 2 for n in total])


def _call_linear(call: Call) -> Outcome:
    if len(call.given[0]) != 2:
        return refused(f"an input of {call.given[0][1:]}", "is a vector")
    tensors = _stored(call, call.named("weight", "bias"))
    return Made("linear", tensors=tensors) if "weight" in tensors else _COMPUTED


def _call_norm(call: Call) -> Outcome:
    given = call.named(*_NORM, "training", "momentum", "eps")
    if given.get("training"):
        return refused("training True", "is self.training")
    if len(call.given[0]) not in (2, 4):
        return refused(f"an input of {call.given[0][1:]}", "is a vector, or has height and width")
    stored = _stored(call, given)
    if not {"running_mean", "running_var"} <= set(stored):
        return _COMPUTED
    mean, var = stored["running_mean"], stored["running_var"]
    ends = {"weight": torch.ones_like(mean), "bias": torch.zeros_like(mean)}
    affine = {name: stored.get(name, end) for name, end in ends.items()}
    return normalised({**affine, "mean": mean, "var": var}, given.get("eps", 1e-5))


def _stored(call: Call, given: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return those of a layer's parameters that it has; none where one is computed."""
    if len(call.given) > 1:
        return {}
    tensors = {name: given.get(name) for name in _NORM}
    return {name: v.detach().clone() for name, v in tensors.items() if isinstance(v, Tensor)}


def _call_relu(_call: Call) -> Outcome:
    return Made("relu")


def _call_hard_sigmoid(_call: Call) -> Outcome:
    return Made("hard_sigmoid")


def _call_add(call: Call) -> Outcome:
    alpha = dict(call.kwargs or {}).get("alpha", 1)
    if alpha != 1:
        return refused(f"alpha {alpha}", "is 1")
    if len(call.given) == 1:
        terms = (*call.args, call.named("other").get("other"))
        stored = [torch.as_tensor(v) for v in terms if isinstance(v, Tensor | int | float)]
        return added(stored[0], call.given[0])
    first, second = (shape[1:] for shape in call.given)
    if first != second:
        return refused(f"{first} and {second}", "are two of one shape")
    return Made("add")


def _call_clip(call: Call) -> Outcome:
    ends = call.named("min", "max")
    return clipped(ends.get("min"), ends.get("max"))


def _call_hardtanh(call: Call) -> Outcome:
    ends = call.named("min_val", "max_val")
    return clipped(ends.get("min_val", -1.0), ends.get("max_val", 1.0))


def _call_relu6(_call: Call) -> Outcome:
    return clipped(0, 6)


def _call_max(call: Call) -> Outcome:
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    return pooled("max_pool2d", call.named(*names), call)


def _call_average(call: Call) -> Outcome:
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    return pooled("avg_pool2d", call.named(*names), call)


def _call_adaptive(call: Call) -> Outcome:
    return averaged_to(call.given[0], call.named("output_size")["output_size"])


def _call_reshape(call: Call) -> Outcome:
    return reshaped(call.given[0], call.out)


def _call_mean(call: Call) -> Outcome:
    dims, given = call.named("dim").get("dim", ()), call.given[0]
    places = {dim % len(given) for dim in (dims if isinstance(dims, tuple | list) else (dims,))}
    if len(given) != 4 or places != {2, 3}:
        return refused(f"a mean over {dims} of {given[1:]}", "is one over height and width (2, 3)")
    return averaged_to(call.given[0], 1)


def _call_dropout(call: Call) -> Outcome:
    drops = call.named("p", "training").get("training", True)
    return refused("training True", "is self.training") if drops else "same"


def _call_same(_call: Call) -> Outcome:
    return "same"


CALLS: Mapping[Any, Callable[[Call], Outcome]] = {
    functional.conv2d: _call_conv,
    functional.linear: _call_linear,
    functional.batch_norm: _call_norm,
    **dict.fromkeys((functional.relu, functional.relu_, torch.relu, torch.relu_), _call_relu),
    **dict.fromkeys(("relu", "relu_"), _call_relu),
    functional.relu6: _call_relu6,
    functional.hardtanh: _call_hardtanh,
    functional.hardsigmoid: _call_hard_sigmoid,
    **dict.fromkeys((torch.clamp, torch.clip, "clamp", "clamp_", "clip", "clip_"), _call_clip),
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _call_add),
    functional.max_pool2d: _call_max,
    functional.avg_pool2d: _call_average,
    functional.adaptive_avg_pool2d: _call_adaptive,
    **dict.fromkeys((torch.flatten, torch.reshape, "flatten", "view", "reshape"), _call_reshape),
    **dict.fromkeys((torch.squeeze, torch.unsqueeze, "squeeze", "unsqueeze"), _call_reshape),
    **dict.fromkeys((torch.mean, "mean"), _call_mean),
    **dict.fromkeys((functional.dropout, functional.dropout2d), _call_dropout),
    "contiguous": _call_same,
}
"""Functions, and names of methods."""
