"""L2: a layer computes the exact function of its crossbar, and no call more than is priced."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cim import Mode
from cimsearch.cim.bitserial import counts
from cimsearch.cim.converter import Ranges, full_scale_ranges
from cimsearch.cim.level2 import Chip, ideal_cells, level2, pack_layer
from cimsearch.cim.node_numerics import numerics_of
from cimsearch.cim.noise import NoiseStream
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cost import estimate_table
from cimsearch.cost.mapping import Mapping
from cimsearch.layer_table import layer_table
from cimsearch.search.baselines import uniform_candidate
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec

from .builders import (
    analog,
    calibrate,
    codes,
    generator,
    layer,
    numerics_strategy,
    oracle,
    product,
)

STREAM = NoiseStream(generator())


def conv_node(**changes: Any) -> Node:
    shape: dict[str, Any] = {"in_shape": (4, 6, 6), "out_shape": (6, 6, 6), "kernel": (3, 3)}
    return Node("conv", "conv", ("input",), **(shape | changes), placement="cim")


def linear_node(rows: int, outputs: int) -> Node:
    return Node("fc", "linear", ("input",), (rows, 1, 1), (outputs, 1, 1), placement="cim")


@settings(deadline=None, max_examples=60)
@given(numerics_strategy(), st.integers(1, 60), st.sampled_from(["full_scale", "layer", "column"]))
@torch.no_grad()
def test_a_linear_layer_is_the_oracle(numerics: LayerNumerics, rows: int, policy: Any) -> None:
    numerics = replace(numerics, range_policy=policy)
    built = layer(linear_node(rows, 5), numerics)
    calibrate(built, torch.rand(40, rows, 1, 1, generator=generator(3)))
    ranges = built._ranges
    assert ranges is not None
    x, w = codes(numerics, rows, 5, 7)
    one = product(built, x, w)
    packed = pack_layer(Chip(ideal_cells(one.w, numerics)), numerics, one.geometry, ranges)
    found = level2(one, packed, STREAM.next(len(x)))
    wanted = oracle(x, w, numerics, adc_lo=ranges.lo, adc_lsb=ranges.lsb)
    np.testing.assert_array_equal(found[:, :, 0, 0].double().numpy(), wanted.astype(np.float32))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("policy", ["full_scale", "layer", "column"])
@torch.no_grad()
def test_a_convolution_is_the_oracle_at_every_position(
    groups: int, stride: int, policy: Any
) -> None:
    side = 6 // stride
    node = conv_node(groups=groups, stride=(stride, stride), out_shape=(6, side, side))
    numerics = analog("offset", rows=12, active_rows=5, adc_bits=3, range_policy=policy)
    built = layer(node, numerics)
    x = torch.rand(4, 4, 6, 6, generator=generator(2))
    calibrate(built, x)
    built.mode = Mode("L2", noise_scale=0.0)
    one, _, _ = built.quantised(x, built.weight)
    found = built(x) / one.by_channel
    ranges = built._ranges
    assert ranges is not None
    windows = functional.unfold(one.x, (3, 3), padding=1, stride=stride)
    for group in range(groups):
        rows, outputs = windows.shape[1] // groups, 6 // groups
        part = windows[:, group * rows : (group + 1) * rows].transpose(1, 2).reshape(-1, rows)
        w = one.w[group * outputs : (group + 1) * outputs].reshape(outputs, -1).T
        settings_: dict[str, Any] = {
            name: values
            if values.shape[2] == 1
            else values[:, :, group * outputs :][:, :, :outputs]
            for name, values in (("adc_lo", ranges.lo), ("adc_lsb", ranges.lsb))
        }
        integers = (part.numpy().astype(np.int64), w.numpy().astype(np.int64))
        wanted = oracle(*integers, numerics, **settings_)
        got = found[:, group * outputs : (group + 1) * outputs].permute(0, 2, 3, 1)
        np.testing.assert_allclose(got.reshape(-1, outputs).numpy(), wanted, rtol=1e-5, atol=1e-3)


def ready(numerics: LayerNumerics) -> tuple[Any, torch.Tensor]:
    built = layer(conv_node(), numerics)
    x = torch.rand(8, 4, 6, 6, generator=generator(4))
    calibrate(built, x)
    return built, x


@torch.no_grad()
def test_an_ideal_converter_makes_all_levels_equal() -> None:
    built, x = ready(analog("twos_complement", rows=64, active_rows=64, adc_bits=16))
    outputs = []
    for mode in (Mode(ideal=True), Mode("L1", noise_scale=0.0), Mode("L2", noise_scale=0.0)):
        built.mode = mode
        outputs.append(built(x))
    for output in outputs[1:]:
        assert torch.allclose(output, outputs[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "encoding", ["offset", "twos_complement", "differential", "differential_digital"]
)
@torch.no_grad()
def test_a_chip_is_the_same_chip_at_every_level(encoding: Any) -> None:
    """With fine converters the cells' errors alone are left: one draw makes them all."""
    numerics = analog(encoding, rows=64, active_rows=64, adc_bits=16, cell_sigma_frac=0.05)
    built, x = ready(numerics)
    built.set_chip(3)
    outputs = []
    for mode in (Mode(ideal=True), Mode("L0"), Mode("L1"), Mode("L2")):
        built.mode = mode
        outputs.append(built(x))
    ideal, *levels = outputs
    error = float((levels[2] - ideal).std())
    assert error > 0
    for output in levels[:2]:
        # What is left: at L2 errors that take a sum below the range are cut off.
        assert float((output - levels[2]).std()) < 0.5 * error


