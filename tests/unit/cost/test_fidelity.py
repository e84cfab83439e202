"""Signal to noise in closed form: against the exact function, and what may not raise it."""

import json
from dataclasses import asdict, replace
from itertools import pairwise
from math import comb, inf, log10
from typing import Any

import array_api_compat.torch as torch
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint, Node, layer_table
from cimsearch.cim.calibrate import measure_ranges
from cimsearch.cim.converter import conversion_variance, full_scale_ranges
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.numerics import numerics_of
from cimsearch.cost import LayerFidelity, NodeStatistics, fidelity
from cimsearch.cost.codes import Converted
from cimsearch.cost.conversion import Range, bits_for, clipped_share, noise_power, squared_error
from cimsearch.cost.demand import demand_of
from cimsearch.cost.fidelity import node_fidelity
from cimsearch.cost.mapping import map_table
from cimsearch.cost.partial_sums import Sums
from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import Hardware
from tests.reference.crossbar_oracle import crossbar
from tests.unit.cost.tiny import DIGITAL, conv, hardware

ENCODINGS = ["offset", "twos_complement", "differential", "differential_digital"]
POLICIES = ["full_scale", "layer", "column"]
FULL_SCALE_DB = 1.0
FITTED_DB = 1.5
RARE_DB = 7.0
LEVELS = {"policy": "layer", "adc_bits": 7, "cell_bits": 2, "dac_bits": 2}


def chip(
    encoding: str = "offset",
    *,
    rows: int = 128,
    active_rows: int = 64,
    cell_bits: int = 1,
    dac_bits: int = 1,
    adc_bits: int = 5,
    policy: str = "full_scale",
    cell_sigma_frac: float = 0.0,
    adc_sigma_frac: float = 0.0,
) -> Hardware:
    return hardware(
        array={"rows": rows, "cols": 64, "active_rows": active_rows, "cell_bits": cell_bits},
        weights={"encoding": encoding},
        adc={"bits": adc_bits, "range_policy": policy},
        input={"dac_bits": dac_bits},
        noise={"cell_sigma_frac": cell_sigma_frac, "adc_sigma_frac": adc_sigma_frac},
        configurable={
            "weight_bits": {"values": list(range(1, 9)), "follows": "columns"},
            "activation_bits": {"values": list(range(1, 9)), "follows": "planes"},
        },
    )


def linear(rows: int = 576, outputs: int = 120, **changes: Any) -> Node:
    given_: dict[str, Any] = {"placement": "cim", "w_bits": 4, "x_bits": 4}
    return Node("fc", "linear", ("input",), (rows, 1, 1), (outputs, 1, 1), **(given_ | changes))


def random_bits(encoding: str) -> NodeStatistics:
    """The statistics of uniform codes: of a pair, one column holds each bit."""
    density = 0.25 if encoding.startswith("differential") else 0.5
    return NodeStatistics(np.array(0.5), np.array(density))


def snr_db(layer: LayerFidelity) -> float:
    return inf if layer.snr_db is None else layer.snr_db


def predicted(node: Node, machine: Hardware) -> LayerFidelity:
    (layer,) = fidelity(node, machine, random_bits(machine.macro.weights.encoding))
    return layer


def measured_snr_db(node: Node, machine: Hardware) -> float:
    """Signal to noise of uniform random codes by the exact function of a crossbar.

    Ranges are fitted to a sample of inputs and used on others.
    """
    numerics = numerics_of(node, machine.macro)
    assert numerics is not None
    rng = np.random.default_rng(0)
    rows, outputs = node.in_shape[0], node.out_shape[0]
    low, high = numerics.x_limits
    w = rng.integers(-numerics.w_limit, numerics.w_limit + 1, (rows, outputs))
    sample, x = (rng.integers(low, high + 1, (count, rows)) for count in (256, 80))
    ranges = full_scale_ranges(numerics)
    if numerics.range_policy != "full_scale":
        ranges = measure_ranges(
            torch.asarray(sample).float()[:, :, None, None],
            torch.asarray(np.ascontiguousarray(w.T)).float()[:, :, None, None],
            numerics,
            Geometry.of(node, numerics),
        )
    y = crossbar(
        x,
        w,
        x_bits=numerics.x_bits,
        w_bits=numerics.w_bits,
        x_signed=numerics.x_signed,
        encoding=numerics.encoding,
        rows=numerics.rows,
        active_rows=numerics.active_rows,
        dac_bits=numerics.dac_bits,
        cell_bits=numerics.cell_bits,
        adc_bits=numerics.adc_bits,
        adc_lo=ranges.lo,
        adc_lsb=ranges.lsb,
        adc_noise=numerics.adc_sigma,
        rng=rng,
    )
    error = y - x @ w + x @ (numerics.cell_sigma * rng.standard_normal(w.shape))
    signal = rows * mean_square(low, high) * mean_square(-numerics.w_limit, numerics.w_limit)
    return 10 * log10(signal / error.var())


