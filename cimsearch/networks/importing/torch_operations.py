"""The modules of a traced torch module, each as what it is in a blueprint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from cimsearch.networks.importing.outcomes import (
    Made,
    Outcome,
    Refused,
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
from cimsearch.networks.importing.tracing import ImageShape

_Parametrised = nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d


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
    return pooled(op, vars(module), call)


def pooled(name: str, given: Mapping[str, Any], call: Call) -> Outcome:
    """Return a pooling with the arguments of torch's functions, by name."""
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


def _hard_sigmoid(_module: nn.Hardsigmoid, _call: Call) -> Outcome:
    return Made("hard_sigmoid")


def _clip(module: nn.Hardtanh, _call: Call) -> Outcome:
    return clipped(module.min_val, module.max_val)


MODULES: Mapping[type[nn.Module], Callable[[Any, Call], Outcome]] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm_of_vectors,
    nn.ReLU: _relu,
    nn.ReLU6: _clip,
    nn.Hardtanh: _clip,
    nn.Hardsigmoid: _hard_sigmoid,
    nn.MaxPool2d: _pool,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool2d: _adaptive,
    nn.Linear: _linear,
    nn.Flatten: _flatten,
    nn.Dropout: _same,
    nn.Dropout2d: _same,
    nn.Identity: _same,
}


def of_module(module: nn.Module, call: Call) -> Outcome:
    """Return what a module is; one with parametrisations has the weights that these give."""
    kind = type(module)
    reader = MODULES.get(kind.__mro__[1] if is_parametrized(module) else kind)
    if reader:
        return reader(module, call)
    for known in MODULES:
        if isinstance(module, known):
            return refused(f"a {kind.__module__}.{kind.__name__}", f"is {known.__name__} itself")
    return unknown(module.extra_repr())


def unknown(text: str) -> Refused:
    """Return that an operation is none of a blueprint, whatever its arguments."""
    return refused(text or "no arguments", ALLOWED)
