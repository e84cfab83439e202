"""Weight codes as cells hold them, and back."""

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.cim import LayerNumerics
from cimsearch.export.cells import codes_of, slices_of
from cimsearch.spec.hardware import Encoding


@st.composite
def numerics(draw: st.DrawFn) -> LayerNumerics:
    encoding = draw(st.sampled_from(get_args(Encoding)))
    cells = st.just(1) if encoding == "twos_complement" else st.integers(1, 4)
    return LayerNumerics(draw(st.integers(2, 9)), 4, encoding=encoding, cell_bits=draw(cells))


@given(numerics=numerics(), seed=st.integers(0, 1000))
def test_slices_give_the_codes_back(numerics: LayerNumerics, seed: int) -> None:
    generator, limit = torch.Generator().manual_seed(seed), numerics.w_limit
    codes = torch.randint(-limit, limit + 1, (3, 2, 3, 1), generator=generator).float()
    codes.view(-1)[:2] = torch.tensor((-limit, limit))
    slices = slices_of(codes, numerics)
    assert len(slices) == len(numerics.slice_weights)
    sides = 2 if numerics.encoding.startswith("differential") else 1
    for levels in slices:
        assert levels.shape == (sides, 3, 6)
        assert int(levels.max()) < 2**numerics.cell_bits
    assert torch.equal(codes_of(slices, numerics), codes.flatten(1).to(torch.int64))


@pytest.mark.parametrize(
    ("encoding", "by_hand"),
    [
        ("offset", [[[1, 0]], [[0, 1]], [[0, 1]]]),
        ("twos_complement", [[[1, 0]], [[0, 1]], [[1, 0]]]),
        ("differential", [[[0, 0], [1, 0]], [[0, 1], [1, 0]]]),
        ("differential_digital", [[[0, 0], [1, 0]], [[0, 1], [1, 0]]]),
    ],
)
def test_minus_3_and_2_in_3_bits(encoding: Encoding, by_hand: list[list[list[int]]]) -> None:
    """Offset stores 1 and 6, two's complement 5 and 2, pairs the magnitudes 3 and 2."""
    codes = torch.tensor((-3.0, 2.0)).view(1, 2, 1, 1)
    slices = slices_of(codes, LayerNumerics(3, 4, encoding=encoding))
    assert [levels[:, 0].tolist() for levels in slices] == by_hand