def mean_square(low: int, high: int) -> float:
    """The mean square of uniform codes, so that chance is in the error alone."""
    return float(np.mean(np.arange(low, high + 1, dtype=np.float64) ** 2))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("machine", "node"),
    [
        ({"adc_bits": 4}, {}),
        ({"adc_bits": 5}, {}),
        ({"adc_bits": 6, "rows": 256, "active_rows": 256}, {}),
        ({"adc_bits": 6, "rows": 128, "active_rows": 128}, {"x_signed": True}),
        ({"adc_bits": 6, "adc_sigma_frac": 0.02}, {}),
        ({"adc_bits": 7, "adc_sigma_frac": 0.005, "cell_sigma_frac": 0.05}, {}),
        ({"adc_bits": 7, "cell_sigma_frac": 0.1}, {"x_bits": 6}),
    ],
)
def test_a_full_range_is_the_exact_function(
    encoding: str, machine: dict[str, Any], node: dict[str, Any]
) -> None:
    on, layer = chip(encoding, **machine), linear(**node)
    assert snr_db(predicted(layer, on)) == pytest.approx(
        measured_snr_db(layer, on), abs=FULL_SCALE_DB
    )


@pytest.mark.parametrize("encoding", ["offset", "differential", "differential_digital"])
def test_levels_of_inputs_and_cells_are_the_exact_function(encoding: str) -> None:
    on = chip(encoding, adc_bits=6, cell_bits=2, dac_bits=2)
    layer = linear(w_bits=5, x_bits=5)
    assert snr_db(predicted(layer, on)) == pytest.approx(
        measured_snr_db(layer, on), abs=FULL_SCALE_DB
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rows", [64, 256])
def test_a_range_for_the_layer_is_near_the_fitted_one(encoding: str, rows: int) -> None:
    on = chip(encoding, rows=rows, active_rows=rows, adc_bits=3, policy="layer")
    layer = linear(576, 240)
    assert snr_db(predicted(layer, on)) == pytest.approx(measured_snr_db(layer, on), abs=FITTED_DB)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_range_for_a_column_is_near_the_fitted_one(encoding: str) -> None:
    on, layer = chip(encoding, adc_bits=3, policy="column"), linear()
    assert snr_db(predicted(layer, on)) == pytest.approx(measured_snr_db(layer, on), abs=FITTED_DB)


@pytest.mark.parametrize(
    ("encoding", "machine"),
    [
        ("offset", {"policy": "column", "adc_bits": 6}),
        ("offset", {"policy": "column", "adc_bits": 6, "active_rows": 16}),
        ("twos_complement", {"policy": "column", "adc_bits": 6}),
        ("differential", {"policy": "column", "adc_bits": 6}),
        ("differential_digital", {"policy": "column", "adc_bits": 6}),
        ("differential", {"policy": "layer", "adc_bits": 5}),
        ("differential", LEVELS),
        (
            "differential_digital",
            LEVELS,
        ),
    ],
)
def test_rare_sums_beyond_the_sample_are_about_what_they_are(
    encoding: str, machine: dict[str, Any]
) -> None:
    on, layer = chip(encoding, **machine), linear(512, w_bits=5)
    found, measured = snr_db(predicted(layer, on)), measured_snr_db(layer, on)
    assert measured > 30
    assert found == pytest.approx(measured, abs=RARE_DB)


@pytest.mark.parametrize("eighths", [8, 9, 10, 12, 16, 20, 24, 31, 32, 72])
@pytest.mark.parametrize("sigma", [0.0, 0.2, 0.4, 0.7, 3.0])
def test_a_step_and_its_noise_are_the_sum_over_residues(eighths: int, sigma: float) -> None:
    lsb = eighths / 8
    one = np.ones((1, 1, 1, 1))
    wide = Sums(0 * one, 4e4 * one, 0 * one, -1e9 * one, 1e9 * one, one, one, one)
    found = Range(-(2.0**15) * lsb * one, lsb * one)
    error = squared_error(wide, found, 16 * one) + noise_power(sigma * one, found.lsb)
    assert float(error[0, 0, 0, 0]) == pytest.approx(conversion_variance(lsb, sigma), rel=1e-3)


def test_sums_of_few_sparse_rows_are_skewed() -> None:
    # 16 rows of 1 in 8, above 7; of a normal sum a twentieth of that is.
    one = np.ones((1, 1, 1, 1))
    variance = 16 * 0.125 * 0.875
    skewness = 0.75 / variance**0.5
    sums = Sums(2 * one, variance * one, skewness * one, 0 * one, 16 * one, one, one, one)
    above = sum(comb(16, k) * 0.125**k * 0.875 ** (16 - k) for k in range(8, 17))
    found = float(clipped_share(sums, Range(0 * one, one), 3 * one)[0, 0, 0, 0])
    assert above / 2 < found < above * 2


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


def statistics(activity: float, density: float) -> NodeStatistics:
    return NodeStatistics(np.array(activity), np.array(density))


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
