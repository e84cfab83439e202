"""Stored bits counted softly: the exact count at the limit, and the energy that cells take."""

from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint
from cimsearch.cim import LayerNumerics
from cimsearch.cim.slicing import stored_ones_share
from cimsearch.cost.report import estimate, node_statistics
from cimsearch.networks import Network, build
from cimsearch.space import Candidate, Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Encoding
from cimsearch.training.losses.bits import (
    cell_energy,
    on_macro,
    ones_share,
    soft_bits,
    soft_ones_share,
)
from tests.unit.cim.builders import ENCODINGS

HARD = 1e-6
"""So small a softness that a bit is a step."""


def numerics(encoding: Encoding, w_bits: int, cell_bits: int = 1) -> LayerNumerics:
    return LayerNumerics(
        w_bits, 4, analog=True, encoding=encoding, adc_bits=5, cell_bits=cell_bits, rows=64
    )


@given(
    encoding=st.sampled_from(ENCODINGS),
    w_bits=st.integers(2, 8),
    cell_bits=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_at_the_limit_it_is_the_count_of_stored_ones(
    encoding: Encoding, w_bits: int, cell_bits: int, seed: int
) -> None:
    layer = numerics(encoding, w_bits, 1 if encoding == "twos_complement" else cell_bits)
    generator = torch.Generator().manual_seed(seed)
    limit = layer.w_limit
    codes = torch.randint(-limit, limit + 1, (5, 4, 3, 3), generator=generator).float()
    # Not on an edge of rounding, where a bit is half a one; and within the codes.
    off = 0.98 * (torch.rand(codes.shape, generator=generator) - 0.5)
    steps = (codes + off).clamp(-limit, limit)
    found = soft_ones_share(steps, layer, HARD)
    assert float(found) == pytest.approx(stored_ones_share(codes, layer), abs=1e-6)


def test_bits_by_hand() -> None:
    # 5.2 rounds to 101; the edges nearest to it are 4.5 and 5.5, 5.5 (of 2), and 3.5 (of 4).
    distances = torch.tensor([0.3, -0.3 / 2, 1.7 / 4])
    found = soft_bits(torch.tensor(5.2), 3, 0.25)
    assert torch.allclose(found, (distances / 0.25).sigmoid())


def test_on_an_edge_a_bit_is_half_a_one() -> None:
    assert torch.allclose(soft_bits(torch.tensor([0.5, 1.5]), 1, 0.1), torch.tensor(0.5))


def test_twos_complement_holds_negative_codes_modulo() -> None:
    values = torch.arange(-8, 8).float()
    found = soft_bits(values, 4, HARD).round().to(torch.int64)
    wanted = torch.stack([(torch.arange(-8, 8) & 15) >> bit & 1 for bit in range(4)])
    assert torch.equal(found, wanted)


def test_small_weights_are_cheap_where_magnitudes_are_stored_alone() -> None:
    near_zero = 0.3 * torch.linspace(-1, 1, 31)
    shares = {
        encoding: float(soft_ones_share(near_zero, numerics(encoding, 8), HARD))
        for encoding in ENCODINGS
    }
    assert shares["differential"] == shares["differential_digital"] == pytest.approx(0.0, abs=1e-6)
    # 1000 0000; and 0000 0000.
    assert shares["offset"] == pytest.approx(1 / 8)
    assert shares["twos_complement"] == pytest.approx(0.0, abs=1e-6)
    minus_one = {
        encoding: float(soft_ones_share(torch.tensor([-1.0]), numerics(encoding, 8), HARD))
        for encoding in ENCODINGS
    }
    # 1111 1111 in two's complement, 0111 1111 with offset, one of fourteen in a pair.
    assert minus_one["twos_complement"] == pytest.approx(1.0)
    assert minus_one["offset"] == pytest.approx(7 / 8)
    assert minus_one["differential"] == pytest.approx(1 / 14)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_descent_stores_fewer_ones(encoding: Encoding) -> None:
    layer = numerics(encoding, 4)
    steps = 7 * (2 * torch.rand(1000, generator=torch.Generator().manual_seed(0)) - 1)
    before = stored_ones_share(steps.round(), layer)
    moved = steps.clone().requires_grad_()
    for _ in range(300):
        loss = soft_ones_share(moved.clamp(-7, 7), layer, 0.1)
        (grad,) = torch.autograd.grad(loss, moved)
        with torch.no_grad():
            moved -= 100 * grad
    assert stored_ones_share(moved.detach().clamp(-7, 7).round(), layer) < 0.8 * before


SPACE = Space(load_space_spec("vgg_tiny"))
NAMES = ("yu_cicc_2020", "chih_isscc_2021", "wan_nature_2022")
HARDWARE = {name: load_hardware(f"macros/{name}") for name in NAMES}
"""One applies a bit at a time, one is digital, one applies eight bits, a pulse each."""


def candidate() -> Candidate:
    return SPACE.uniform(weight_bits=4, activation_bits=4)


def mixed() -> Blueprint:
    """Return a network whose last layer on the macro has inputs of fewer bits."""
    blueprint = candidate().blueprint
    last = [node.name for node in blueprint.nodes if node.placement == "cim"][-1]
    nodes = [replace(n, x_bits=2) if n.name == last else n for n in blueprint.nodes]
    return replace(blueprint, nodes=tuple(nodes))


@lru_cache
def network(name: str) -> Network:
    macro = HARDWARE[name].macro
    built = build(mixed(), macro, generator=torch.Generator().manual_seed(0))
    images = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    built.calibrate(images)
    return built


def test_a_layer_s_hard_count_is_the_density_that_is_measured() -> None:
    built = network("yu_cicc_2020")
    for layer in on_macro(built):
        assert float(ones_share(layer, HARD).detach()) == pytest.approx(
            layer.density_frac(), abs=1e-3
        )


def test_layers_of_the_digital_unit_have_no_cells() -> None:
    named = {layer.name for layer in on_macro(network("yu_cicc_2020"))}
    assert named == {n.name for n in candidate().blueprint.nodes if n.placement == "cim"}
    assert "classifier" not in named


@pytest.mark.parametrize("name", HARDWARE)
def test_layers_count_as_the_cost_model_prices_their_ones(name: str) -> None:
    """By energy at all ones less energy at all zeros; cells alone, as trees have no cells."""
    built, hardware = network(name), HARDWARE[name]
    blueprint = built.blueprint
    assert len({layer.numerics.x_bits for layer in on_macro(built)}) == 2
    activity, _ = built.statistics()
    empty, full = (
        estimate(
            blueprint, hardware, node_statistics(blueprint, activity, dict.fromkeys(activity, d))
        )
        for d in (0.0, 1.0)
    )
    saved = {
        high.name: high.components["cells"] - low.components["cells"]
        for low, high in zip(empty.layers, full.layers, strict=True)
        if high.components.get("cells")
    }
    found = {layer.name: cell_energy(layer, built) for layer in on_macro(built)}
    assert found.keys() == saved.keys()
    for layer, energy in found.items():
        assert energy / sum(found.values()) == pytest.approx(saved[layer] / sum(saved.values()))