@torch.no_grad()
def test_a_chip_does_not_depend_on_the_batch() -> None:
    built, x = ready(analog("offset", rows=20, active_rows=10, adc_bits=4, cell_sigma_frac=0.05))
    built.mode = Mode("L2")
    built.set_chip(1)
    whole = built(x)
    parts = torch.cat([built(part) for part in torch.split(x, 3)])
    assert torch.allclose(whole, parts, rtol=1e-6, atol=1e-6)


def test_gradients_pass_straight_through() -> None:
    built, x = ready(analog("offset", rows=20, active_rows=10, adc_bits=4))
    grads = []
    for mode in (Mode(ideal=True), Mode("L2", noise_scale=0.0)):
        built.mode = mode
        built.weight.grad = None
        torch.autograd.backward(built(x).square().sum() * 0 + built(x).sum())
        assert built.weight.grad is not None
        grads.append(built.weight.grad.clone())
    assert torch.equal(grads[0], grads[1])


@torch.no_grad()
def check_counts(mapping: Mapping, node: Node, numerics: LayerNumerics, column: int) -> None:
    """Check what the engine counts of a layer against the cost model's integers."""
    built = layer(node, numerics)
    built.x_scale = 1.0
    one, _, _ = built.quantised(torch.zeros(1, *node.in_shape), built.weight)
    chip = Chip(ideal_cells(one.w, numerics))
    ranges = full_scale_ranges(numerics)
    if numerics.range_policy == "column":
        shape = (len(built.geometry.row_groups), len(numerics.slice_weights), len(one.w))
        ranges = Ranges(
            *(np.broadcast_to(part, shape).copy() for part in (ranges.lo, ranges.lsb, ranges.lo))
        )
    packed = pack_layer(chip, numerics, built.geometry, ranges)
    height, width = built.geometry.out_size(*node.in_shape[1:])
    tiles = int(mapping.column_tiles[0, column])
    counted = [counts(part, height * width, column_tiles=tiles) for part in packed]
    for name in ("array_calls", "driven_rows", "conversions", "shift_adds", "scale_multiplies"):
        computed = sum(getattr(part, name) for part in counted)
        assert computed == int(getattr(mapping, name)[0, column]), (node.name, name)


@pytest.mark.parametrize("name", ["macros/yu_cicc_2020", "macros/wan_nature_2022"])
def test_counts_are_those_that_are_priced(name: str) -> None:
    """On the layers of random candidates of both spaces."""
    hardware = load_hardware(name)
    hardware = hardware.model_copy(
        update={
            "system": hardware.system.model_copy(
                update={
                    "off_chip": hardware.system.off_chip.model_copy(update={"reload": "allowed"})
                }
            )
        }
    )
    checked = 0
    for space_name in ("vgg_tiny", "resnet8"):
        space = Space(load_space_spec(space_name))
        candidates = [space.decode(genes) for genes in space.sample_genes(50, 7)]
        candidates.append(uniform_candidate(space, hardware, 8))
        for candidate in candidates:
            blueprint: Blueprint = candidate.blueprint
            mapping = estimate_table(layer_table([blueprint]), hardware).mapping
            for column, node in enumerate(blueprint.nodes):
                if node.placement == "cim":
                    numerics = numerics_of(node, hardware.macro)
                    assert numerics is not None
                    check_counts(mapping, node, numerics, column)
                    checked += 1
    assert checked > 400
