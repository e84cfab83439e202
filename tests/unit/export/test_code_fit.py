"""Gain, offset and noise of converters, and columns that are stuck, also of few bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.export.code_fit import Codes, Floats, Line, fitted
from cimsearch.export.columns import Columns

READS = 20_000


def ideal(bits: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Sums in codes, most in the middle of the range and some beyond it, and their codes."""
    top = 2**bits - 1
    sums = np.rint(3 * rng.normal(top / 2, top / 4, READS)) / 3
    return sums, np.clip(np.rint(sums), 0, top)


def read(bits: int, sums: Floats, expected: Floats, seen: Floats) -> Codes:
    """Reads of a chip whose converters round what they have ``seen``."""
    top = 2**bits - 1
    measured = np.clip(np.rint(seen), 0, top).astype(np.int64)
    return Codes(expected.astype(np.int64), sums - expected, measured, np.full(len(expected), top))


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("of", ["sums", "codes"])
@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.85, 0.3)])
def test_few_bits_do_not_bend_the_gain(bits: int, of: str, gain: float, offset: float) -> None:
    """A real converter sees sums; a program that plays one may begin with expected codes."""
    rng = np.random.default_rng(bits)
    sums, expected = ideal(bits, rng)
    noise = rng.normal(0, 0.6, READS)
    seen = gain * (sums if of == "sums" else expected) + offset + noise
    fit, _ = fitted(read(bits, sums, expected, seen))
    assert fit.gain == pytest.approx(gain, rel=0.03)
    assert fit.offset_codes == pytest.approx(offset, abs=0.06)
    assert fit.sigma_codes == pytest.approx(0.6, rel=0.05)
    assert fit.reads == READS
    assert fit.fitted == np.count_nonzero(np.abs(sums - expected) <= 0.5)


@given(
    bits=st.integers(4, 10),
    gain=st.floats(0.7, 1.3),
    offset_frac=st.floats(-0.1, 0.1),
    sigma=st.floats(0.2, 1.0),
    seed=st.integers(0, 99),
)
def test_gain_offset_and_noise_come_back(
    bits: int, gain: float, offset_frac: float, sigma: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sums, expected = ideal(bits, rng)
    offset = offset_frac * 2**bits
    seen = gain * sums + offset + rng.normal(0, sigma, READS)
    fit, line = fitted(read(bits, sums, expected, seen))
    assert fit.gain == pytest.approx(gain, rel=0.03)
    assert fit.offset_codes == pytest.approx(offset, abs=0.15)
    assert fit.sigma_codes == pytest.approx(sigma, rel=0.1)
    assert line.gain == fit.gain


def test_without_noise_the_codes_are_those_expected() -> None:
    sums, expected = ideal(4, np.random.default_rng(0))
    fit, line = fitted(read(4, sums, expected, sums))
    assert (fit.gain, fit.offset_codes) == pytest.approx((1, 0), abs=1e-9)
    assert fit.sigma_codes == pytest.approx(0, abs=0.01)
    codes = read(4, sums, expected, sums)
    assert np.abs(codes.left(line)).max() < 1e-6


def test_too_little_says_no_gain() -> None:
    rng = np.random.default_rng(1)
    sums, expected = ideal(4, rng)
    top = read(4, sums, expected, np.full(READS, 99.0))
    fit, line = fitted(top)
    assert fit.gain is None
    assert fit.offset_codes == pytest.approx(15 - expected[top.within].mean())
    assert line == Line()
    fit, _ = fitted(top.of(np.zeros(READS, dtype=np.bool_)))
    assert (fit.reads, fit.fitted, fit.offset_codes, fit.sigma_codes) == (0, 0, None, None)
    fit, _ = fitted(top.of(np.arange(READS) == np.flatnonzero(top.within)[0]))
    assert (fit.reads, fit.fitted, fit.gain, fit.sigma_codes) == (1, 1, None, None)


def test_a_code_nearer_to_the_end_is_right_beyond_the_range() -> None:
    """A gain of 0.9 puts a sum far below the range at 0, and one just at its end at 1."""
    expected = np.zeros(2)
    codes = read(4, np.array([-8.0, 0.0]), expected, np.zeros(2))
    assert codes.left(Line(0.9, 1.0)).tolist() == [0.0, -1.0]


COLUMNS, TIMES = 32, 200


def columns_with(bits: int, stuck: dict[int, Floats], *, gain: float = 1.0) -> Columns:
    """Columns of which some give codes that do not follow."""
    rng = np.random.default_rng(7)
    sums, expected = (each[: COLUMNS * TIMES] for each in ideal(bits, rng))
    column = np.repeat(np.arange(COLUMNS), TIMES)
    seen = gain * sums + rng.normal(0, 0.4, len(sums))
    for which, codes in stuck.items():
        seen[column == which] = codes
    return Columns.of(column, read(bits, sums, expected, seen))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("dead", [0, 1, 20, 31, 32])
@pytest.mark.parametrize("at", ["0", "top"])
def test_dead_columns_are_found_however_many(bits: int, dead: int, at: str) -> None:
    codes = np.full(TIMES, 0.0 if at == "0" else 2.0**bits)
    found = columns_with(bits, dict.fromkeys(range(dead), codes))
    assert found.stuck.tolist() == [column < dead for column in range(COLUMNS)]
    assert not np.any(found.far & ~found.stuck)


@pytest.mark.parametrize("dead", [20, 32])
@pytest.mark.parametrize("noise", [0.6, 1.5])
def test_dead_columns_with_noise_are_stuck(dead: int, noise: float) -> None:
    rng = np.random.default_rng(3)
    codes = {column: rng.normal(1, noise, TIMES) for column in range(dead)}
    assert np.flatnonzero(columns_with(4, codes).stuck).tolist() == list(range(dead))


def test_a_column_far_from_codes_that_hardly_change_is_stuck() -> None:
    """All are dead, and are expected to read 6 or 7; of one 6 is expected each time."""
    column = np.repeat(np.arange(8), 12)
    expected = np.where((np.arange(96) % 12 == 3) & (column > 0), 7.0, 6.0)
    found = Columns.of(column, read(4, expected, expected, np.zeros(96)))
    assert found.stuck.tolist() == [False] + [True] * 7
    # One that an offset puts there is not.
    found = Columns.of(column, read(4, expected, expected, expected - 4))
    assert not found.far.any()


@pytest.mark.parametrize("gain", [0.3, 1.4])
def test_a_chip_of_another_gain_is_not_stuck(gain: float) -> None:
    assert not columns_with(4, {}, gain=gain).stuck.any()
