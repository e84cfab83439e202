"""Converting an ordinary torch model: its convolutions and linear layers onto arrays."""

import copy
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from cimsearch.blueprint import Blueprint, Node, Op
from cimsearch.cim.converted import ConvertedModel
from cimsearch.cim.converted_layer import ConvertedLayer, Padding
from cimsearch.cim.node_numerics import numerics_of
from cimsearch.cost.demand import demand_of
from cimsearch.cost.given import check_hardware
from cimsearch.errors import HardwareError, UsageError
from cimsearch.layer_table import layer_table
from cimsearch.seeds import torch_seed
from cimsearch.spec.hardware import Hardware

# They multiply by weights in ways that no array of this model does, or read their parts' weights.
_UNSUPPORTED = (
    nn.Conv1d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Bilinear,
    nn.MultiheadAttention,
    nn.TransformerEncoderLayer,
    nn.RNNBase,
    nn.RNNCellBase,
)

Weighing = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class LayerBits:
    """Bits of one layer; None is what the whole model has.

    Attributes:
        weight_bits: Of its weights.
        activation_bits: Of its inputs.
        adc_bits: Of its converters.
    """

    weight_bits: int | None = None
    activation_bits: int | None = None
    adc_bits: int | None = None


def convert(
    model: nn.Module,
    hardware: Hardware,
    bits: int = 8,
    *,
    activation_bits: int | None = None,
    adc_bits: int | None = None,
    skip: Collection[str] = (),
    overrides: Mapping[str, LayerBits] | None = None,
    seed: int = 0,
) -> ConvertedModel:
    """Return a copy of ``model`` whose convolutions and linear layers run on ``hardware``.

    Weights and biases are copied; batch norms, activations and all else stay as they are. The
    copy has to be calibrated before it runs.

    Args:
        model: Any model of ``nn.Conv2d`` and ``nn.Linear`` in float32 on the processor.
        hardware: From ``load_hardware``.
        bits: Of the weights.
        activation_bits: Of the layers' inputs; as many as ``bits`` if left out.
        adc_bits: Of the converters; the macro's own if left out.
        skip: Module paths that stay in float, with all that is below them.
        overrides: Bits of single layers by module path.
        seed: Of the noise in training.

    Raises:
        UsageError: A module cannot be converted, or a path names none that can.
        HardwareError: A layer asks what the hardware cannot do.
    """
    check_hardware(hardware)
    if not isinstance(model, nn.Module):
        raise UsageError(f"model: found {type(model).__name__}; allowed is a torch.nn.Module")
    skip, overrides = tuple(skip), overrides or {}
    found = list(_to_convert(model, skip))
    _check_names(model, skip, overrides, [name for name, _ in found])
    for name, values in model.state_dict().items():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise UsageError(f"{name}: found NaN or infinity")
    general = LayerBits(bits, bits if activation_bits is None else activation_bits, adc_bits)
    generator = torch.Generator().manual_seed(torch_seed("convert", seed))
    layers: dict[str, ConvertedLayer] = {}
    made: dict[nn.Module, ConvertedLayer] = {}
    for name, module in found:
        if module not in made:
            node = _node(name, module, _merged(general, overrides.get(name)))
            _check(node, hardware)
            made[module] = layers[name] = _layer(node, module, hardware, generator)
    copied = copy.deepcopy(model)
    for name, module in found:
        copied = _replaced(copied, name, made[module])
    return ConvertedModel(copied, hardware, layers, skip=skip, generator=generator)


def _to_convert(model: nn.Module, skip: tuple[str, ...]) -> Iterator[tuple[str, Weighing]]:
    """Yield the modules to replace, after a check of each."""
    for name, module in model.named_modules(remove_duplicate=False):
        if any(name == path or name.startswith(f"{path}.") for path in skip):
            continue
        problem = _problem(module)
        if problem:
            raise UsageError(
                f"{name or type(module).__name__}: {problem}",
                f'leave it in float: skip=("{name}",)' if name else "",
            )
        if isinstance(module, Weighing):
            yield name, module


def _problem(module: nn.Module) -> str:
    """Return why a module cannot be converted; empty if it can, or need not."""
    kind = type(module)
    if isinstance(module, LazyModuleMixin):
        return "has no shape before its first call"
    if isinstance(module, _UNSUPPORTED):
        return f"found {kind.__name__}; allowed are Conv2d and Linear"
    if kind.__module__.startswith(("torch.ao.", "torch.nn.quantized")):
        return f"found {kind.__name__}, which is quantised; allowed is the float model"
    if not isinstance(module, Weighing):
        return ""
    if kind not in (nn.Conv2d, nn.Linear):
        return f"found {kind.__name__}; allowed are Conv2d and Linear themselves"
    if "weight" not in module._parameters or module._forward_hooks or module._forward_pre_hooks:
        return "has hooks or a computed weight, which a conversion would lose"
    weight = module.weight
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return f"found {weight.dtype} on {weight.device}; allowed is torch.float32 on cpu"
    return _problem_of_convolution(module) if isinstance(module, nn.Conv2d) else ""


