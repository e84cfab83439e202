"""The exact engine equals the plain oracle to the last bit, however it computes."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.cim import CrossbarScheme, crossbar_matmul
from cimsearch.cim.bitserial import Counts, Inputs, Packed, convolve, counts, multiply, pack
from cimsearch.cim.chain import Chain
from cimsearch.cim.epilogue import Epilogue, compiled, compiles, eager, faster
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.noise import NoiseStream
from cimsearch.cim.slicing import weight_slice_values
from cimsearch.cost.layer_integers import row_groups
from cimsearch.errors import HardwareError, UsageError
from tests.reference.crossbar_oracle import Floats, Ints, crossbar
from tests.unit.cim.builders import ENCODINGS, generator

TYPES = (None, torch.int8, torch.bfloat16, torch.float32)
Settings = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Case:
    """A scheme with codes (m, k) and (k, n) for it."""

    scheme: CrossbarScheme
    x: Ints
    w: Ints

    def oracle(self) -> Floats:
        settings_ = {name: getattr(self.scheme, name) for name in CrossbarScheme.__annotations__}
        settings_.pop("accumulator")
        for name in ("adc_lo", "adc_lsb"):
            settings_[name] = np.asarray(settings_[name], dtype=np.float64)
        return crossbar(self.x, self.w, **settings_)

    def matmul(self) -> Floats:
        found: Floats = crossbar_matmul(
            torch.from_numpy(self.x), torch.from_numpy(self.w), self.scheme
        ).numpy()
        return found

    def packed(self, **options: Any) -> Packed:
        scheme = self.scheme
        return pack(
            options.pop("stored", weight_slice_values(torch.from_numpy(self.w), scheme)),
            inputs=Inputs(scheme.x_bits, scheme.dac_bits, scheme.plane_weights),
            slice_weights=scheme.slice_weights,
            row_groups=tuple(
                row_groups(len(self.w), scheme.rows, scheme.active_rows or scheme.rows)
            ),
            adc_bits=scheme.adc_bits,
            adc_lo=torch.as_tensor(scheme.adc_lo),
            adc_lsb=torch.as_tensor(scheme.adc_lsb),
            offset=scheme.offset,
            **options,
        )

    def engine(self, convert: Epilogue, **options: Any) -> Floats:
        product = multiply(torch.from_numpy(self.x), self.packed(**options), convert=convert)
        found: Floats = product.double().numpy()
        return found


def case(scheme: CrossbarScheme, shape: tuple[int, int, int], seed: int = 0) -> Case:
    rng = np.random.default_rng(seed)
    (m, k, n), (x_low, x_high), (w_low, w_high) = shape, scheme.x_limits, scheme.w_limits
    # Some inputs are small, so that whole planes are zero.
    x = rng.integers(x_low, x_high + 1, (m, k)) >> int(rng.integers(0, scheme.x_bits + 1))
    return Case(scheme, x, rng.integers(w_low, w_high + 1, (k, n)))


@st.composite
def cases(draw: st.DrawFn, adc: bool = True) -> Case:
    encoding = draw(st.sampled_from(ENCODINGS))
    signed = draw(st.booleans())
    rows = draw(st.integers(1, 40))
    scheme = CrossbarScheme(
        x_bits=draw(st.integers(1, 8)),
        w_bits=draw(st.integers(2 if encoding.startswith("diff") else 1, 8)),
        rows=rows,
        encoding=encoding,
        x_signed=signed,
        dac_bits=1 if signed else draw(st.integers(1, 8)),
        cell_bits=1 if encoding == "twos_complement" else draw(st.integers(1, 8)),
        active_rows=draw(st.integers(0, rows)),
        adc_bits=draw(st.integers(1, 8)) if adc else 0,
    )
    m, k, n = draw(st.integers(1, 6)), draw(st.integers(1, 100)), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 2**32 - 1))
    if adc:
        groups = len(row_groups(k, rows, scheme.active_rows or rows))
        full = (groups, len(scheme.slice_weights), n)
        shape = tuple(side if draw(st.booleans()) else 1 for side in full)
        lo, lsb = draw(st.sampled_from((fractions, powers, ones)))(shape, seed)
        scheme = replace(scheme, adc_lo=lo, adc_lsb=lsb)
    return case(scheme, (m, k, n), seed)


def fractions(shape: tuple[int, ...], seed: int) -> Settings:
    random = generator(seed)
    lo = torch.randint(-400, 100, shape, generator=random).double() / 8
    return lo, torch.randint(1, 80, shape, generator=random).double() / 8


def powers(shape: tuple[int, ...], seed: int) -> Settings:
    lsb = 2.0 ** torch.randint(-2, 6, shape, generator=generator(seed)).double()
    return -lsb * (seed % 3), lsb


def ones(shape: tuple[int, ...], seed: int) -> Settings:
    lo = -torch.randint(0, 3, shape, generator=generator(seed)).double()
    return lo, torch.ones(shape).double()


@given(cases())
@settings(deadline=None, max_examples=200)
def test_it_equals_the_oracle(drawn: Case) -> None:
    assert np.array_equal(drawn.matmul(), drawn.oracle())


@given(cases(), st.sampled_from(TYPES), st.booleans())
@settings(deadline=None, max_examples=200)
def test_it_equals_the_oracle_in_every_type(
    drawn: Case, dtype: torch.dtype | None, skip: bool
) -> None:
    found = drawn.engine(eager, dtype=dtype, skip_lossless=skip)
    assert np.array_equal(found, drawn.oracle())


@pytest.mark.parametrize("dtype", [torch.int8, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("lsb", [8.0, 2.75])
def test_compiled_it_equals_the_oracle(dtype: torch.dtype, lsb: float) -> None:
    for adc_bits, shape in ((4, (9, 130, 16)), (3, (2, 70, 5)), (6, (1, 64, 1))):
        scheme = CrossbarScheme(5, 4, 64, adc_bits=adc_bits, adc_lsb=lsb, adc_lo=0.5)
        drawn = case(scheme, shape)
        assert drawn.packed(dtype=dtype).groups[0].matrix is not None
        assert np.array_equal(drawn.engine(compiled, dtype=dtype), drawn.oracle())
        assert np.array_equal(drawn.engine(eager, dtype=dtype), drawn.oracle())


def test_without_a_compiler_the_engine_is_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiles.cache_clear()
    assert faster(1 << 40) is eager
    monkeypatch.undo()
    compiles.cache_clear()
    assert faster(1) is eager


@given(cases(adc=False))
@settings(deadline=None)
def test_an_ideal_converter_gives_the_integer_product(drawn: Case) -> None:
    assert np.array_equal(drawn.matmul(), drawn.x @ drawn.w)


def test_wide_codes_are_exact_beyond_float32() -> None:
    scheme = CrossbarScheme(16, 16, 128, adc_bits=16, adc_lsb=0.125, adc_lo=-0.375)
    drawn = case(scheme, (3, 300, 2))
    assert np.array_equal(drawn.matmul(), drawn.oracle())
    ideal = replace(drawn, scheme=replace(scheme, adc_bits=0))
    assert np.array_equal(ideal.matmul(), drawn.x @ drawn.w)


def test_a_step_that_is_not_dyadic_gives_the_codes_of_float64() -> None:
    drawn = case(CrossbarScheme(4, 4, 64, adc_bits=5, adc_lsb=2.1, adc_lo=0.3), (20, 100, 4))
    np.testing.assert_allclose(drawn.matmul(), drawn.oracle(), rtol=1e-12, atol=1e-9)


@given(cases(), st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_results_do_not_depend_on_the_batch(drawn: Case, size: int) -> None:
    parts = [
        replace(drawn, x=drawn.x[i : i + size]).matmul() for i in range(0, len(drawn.x), size)
    ]
    assert np.array_equal(np.concatenate(parts), drawn.matmul())


def test_a_chip_with_errors_does_not_depend_on_the_batch() -> None:
    drawn = case(CrossbarScheme(8, 8, 256, adc_bits=5, adc_lsb=8.0), (700, 300, 8))
    stored = weight_slice_values(torch.from_numpy(drawn.w), drawn.scheme)
    stored = stored + 0.05 * torch.randn(stored.shape, generator=generator())
    packed, x = drawn.packed(stored=stored), torch.from_numpy(drawn.x)
    whole = multiply(x, packed, convert=eager)
    for size in (1, 7, 333):
        parts = [multiply(part, packed, convert=eager) for part in torch.split(x, size)]
        assert torch.equal(torch.cat(parts), whole)
    assert not np.array_equal(whole.double().numpy(), drawn.matmul())


def test_noise_of_conversions_has_the_standard_deviation_asked_for() -> None:
    scheme = CrossbarScheme(1, 2, 64, encoding="twos_complement", adc_bits=12, adc_lsb=0.03125)
    scheme = replace(scheme, adc_lo=-64.0)
    drawn = case(scheme, (20_000, 50, 2))
    x, packed = torch.from_numpy(drawn.x), drawn.packed()
    (group,) = packed.groups
    noisy = replace(packed, groups=(replace(group, chain=Chain(sigma=0.5)),))
    noise = NoiseStream((1, "layer")).next(len(x))
    error = (multiply(x, noisy, noise=noise) - multiply(x, packed)).double()
    assert float(error.mean()) == pytest.approx(0, abs=0.02)
    # Slices weigh 1 and -2.
    assert float(error.std()) == pytest.approx(0.5 * 5**0.5, rel=0.02)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_the_product_of_its_windows(groups: int, stride: int) -> None:
    scheme = CrossbarScheme(4, 4, 16, adc_bits=4, adc_lsb=1.5)
    drawn = case(scheme, (1, 27, 4 * groups))
    spans = tuple(row_groups(27, 16, 16))
    geometry = Geometry((3, 3), (stride, stride), (1, 1), groups, spans)
    x = torch.randint(0, 16, (5, 3 * groups, 6, 7), generator=generator())
    parts = [replace(drawn, w=drawn.w[:, 4 * g : 4 * g + 4]) for g in range(groups)]
    found = convolve(x, tuple(part.packed(kernel_area=9) for part in parts), geometry)
    assert found.shape == (5, 4 * groups, *geometry.out_size(6, 7))
    for group, part in enumerate(parts):
        windows = torch.nn.functional.unfold(
            x[:, 3 * group : 3 * group + 3].float(), 3, padding=1, stride=stride
        )
        rows = windows.transpose(1, 2).flatten(0, 1).to(torch.int64).numpy()
        wanted = torch.from_numpy(replace(part, x=rows).oracle()).view(5, -1, 4).transpose(1, 2)
        assert torch.equal(found[:, 4 * group : 4 * group + 4].flatten(2).double(), wanted)


def test_counts_are_those_of_every_plane_row_group_and_column() -> None:
    scheme = CrossbarScheme(4, 4, 64, encoding="differential_digital", active_rows=32, adc_bits=5)
    packed = case(scheme, (1, 100, 3)).packed(skip_lossless=True)
    # 4 planes; rows 32 + 32 and 32 + 4; 2 halves of 3 slices of 3 columns.
    assert counts(packed, 10) == Counts(
        array_calls=10 * 4 * 4,
        driven_rows=10 * 4 * 100,
        conversions=10 * 4 * 4 * 18,
        shift_adds=10 * 4 * 4 * 18,
        scale_multiplies=10 * 3,
    )
    assert counts(packed, 10, column_tiles=2).array_calls == 2 * counts(packed, 10).array_calls


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_bits": 0}, "x_bits: found 0; allowed is 1 to 16"),
        ({"w_bits": 33}, "w_bits: found 33; allowed is 1 to 16"),
        ({"w_bits": 1, "encoding": "differential"}, "w_bits: found 1; allowed is 2 to 16"),
        ({"adc_bits": 33}, "adc_bits: found 33; allowed is 0 to 16"),
        ({"dac_bits": 0}, "dac_bits: found 0"),
        ({"cell_bits": 33}, "cell_bits: found 33"),
        ({"rows": 0}, "rows: found 0"),
        ({"active_rows": 65}, "active_rows: found 65; allowed is 0 to 64"),
        ({"encoding": "gray"}, "encoding: found 'gray'; allowed is"),
        ({"encoding": "twos_complement", "cell_bits": 2}, "twos_complement allows 1"),
        ({"x_signed": True, "dac_bits": 2}, "signed inputs allow 1"),
        ({"adc_lsb": 0.0}, "adc_lsb: found 0.0; allowed is above 0"),
        ({"adc_lsb": torch.tensor([1.0, -2.0])}, "empty or inverted"),
        ({"adc_lsb": float("nan")}, "adc_lsb: found nan"),
        ({"adc_lo": float("nan")}, "adc_lo: found a value that is not finite"),
    ],
)
def test_a_scheme_out_of_range_is_refused(changes: dict[str, Any], message: str) -> None:
    settings_: dict[str, Any] = {"x_bits": 4, "w_bits": 4, "rows": 64}
    with pytest.raises(HardwareError, match=message):
        CrossbarScheme(**(settings_ | changes))


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(4, 2), "found x \\(2, 3\\) and w \\(4, 2\\)"),
        (torch.zeros(3), torch.zeros(3, 2), "found x \\(3,\\)"),
        (torch.zeros(2, 0), torch.zeros(0, 2), "none of k and n 0"),
        (torch.full((1, 1), 16), torch.zeros(1, 1), "x: found 16 to 16; allowed is 0 to 15"),
        (torch.zeros(1, 1), torch.full((1, 1), -9), "w: found -9 to -9; allowed is -8 to 7"),
        (torch.full((1, 1), float("nan")), torch.zeros(1, 1), "x: found NaN"),
        (torch.zeros(1, 1), torch.full((1, 1), float("inf")), "w: found NaN, infinity"),
        (torch.zeros(1, 1), torch.full((1, 1), 0.5), "w: found NaN, infinity or a fraction"),
    ],
)
def test_codes_that_do_not_fit_are_refused(x: torch.Tensor, w: torch.Tensor, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        crossbar_matmul(x, w, CrossbarScheme(4, 4, 64))


def test_converter_settings_that_do_not_broadcast_are_refused() -> None:
    scheme = CrossbarScheme(4, 4, 64, adc_bits=4, adc_lsb=torch.ones(3, 1, 1))
    with pytest.raises(HardwareError, match=r"allowed is what broadcasts to \(2, 4, 5\)"):
        crossbar_matmul(torch.zeros(2, 100), torch.zeros(100, 5), scheme)


def test_no_inputs_give_no_outputs() -> None:
    scheme = CrossbarScheme(4, 4, 64, adc_bits=4)
    assert crossbar_matmul(torch.zeros(0, 9), torch.zeros(9, 2), scheme).shape == (0, 2)
