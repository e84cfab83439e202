"""Signal to noise in closed form: by hand, of networks, and what may not raise it."""

import json
from dataclasses import asdict, replace
from itertools import pairwise
from math import log10
from typing import Any

import array_api_compat.torch as torch
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimsearch
from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import LayerFidelity, fidelity
from cimsearch.cost.codes import Converted
from cimsearch.cost.conversion import bits_for
from cimsearch.cost.demand import demand_of
from cimsearch.cost.fidelity import node_fidelity
from cimsearch.cost.map_table import map_table
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table
from cimsearch.search.baselines import uniform_candidate
from tests.unit.cost.converting import ENCODINGS, chip, linear, snr_db, statistics
from tests.unit.cost.tiny import DIGITAL, conv, hardware

POLICIES = ["full_scale", "layer", "column"]


def test_a_layer_by_hand() -> None:
    # 64 rows of 1 bit x 2 bit: a step of 2, (4 + 2) / 12 a conversion, slices of 1 and -2.
    (layer,) = fidelity(linear(64, w_bits=2, x_bits=1), chip("twos_complement", adc_bits=5))
    # Codes are -1, 0 and 1.
    signal = 64 * 0.5 * 2 / 3
    assert layer.snr_db_adc == pytest.approx(10 * log10(signal / (0.5 * (1 + 4))), abs=0.01)
    assert layer.snr_db_analog is None
    assert (layer.adc_bits, layer.adc_bits_lossless) == (5, 7)


def test_cells_by_hand() -> None:
    (layer,) = fidelity(
        linear(w_bits=2, x_bits=3), chip("twos_complement", adc_bits=8, cell_sigma_frac=0.1)
    )
    # Codes of -1, 0 and 1 vary by 2 / 3, cells by 0.01 (1 + 4).
    assert layer.snr_db_analog == pytest.approx(10 * log10(2 / 3 / 0.05))
    assert layer.snr_db == layer.snr_db_analog


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65, 2**40 + 1])
def test_bits_for(count: int) -> None:
    assert bits_for(np.array(float(count))) == (count - 1).bit_length()


def test_digital_is_lossless() -> None:
    digital = hardware(**DIGITAL)
    lossless = LayerFidelity("conv", None, None, None, 0, 0, 0.0)
    assert fidelity(conv(), digital) == (lossless,)
    assert fidelity(conv(placement="digital"), chip()) == (lossless,)


def test_layers_of_a_network_in_order() -> None:
    first = conv("first", placement="digital")
    relu = Node("relu", "relu", ("first",), (3, 4, 4), (3, 4, 4))
    last = replace(conv("last", in_shape=(3, 4, 4)), inputs=("relu",))
    network = Blueprint((2, 4, 4), 3, (first, relu, last))
    layers = fidelity(network, chip(adc_bits=2))
    assert [layer.name for layer in layers] == ["first", "last"]
    assert (layers[1],) == fidelity(last, chip(adc_bits=2))
    assert json.loads(json.dumps([asdict(layer) for layer in layers]))[0]["snr_db"] is None


def test_a_candidate_a_blueprint_and_a_layer_are_asked_alike() -> None:
    macro = cimsearch.load_hardware("macros/yu_cicc_2020")
    candidate = uniform_candidate(cimsearch.load_space("resnet8"), macro, 8)
    layers = cimsearch.fidelity(candidate, macro)
    assert layers == cimsearch.fidelity(candidate.blueprint, macro)
    nodes = [node for node in candidate.blueprint.nodes if node.has_weights]
    assert [layer.name for layer in layers] == [node.name for node in nodes]
    for layer, node in zip(layers, nodes, strict=True):
        (alone,) = cimsearch.fidelity(node, macro)
        assert alone.name == layer.name
        assert snr_db(alone) == pytest.approx(snr_db(layer), rel=1e-9)
        assert (layer.snr_db is None) == (node.placement == "digital")


def test_uniform_codes_are_taken_without_statistics() -> None:
    for encoding in ENCODINGS:
        density = 0.25 if encoding.startswith("differential") else 0.5
        asked = statistics(0.5, density)
        assert fidelity(linear(), chip(encoding)) == fidelity(linear(), chip(encoding), asked)


def test_an_impossible_node_is_named() -> None:
    with pytest.raises(HardwareError, match="fc: weight bits"):
        fidelity(linear(w_bits=12), chip())


machines = st.fixed_dictionaries(
    {
        "encoding": st.sampled_from(ENCODINGS),
        "active_rows": st.sampled_from([4, 16, 48, 64, 100]),
        "policy": st.sampled_from(POLICIES),
        "cell_sigma_frac": st.sampled_from([0.0, 0.03]),
        "adc_sigma_frac": st.sampled_from([0.0, 0.001, 0.02]),
    }
)
shares = st.floats(0.02, 0.98)


