"""Signal to noise in closed form, against the exact function of a crossbar."""

from math import comb, log10
from typing import Any

import array_api_compat.torch as torch
import numpy as np
import pytest

from cimsearch.blueprint import Node
from cimsearch.cim import calibrate, converter
from cimsearch.cim.calibrate import measure_ranges
from cimsearch.cim.converter import conversion_variance, full_scale_ranges
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.node_numerics import numerics_of
from cimsearch.cost import conversion, fidelity, partial_sums, ranges
from cimsearch.cost.conversion import Range, clipped_share, noise_power, squared_error
from cimsearch.cost.partial_sums import Sums
from cimsearch.spec.hardware import Hardware
from tests.reference.crossbar_oracle import crossbar
from tests.unit.cost.converting import ENCODINGS, chip, linear, snr_db

FULL_SCALE_DB = 1.0
FITTED_DB = 1.5
RARE_DB = 5.0
LEVELS = {"policy": "layer", "adc_bits": 7, "cell_bits": 2, "dac_bits": 2}


def predicted_snr_db(node: Node, machine: Hardware) -> float:
    """Of uniform codes, which is what is taken without statistics."""
    (layer,) = fidelity(node, machine)
    return snr_db(layer)


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
    assert predicted_snr_db(layer, on) == pytest.approx(
        measured_snr_db(layer, on), abs=FULL_SCALE_DB
    )


@pytest.mark.parametrize("encoding", ["offset", "differential", "differential_digital"])
def test_levels_of_inputs_and_cells_are_the_exact_function(encoding: str) -> None:
    on = chip(encoding, adc_bits=6, cell_bits=2, dac_bits=2)
    layer = linear(w_bits=5, x_bits=5)
    assert predicted_snr_db(layer, on) == pytest.approx(
        measured_snr_db(layer, on), abs=FULL_SCALE_DB
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rows", [64, 256])
def test_a_range_for_the_layer_is_near_the_fitted_one(encoding: str, rows: int) -> None:
    on = chip(encoding, rows=rows, active_rows=rows, adc_bits=3, policy="layer")
    layer = linear(576, 240)
    assert predicted_snr_db(layer, on) == pytest.approx(measured_snr_db(layer, on), abs=FITTED_DB)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_range_for_a_column_is_near_the_fitted_one(encoding: str) -> None:
    on, layer = chip(encoding, adc_bits=3, policy="column"), linear()
    assert predicted_snr_db(layer, on) == pytest.approx(measured_snr_db(layer, on), abs=FITTED_DB)


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
    found, measured = predicted_snr_db(layer, on), measured_snr_db(layer, on)
    assert measured > 30
    assert found == pytest.approx(measured, abs=RARE_DB)


def test_ranges_are_tried_as_the_fit_tries_them() -> None:
    assert ranges.SHARES == converter.SHARES
    assert conversion.STEPS_PER_UNIT == converter.STEPS_PER_UNIT
    assert partial_sums.SAMPLE_SUMS == 4 * calibrate.PATCHES


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
