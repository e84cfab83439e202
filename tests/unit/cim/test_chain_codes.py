"""What happens from partial sums to codes: each effect alone, by its definition."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from cimsearch.cim.chain import Chain, chain_of, codes_of
from cimsearch.cim.columns import ConverterErrors
from cimsearch.cim.epilogue import Settings, eager, weigh
from cimsearch.spec.column_noise import Impulse
from tests.unit.cim.chains import binary, chain, converters, fresh, on_macro, single, sums_of

# Converters.


def errors_of(
    offset: list[float], gain: list[float], inl: Tensor | None = None, index: Any = (0, 0)
) -> ConverterErrors:
    """Errors of two row groups, the second of them as given."""
    where = torch.tensor([[[0] * len(index)], [list(index)]])
    table = torch.zeros(1, 1) if inl is None else inl
    first = [[9.0] * len(index)]
    return ConverterErrors(
        torch.tensor([first, [offset]]), torch.tensor([first, [gain]]), table, where
    )


def test_gain_and_offset_of_a_row_group_by_hand() -> None:
    effects = chain_of(on_macro(), errors_of([1.5, -2.0], [0.25, -0.5]), 1, None, 1.0)
    assert effects is not None
    found = sums_of(torch.tensor([[[8.0], [0.0]]]), torch.ones(1, 2), effects)
    assert found.tolist() == [[[11.5, 2.0], [1.5, -2.0]]]


def test_nonlinearity_by_hand() -> None:
    """Steps of 2 and four codes: a converter that is ideal, and one whose codes 1 and 2 move."""
    inl = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 1.5, -0.5, 0.0]])
    effects = chain_of(on_macro(), errors_of([0, 0], [0, 0], inl, (0, 1)), 1, None, 1.0)
    assert effects is not None
    assert effects.offset is effects.gain is None
    values = torch.tensor([0.0, 1.25, 2.0, 2.75, 3.5, 4.25, 6.0, 9.0, -3.0])
    settings = converters(2, step=2.0, top=3)
    found = codes_of(values.view(1, -1, 1), torch.ones(1, 2), settings, effects, fresh(1), 0)
    assert found[0, :, 0].tolist() == [0, 1, 1, 1, 2, 2, 3, 3, 0]
    # 1.25 is 0.625 steps, nearest 1, so 1.375; 2 and 2.75 go to 1.75 and 2.125; 3.5 to 1.5: even.
    assert found[0, :, 1].tolist() == [0, 1, 2, 2, 2, 2, 3, 3, 0]


def test_halves_are_rounded_to_even_and_codes_end() -> None:
    effects = Chain(offset=torch.tensor([0.5]))
    planes, matrix = single([0, 1, 2, 3, 40, -7])
    codes = codes_of(planes, matrix, converters(1), effects, fresh(1), 0)
    assert codes.flatten().tolist() == [0, 2, 2, 4, 31, 0]


def test_the_exact_gain_of_a_step_is_used() -> None:
    planes, matrix = binary(2, 30, 20), binary(20, 3, seed=1)
    by_step = converters(3, lo=-1, step=0.5)
    by_gain = Settings(by_step.lo, by_step.step, 1 / by_step.step, by_step.scale, by_step.top)
    effects = Chain(sigma=2.0)
    found = [codes_of(planes, matrix, some, effects, fresh(2), 0) for some in (by_step, by_gain)]
    assert torch.equal(*found)


# Impulses.


def hit(impulse: Impulse, code: int, *, vectors: int = 40_000, columns: int = 5) -> Tensor:
    planes = torch.full((2, vectors, 1), float(code))
    effects = chain(on_macro(impulse=impulse))
    assert effects is not None
    return codes_of(planes, torch.ones(1, columns), converters(columns), effects, fresh(4), 0)


def counted(values: Tensor) -> tuple[list[int], list[int]]:
    """Which whole numbers there are, and how many of each."""
    found = Counter(values.flatten().to(torch.int64).tolist())
    return sorted(found), [found[value] for value in sorted(found)]


def test_certain_impulses_flip_one_bit_each_as_likely() -> None:
    code = 0b10110
    flipped = (hit(Impulse(probability=1.0), code).to(torch.int64) ^ code).flatten()
    values, counts = counted(flipped)
    assert values == [1, 2, 4, 8, 16]
    n = len(flipped)
    assert max(abs(count / n - 0.2) for count in counts) < 5 * (0.2 * 0.8 / n) ** 0.5


def test_impulses_of_codes_are_cut_off_at_the_ends() -> None:
    kind: Any = {"kind": "codes", "codes": 3, "probability": 1.0}
    for code, both in ((10, [7, 13]), (1, [0, 4]), (30, [27, 31])):
        values, counts = counted(hit(Impulse(**kind), code))
        assert values == both
        n = sum(counts)
        assert abs(counts[0] / n - 0.5) < 5 * 0.5 / n**0.5


@pytest.mark.parametrize("probability", [1e-3, 0.3])
def test_impulses_are_as_rare_as_stated(probability: float) -> None:
    changed = hit(Impulse(probability=probability), 12) != 12
    n = changed.numel()
    error = 5 * (probability * (1 - probability) / n) ** 0.5
    assert abs(float(changed.float().mean()) - probability) < error
    by_image, by_column = changed.view(2, 4, -1).float().mean(-1), changed.float().mean((0, 1))
    for shares in (by_image.flatten(), by_column):
        assert float((shares - probability).abs().max()) < error * len(shares) ** 0.5


def test_an_impulse_hits_the_code_that_the_converter_gives() -> None:
    """A sum beyond the range is code 31, and one bit of that flips."""
    flipped = hit(Impulse(probability=1.0), 500).to(torch.int64) ^ 31
    assert counted(flipped)[0] == [1, 2, 4, 8, 16]


def test_an_effect_too_small_to_matter_gives_the_ideal_codes() -> None:
    """The same codes as the converters' own function, ties and ends included."""
    planes, matrix = binary(3, 40, 30), binary(30, 4, seed=1)
    settings = converters(4, lo=2.0, step=2.0, top=5)
    found = codes_of(planes, matrix, settings, Chain(saturation=("clip", 1e6)), fresh(2), 0)
    weights = torch.tensor([1.0, 2.0, 4.0])
    ideal = eager(planes @ matrix, weights, settings)
    assert torch.equal(weigh(found, weights, settings), ideal)
