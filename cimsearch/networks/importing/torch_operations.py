"""The operations of a traced torch module, each as what it is in a blueprint."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.networks.importing.outcomes import (
    Made,
    Outcome,
    Refused,
    added,
    averaged_to,
    clipped,
    convolution,
    normalised,
    pair,
    pooling,
    refused,
    reshaped,
)
from cimsearch.networks.importing.pieces import ALLOWED

_Parametrised = nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d

ImageShape = tuple[int, ...]
"""Of a tensor of a run: (images, ...)."""


@dataclass(frozen=True)
class Call:
    """A call in a traced module.

    Attributes:
        given: The shapes of the activations that it reads.
        out: The shape of its output.
        args: Its positional arguments, where there are activations too; what is stored is there
            as a tensor.
        kwargs: Its keyword arguments.
    """

    given: tuple[ImageShape, ...]
    out: ImageShape
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None

    def named(self, *names: str) -> dict[str, Any]:
        """Return the arguments behind the first, the activation, by name."""
        return dict(zip(names, self.args[1:], strict=False)) | dict(self.kwargs or {})


def _conv(module: nn.Conv2d, _call: Call) -> Outcome:
    # Left, right, top, bottom: what the convolution itself pads with.
    left, right, top, bottom = module._reversed_padding_repeated_twice
    if module.padding_mode != "zeros" and any((left, right, top, bottom)):
        return refused(f"padding_mode {module.padding_mode}", "is zeros")
    made = Made(
        "conv",
        pair(module.kernel_size),
        pair(module.stride),
        module.groups,
        tensors=_parameters(module),
    )
    return convolution(made, ((top, left), (bottom, right)), pair(module.dilation))


def _norm(module: nn.BatchNorm1d | nn.BatchNorm2d, _call: Call) -> Outcome:
    mean, var = module.running_mean, module.running_var
    if mean is None or var is None:
        return refused("track_running_stats False", "is True")
    ends = {"weight": torch.ones_like(mean), "bias": torch.zeros_like(mean)}
    affine = _parameters(module) if module.affine else ends
    return normalised({**affine, "mean": mean.clone(), "var": var.clone()}, module.eps)


def _norm_of_vectors(module: nn.BatchNorm1d, call: Call) -> Outcome:
    if len(call.given[0]) != 2:
        return refused(f"an input of {call.given[0][1:]}", "is a vector")
    return _norm(module, call)


def _linear(module: nn.Linear, call: Call) -> Outcome:
    if len(call.given[0]) != 2:
        return refused(f"an input of {call.given[0][1:]}", "is a vector")
    return Made("linear", tensors=_parameters(module))


def _parameters(module: _Parametrised) -> dict[str, Tensor]:
    tensors = {"weight": module.weight, "bias": module.bias}
    return {name: v.detach().clone() for name, v in tensors.items() if v is not None}


def _pool(module: nn.Module, call: Call) -> Outcome:
    op = "max_pool2d" if isinstance(module, nn.MaxPool2d) else "avg_pool2d"
    return _pooled(op, vars(module), call)


def _pooled(name: str, given: Mapping[str, Any], call: Call) -> Outcome:
    """Return a pooling with the arguments of torch's functions."""
    for extra in ("return_indices", "divisor_override"):
        if given.get(extra):
            return refused(f"{extra} {given[extra]}", "is none")
    kernel, pads = pair(given["kernel_size"]), pair(given.get("padding", 0))
    stride = pair(given.get("stride") or kernel)
    return pooling(
        Made("maxpool" if name == "max_pool2d" else "avgpool", kernel, stride),
        call.given[0],
        (pads, pads),
        ceil_mode=bool(given.get("ceil_mode", False)),
        dilation=pair(given.get("dilation", 1)),
    )


def _adaptive(module: nn.AdaptiveAvgPool2d, call: Call) -> Outcome:
    return averaged_to(call.given[0], module.output_size)


def _flatten(_module: nn.Flatten, call: Call) -> Outcome:
    return reshaped(call.given[0], call.out)


def _same(_module: nn.Module, _call: Call) -> Outcome:
    return "same"


def _relu(_module: nn.Module, _call: Call) -> Outcome:
    return Made("relu")


def _clip(module: nn.Hardtanh, _call: Call) -> Outcome:
    return clipped(module.min_val, module.max_val)


MODULES: Mapping[type[nn.Module], Callable[[Any, Call], Outcome]] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm_of_vectors,
    nn.ReLU: _relu,
    nn.ReLU6: _clip,
    nn.Hardtanh: _clip,
    nn.MaxPool2d: _pool,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool2d: _adaptive,
    nn.Linear: _linear,
    nn.Flatten: _flatten,
    nn.Dropout: _same,
    nn.Dropout2d: _same,
    nn.Identity: _same,
}


def _call_relu(_call: Call) -> Outcome:
    return Made("relu")


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
    return _pooled("max_pool2d", call.named(*names), call)


def _call_average(call: Call) -> Outcome:
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    return _pooled("avg_pool2d", call.named(*names), call)


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
    **dict.fromkeys((functional.relu, functional.relu_, torch.relu, torch.relu_), _call_relu),
    **dict.fromkeys(("relu", "relu_"), _call_relu),
    functional.relu6: _call_relu6,
    functional.hardtanh: _call_hardtanh,
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


def unknown(text: str) -> Refused:
    """Return that an operation is none of a blueprint, whatever its arguments."""
    return refused(text or "no arguments", ALLOWED)
