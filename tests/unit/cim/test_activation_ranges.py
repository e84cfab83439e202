"""Converters that compute an activation: where their ranges end, and what is lost by it."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cimsearch.blueprint import Node
from cimsearch.cim import CimLayer
from cimsearch.cim.activation_ranges import ExactNorm, ends_of
from cimsearch.cim.engine import exact
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.networks.converting import by_converters
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.losses import AdcOverflow, Losses
from cimsearch.training.losses.extra import ExtraLosses

from .activating import EVERY, candidate, machine, with_adc_bits

IMAGES = torch.randn(48, 1, 8, 8, generator=torch.Generator().manual_seed(2))
ENDS = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0), "hard_sigmoid": (-3.0, 3.0)}
named = pytest.mark.parametrize("activation", ENDS)


@torch.no_grad()
def made(activation: str, on: Hardware, adc_bits: int = 4) -> Network:
    """Return a calibrated network of random weights, its gains of either sign."""
    generator = torch.Generator().manual_seed(5)
    blueprint = with_adc_bits(candidate(activation, prune_ratio=0.75).blueprint, adc_bits)
    network = build(blueprint, on.macro, generator=generator)
    for node in blueprint.nodes:
        if node.op == "batchnorm":
            norm = network.module(node.name)
            shape = norm.get_parameter("weight").shape
            sign = torch.where(torch.rand(shape, generator=generator) < 0.3, -1.0, 1.0)
            norm.get_parameter("weight").copy_(
                sign * (0.5 + torch.rand(shape, generator=generator))
            )
            norm.get_parameter("bias").copy_(0.4 * torch.randn(shape, generator=generator))
    network.calibrate(IMAGES)
    network.set_mode("L1")
    recalibrate_norms(network, [IMAGES])
    return network


def computed(network: Network, on: Hardware) -> dict[str, tuple[CimLayer, ExactNorm]]:
    """Return the layers whose converters compute an activation, and their batch norms, by it."""
    found: dict[str, tuple[CimLayer, ExactNorm]] = {}
    for name, (layer, norm) in by_converters(network.blueprint, on.macro).items():
        first, second = network.module(layer.name), network.module(norm.name)
        assert isinstance(first, CimLayer)
        assert isinstance(second, ExactNorm)
        found[name] = first, second
    assert found
    return found


@torch.no_grad()
def ends_given(layer: CimLayer, norm: ExactNorm) -> Tensor:
    """Return what the batch norm makes of the first and the last code, (2, outputs)."""
    assert layer._ranges is not None
    lo, lsb = (torch.from_numpy(a[0, 0]) for a in (layer._ranges.lo, layer._ranges.lsb))
    top = 2**layer.numerics.adc_bits - 1
    _, _, scale = layer.codes_of(layer.weight)
    sums = torch.stack((lo, lo + top * lsb)).float() * scale.flatten() * layer.x_scale
    found: Tensor = norm(sums[:, :, None, None])
    return found.flatten(1)


@named
def test_ranges_end_where_the_activation_does(activation: str) -> None:
    """Where sums were beyond; at 0 within one partial sum. Gains are of either sign."""
    on = machine(*EVERY)
    network, signs, at_end = made(activation, on), set[float](), 0.0
    start, end = ENDS[activation]
    layers = computed(network, on).values()
    for layer, norm in layers:
        one = value_of_one(layer, norm)
        least, most = ends_given(layer, norm).sort(dim=0).values
        signs |= set(norm.weight.sign().tolist())
        assert bool((least >= start - 1.001 * one).all())
        assert bool((most <= end + 1.001 * one).all())
        if activation != "hard_sigmoid":
            at_end += float((least <= 1e-5).float().mean()) / len(layers)
    assert signs == {-1.0, 1.0}
    assert activation == "hard_sigmoid" or at_end > 0.8


def value_of_one(layer: CimLayer, norm: ExactNorm) -> Tensor:
    """Return what the batch norm makes of one partial sum more, (outputs,)."""
    _, _, scale = layer.codes_of(layer.weight.detach())
    spread = (norm.get_buffer("running_var") + norm.eps).sqrt()
    return scale.flatten() * layer.x_scale * norm.weight.abs().detach() / spread


@named
@torch.no_grad()
def test_the_activation_changes_less_than_a_partial_sum(activation: str) -> None:
    """Beside rounding, what the digital unit would make of a code is the code."""
    on = machine(*EVERY)
    network = made(activation, on)
    seen: dict[str, Tensor] = {}
    for _, norm in computed(network, on).values():
        norm.register_forward_hook(lambda m, _i, y: seen.__setitem__(str(id(m)), y))
    network.set_mode("L2")
    network.set_chip(0)
    network(IMAGES)
    start, end = ENDS[activation]
    for layer, norm in computed(network, on).values():
        y = seen[str(id(norm))]
        one = value_of_one(layer, norm).view(1, -1, 1, 1)
        assert bool(((y.clamp(start, end) - y).abs() <= 1.001 * one).all())


@named
@torch.no_grad()
def test_l1_is_l2_without_noise(activation: str) -> None:
    """Of ties between codes float32 may take another side: of a few sums, by one code."""
    on = machine(*EVERY)
    network = made(activation, on)
    layer, _ = next(iter(computed(network, on).values()))
    given: list[Tensor] = []
    layer.register_forward_pre_hook(lambda _m, inputs: given.append(inputs[0]))
    network(IMAGES)
    product, _, _ = layer.quantised(given[0], layer.weight)
    sums = []
    for level in ("L1", "L2"):
        network.set_mode(level)
        network.set_chip(0)
        sums.append(layer.convert(product) / product.by_channel)
    assert layer._ranges is not None
    step = torch.from_numpy(layer._ranges.lsb[0, 0]).float().view(1, -1, 1, 1)
    apart = (sums[0] - sums[1]).abs() / step
    assert float((apart > 1e-3).float().mean()) < 0.05
    assert bool((apart < 1.001).all())
    lo = torch.from_numpy(layer._ranges.lo[0, 0]).float().view(1, -1, 1, 1)
    for found in sums:
        codes = (found - lo) / step
        assert torch.allclose(codes, codes.round(), atol=1e-3)
        assert float(codes.min()) == pytest.approx(0, abs=1e-3)
        assert float(codes.max()) == pytest.approx(15, abs=1e-3)


@named
@pytest.mark.parametrize("adc_bits", [2, 3])
@torch.no_grad()
def test_all_codes_are_spent_on_what_is_kept(activation: str, adc_bits: int) -> None:
    """The error behind the activation is smaller than with a range of all sums a column."""
    errors = []
    for on in (machine(*EVERY), machine()):
        network = made(activation, on, adc_bits)
        layers = by_converters(network.blueprint, machine(*EVERY).macro)
        ideal, real = (_behind(network, layers, ideal=ideal) for ideal in (True, False))
        errors.append([float((real[name] - ideal[name]).square().mean()) for name in layers])
    first = [mine / theirs for mine, theirs in zip(*errors, strict=True)]
    # Of the first layer both have the same inputs.
    assert first[0] < (1.05 if activation == "hard_sigmoid" else 0.8)
    assert np.mean(first) < 1.05


def _behind(network: Network, activations: Iterable[str], *, ideal: bool) -> dict[str, Tensor]:
    """Return what activations get from their batch norms, cut off where they are flat."""
    found: dict[str, Tensor] = {}

    def keeping(node: Node) -> Callable[[nn.Module, object, Tensor], None]:
        start, end = ends_of(node)

        def keep(_module: nn.Module, _inputs: object, y: Tensor) -> None:
            found[node.name] = y.clamp(start, end)

        return keep

    nodes = [network.blueprint.node(name) for name in activations]
    hooks = [network.module(n.inputs[0]).register_forward_hook(keeping(n)) for n in nodes]
    network.set_mode("L1", ideal=ideal)
    network.set_chip(0)
    network(IMAGES)
    for hook in hooks:
        hook.remove()
    return found


def test_a_batch_norm_of_exact_sums_has_the_slopes_of_one() -> None:
    """Where converters lose nothing it is a batch norm, whose flat part has no slope."""
    generator = torch.Generator().manual_seed(1)
    own, plain = ExactNorm(5, (0.0, np.inf)), nn.BatchNorm2d(5)
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.copy_(torch.rand(5, generator=generator) - 0.3)
    plain.load_state_dict(own.state_dict())
    x = torch.randn(6, 5, 4, 4, generator=generator)
    weights = torch.randn(6, 5, 4, 4, generator=generator)
    results = []
    for norm in (own, plain):
        given = x.clone().requires_grad_()
        if isinstance(norm, ExactNorm):
            norm.tell(given.detach())
        y = norm(given)
        torch.autograd.backward((functional.relu(y) * weights).sum())
        assert given.grad is not None
        grads = [given.grad, *(p.grad for p in norm.parameters())]
        results.append([functional.relu(y.detach()), *grads, *norm.buffers()])
    for mine, theirs in zip(*results, strict=True):
        assert mine is not None
        assert theirs is not None
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_statistics_are_of_exact_sums_and_ranges_follow_them() -> None:
    on = machine(*EVERY)
    network = made("relu", on)
    recalibrate_norms(network, [IMAGES[:24] * 1.5, IMAGES[24:] * 1.5])
    layer, norm = next(iter(computed(network, on).values()))
    kept: list[Tensor] = []
    layer.register_forward_pre_hook(lambda _m, inputs: kept.append(inputs[0]))
    network(IMAGES * 1.5)
    sums = exact(layer.quantised(kept[0], layer.weight)[0])
    mean = sums.mean((0, 2, 3))
    assert torch.allclose(norm.get_buffer("running_mean"), mean, atol=0.02 * float(sums.std()))
    gone = ends_given(layer, norm).amin(dim=0)
    assert float((gone.abs() < 0.05).float().mean()) > 0.5
    before = layer._ranges
    norm.bias.add_(0.5)
    layer.settle()
    assert before is not None
    assert layer._ranges is not None
    moved = layer._ranges.lo != before.lo
    assert moved.mean() > 0.5
    assert np.array_equal(layer._ranges.lsb, before.lsb)
    assert float((ends_given(layer, norm).amin(dim=0).abs() < 0.05).float().mean()) > 0.4


@torch.no_grad()
def test_a_linear_layer_ends_at_its_bias() -> None:
    """Without a batch norm the zero of a ReLU is where the sum takes off the bias."""
    network = made("relu", machine(*EVERY))
    node = next(n for n in network.blueprint.nodes if n.op == "linear")
    relu = replace(network.blueprint.nodes[2], name="end", inputs=(node.name,))
    relu = replace(relu, in_shape=node.out_shape, out_shape=node.out_shape)
    on_arrays = replace(node, placement="cim", w_bits=4, x_bits=4)
    nodes = (*network.blueprint.nodes[:-1], on_arrays, relu)
    blueprint = replace(network.blueprint, nodes=nodes)
    found = build(blueprint, machine("relu").macro, generator=torch.Generator().manual_seed(5))
    layer = found.module(node.name)
    assert isinstance(layer, CimLayer)
    assert layer.bias is not None
    layer.bias.uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(1))
    found.calibrate(IMAGES)
    assert layer.activation_ranges is not None
    assert layer.activation_ranges.activation == "end"
    assert layer._ranges is not None
    _, _, scale = layer.codes_of(layer.weight)
    least = torch.from_numpy(layer._ranges.lo[0, 0]).float() * scale.flatten() * layer.x_scale
    one = scale.flatten() * layer.x_scale
    # Some have a bias that no sum gets over, or none gets below.
    ends = (least + layer.bias <= 1e-5) & (least + layer.bias >= -1.001 * one)
    assert float(ends.float().mean()) >= 0.5


def test_nothing_is_learned_of_such_ranges() -> None:
    on = machine("relu")
    network = made("relu", on)
    layers = {layer.name for layer, _ in computed(network, on).values()}
    for layer in network.cim_layers():
        layer.learn_ranges()
        learns = layer.numerics.analog and layer.name not in layers
        assert (layer.learned_ranges is not None) == learns


def test_one_value_has_no_statistics() -> None:
    """As of a batch norm of torch's: it would be divided by none."""
    one = torch.ones(1, 3, 1, 1)
    norm = ExactNorm(3, (0.0, np.inf))
    norm.tell(one)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(one)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm.measure(one)
    assert torch.equal(norm.get_buffer("running_var"), torch.ones(3))


def test_what_is_cut_off_on_purpose_is_no_overflow() -> None:
    """The loss leaves layers out whose converters compute an activation, and only these."""
    losses = Losses(adc_overflow=AdcOverflow(weight=1.0))
    loss, classes = functional.cross_entropy, torch.zeros(len(IMAGES), dtype=torch.long)
    for on, counted in ((machine(*EVERY), False), (machine(), True)):
        network = made("relu", on).train()
        extra = ExtraLosses(network, losses)
        logits = network(IMAGES)
        own = loss(logits, classes)
        whole = extra.beside(lambda y, _, c: loss(y, c))(logits, IMAGES, classes)
        assert (float(whole.detach()) > float(own.detach())) is counted
        extra.clear()


def test_macros_without_it_are_as_they_were() -> None:
    network = made("relu", machine())
    assert not any(isinstance(module, ExactNorm) for module in network.modules())
    assert all(layer.activation_ranges is None for layer in network.cim_layers())