@settings(deadline=None, max_examples=20)
@given(machines, st.integers(1, 700), st.integers(2, 8), shares, shares)
def test_fewer_adc_bits_never_raise_it(
    machine: dict[str, Any], rows: int, w_bits: int, activity: float, density: float
) -> None:
    node, data = linear(rows, 1, w_bits=w_bits), statistics(activity, density)
    found = [fidelity(node, chip(adc_bits=b, **machine), data)[0] for b in range(1, 9)]
    # A lossless step may let more noise through than a coarser one, which rounds it away.
    for fewer, more in pairwise(found):
        if more.adc_bits < more.adc_bits_lossless:
            assert snr_db(fewer) <= snr_db(more) + 1e-4


@settings(deadline=None, max_examples=20)
@given(
    machines, st.integers(1, 700), st.integers(1, 10), shares, shares, st.sampled_from([1, 2, 4])
)
def test_fewer_activation_bits_never_raise_it(
    machine: dict[str, Any],
    rows: int,
    adc_bits: int,
    activity: float,
    density: float,
    dac_bits: int,
) -> None:
    on = chip(adc_bits=adc_bits, dac_bits=dac_bits, **machine)
    data, whole_planes = statistics(activity, density), range(dac_bits, 9, dac_bits)
    for signed in (False, True)[: 1 + (dac_bits == 1)]:
        nodes = [linear(rows, 1, x_bits=b, x_signed=signed) for b in whole_planes if b > signed]
        found = [fidelity(node, on, data)[0] for node in nodes]
        for fewer, more in pairwise(found):
            assert snr_db(fewer) <= snr_db(more) + 1e-4


def test_a_bit_that_needs_a_plane_of_its_own_costs_more_than_it_adds() -> None:
    # Two planes of 2 bits are full; the fifth bit has a plane of the weight 16 to itself.
    four, five, six = (
        fidelity(linear(x_bits=bits), chip(dac_bits=2))[0].snr_db for bits in (4, 5, 6)
    )
    assert four is not None
    assert five is not None
    assert six is not None
    assert five < four - 3 < six


@settings(deadline=None, max_examples=20)
@given(machines, st.integers(1, 700), st.integers(1, 10), shares, shares)
def test_parts_add_up_and_are_finite(
    machine: dict[str, Any], rows: int, adc_bits: int, activity: float, density: float
) -> None:
    (layer,) = fidelity(
        linear(rows, 1), chip(adc_bits=adc_bits, **machine), statistics(activity, density)
    )
    parts = [part for part in (layer.snr_db_analog, layer.snr_db_adc) if part is not None]
    assert all(np.isfinite(parts))
    noise = sum(10 ** (-part / 10) for part in parts)
    assert 10 ** (-snr_db(layer) / 10) == pytest.approx(noise, rel=1e-9, abs=3e-8)
    assert 0 <= layer.adc_clip_fraction <= 1
    assert layer.adc_bits_lossless >= 1


@given(st.sampled_from(ENCODINGS), st.integers(2, 8))
@settings(deadline=None, max_examples=20)
def test_more_noise_never_helps(encoding: str, bits: int) -> None:
    node = linear()
    quiet, loud = (
        fidelity(node, chip(encoding, adc_bits=bits, cell_sigma_frac=s, adc_sigma_frac=s))[0]
        for s in (0.01, 0.02)
    )
    assert snr_db(loud) < snr_db(quiet)


@pytest.mark.parametrize("policy", POLICIES)
def test_batch_equals_single_and_torch_equals_numpy(policy: str) -> None:
    on = chip(policy=policy, cell_sigma_frac=0.01, adc_sigma_frac=0.003)
    networks = [
        Blueprint((rows, 1, 1), 120, (linear(rows, x_bits=bits),))
        for rows, bits in [(64, 3), (500, 8), (700, 1)]
    ]
    table = layer_table(networks).map(lambda column: column.astype(np.float64))

    def found(rows: Any, like: Any) -> Any:
        part = table.map(lambda column: like(column[rows]))
        demand = demand_of(part, on, lambda *_: "fc")
        half = like(np.array([[0.5]]))
        mapping = map_table(part, demand, on.macro)
        return node_fidelity(Converted(part, demand, mapping, on.macro, half, half))

    batch, tensors = found(slice(None), np.asarray), found(slice(None), torch.asarray)
    for name, values in vars(batch).items():
        ones = [getattr(found([n], np.asarray), name)[0] for n in range(3)]
        np.testing.assert_allclose(values, ones, rtol=1e-12)
        np.testing.assert_allclose(getattr(tensors, name).numpy(), values, rtol=1e-6)