def _problem_of_convolution(module: nn.Conv2d) -> str:
    if module.dilation != (1, 1):
        return f"dilation: found {module.dilation}; allowed is (1, 1)"
    if module.in_channels % module.groups or module.out_channels % module.groups:
        return (
            f"groups: found {module.groups}; allowed is a divisor of {module.in_channels} and "
            f"{module.out_channels} channels"
        )
    return ""


def _check_names(
    model: nn.Module, skip: tuple[str, ...], overrides: Mapping[str, LayerBits], found: list[str]
) -> None:
    known = {name for name, _ in model.named_modules(remove_duplicate=False)}
    for name in skip:
        if name not in known:
            raise UsageError(f"skip: found {name!r}; allowed are the model's module paths")
    if not found:
        raise UsageError("model: found no Conv2d or Linear to convert")
    for name in overrides:
        if name not in found:
            raise UsageError(f"overrides: found {name!r}; allowed are {', '.join(found)}")


def _merged(general: LayerBits, own: LayerBits | None) -> LayerBits:
    if own is None:
        return general
    return LayerBits(
        general.weight_bits if own.weight_bits is None else own.weight_bits,
        general.activation_bits if own.activation_bits is None else own.activation_bits,
        general.adc_bits if own.adc_bits is None else own.adc_bits,
    )


def _node(name: str, module: Weighing, bits: LayerBits) -> Node:
    """Return a layer as a node of one output position: what its arrays depend on."""
    w_bits = _whole(name, "weight_bits", bits.weight_bits, least=2)
    x_bits = _whole(name, "activation_bits", bits.activation_bits)
    adc_bits = 0 if bits.adc_bits is None else _whole(name, "adc_bits", bits.adc_bits)
    op: Op = "linear"
    outputs, rows = module.weight.shape[:2]
    kernel, stride, groups = (1, 1), (1, 1), 1
    if isinstance(module, nn.Conv2d):
        op, groups = "conv", module.groups
        (height, width), (down, right) = module.kernel_size, module.stride
        kernel, stride = (height, width), (down, right)
    return Node(
        name, op, ("input",), (rows * groups, 1, 1), (outputs, 1, 1),
        kernel=kernel, stride=stride, groups=groups,
        placement="cim", w_bits=w_bits, x_bits=x_bits, adc_bits=adc_bits,
    )  # fmt: skip


def _whole(name: str, what: str, bits: object, *, least: int = 1) -> int:
    if isinstance(bits, int) and not isinstance(bits, bool) and least <= bits <= 16:
        return bits
    raise HardwareError(f"{name}: {what}: found {bits!r}; allowed is {least} to 16")


def _check(node: Node, hardware: Hardware) -> None:
    """Check that the hardware can do what a layer asks, as its price does."""
    table = layer_table([Blueprint(node.in_shape, node.out_shape[0], (node,))])
    demand_of(table, hardware, lambda *_: node.name)


def _padding(module: Weighing) -> Padding:
    if not isinstance(module, nn.Conv2d):
        return Padding()
    # Left, right, top, bottom: what the convolution itself pads with, in all its modes.
    left, right, top, bottom = module._reversed_padding_repeated_twice
    if module.padding_mode != "zeros":
        return Padding((0, 0), (left, right, top, bottom), module.padding_mode)
    if (left, top) != (right, bottom):
        return Padding((0, 0), (left, right, top, bottom))
    return Padding((top, left))


def _layer(
    node: Node,
    module: Weighing,
    hardware: Hardware,
    generator: torch.Generator,
) -> ConvertedLayer:
    numerics = numerics_of(node, hardware.macro)
    if numerics is None:
        raise HardwareError(f"{node.name}: found a float layer")
    padding = _padding(module)
    layer = ConvertedLayer(node, numerics, generator=generator, padding=padding)
    with torch.no_grad():
        layer.weight.copy_(module.weight.view(layer.weight.shape))
    layer.weight.requires_grad_(module.weight.requires_grad)
    bias = module.bias
    layer.bias = None if bias is None else nn.Parameter(bias.detach().clone(), bias.requires_grad)
    return layer.train(module.training)


def _replaced(model: nn.Module, name: str, layer: ConvertedLayer) -> nn.Module:
    """Return the model with the module at ``name`` replaced; the layer itself if it is all."""
    if not name:
        return layer
    model.set_submodule(name, layer)
    return model
