"""All effects together: codes that depend on nothing but the image and its place."""

import pytest
import torch
from torch import Tensor

from cimsearch.cim.chain import Chain, codes_of, on_grid
from cimsearch.cim.epilogue import Settings
from tests.unit.cim.builders import generator
from tests.unit.cim.chains import FINE, binary, chain, converters, everything, fresh, on_macro


def by_parts(
    planes: Tensor, matrix: Tensor, effects: Chain, sizes: tuple[int, ...], positions: int
) -> Tensor:
    noise, settings, first, codes = fresh(sum(sizes)), converters(matrix.shape[1], step=2.5), 0, []
    for size in sizes:
        some = planes[:, first * positions : (first + size) * positions]
        own = noise.of(first, first + size)
        codes.append(codes_of(some, matrix, settings, effects, own, 7))
        first += size
    return torch.cat(codes, dim=1)


SPLITS = [(1,) * 6, (1, 5), (4, 2), (2, 1, 3)]


@pytest.mark.parametrize("sizes", SPLITS)
@pytest.mark.parametrize("positions", [1, 49])
@pytest.mark.parametrize("dac_bits", [1, 2])
def test_codes_do_not_depend_on_which_images_come_together(
    sizes: tuple[int, ...], positions: int, dac_bits: int
) -> None:
    """With every effect and cells that have errors, to the last bit."""
    columns, images = 600, sum(sizes)
    numerics, given = everything(dac_bits, columns)
    effects = chain(numerics, **given)
    assert effects is not None
    largest = 2**dac_bits - 1
    planes = binary(2, images * positions, 40, largest=largest)
    cells = binary(40, columns, seed=1) + 0.1 * torch.randn(40, columns, generator=generator(2))
    matrix = on_grid(cells, largest)
    whole = by_parts(planes, matrix, effects, (images,), positions)
    assert torch.equal(by_parts(planes, matrix, effects, sizes, positions), whole)


@pytest.mark.parametrize("sizes", SPLITS)
def test_so_it_is_without_disturbed_inputs(sizes: tuple[int, ...]) -> None:
    """Products in float32, of cells on a grid, beside read noise."""
    power = 0.01 * torch.rand(40, 600, generator=generator(5))
    effects = chain(on_macro(changes={"adc_sigma_frac": 0.01}), read_power=power)
    assert effects is not None
    planes = binary(3, 6, 40)
    matrix = on_grid(torch.rand(40, 600, generator=generator(2)), 1)
    whole = by_parts(planes, matrix, effects, (6,), 1)
    assert torch.equal(by_parts(planes, matrix, effects, sizes, 1), whole)


def test_parts_have_noise_of_their_own() -> None:
    planes, matrix = binary(2, 500, 20), binary(20, 4, seed=1)
    settings = converters(4, step=FINE, top=2**20)
    first, second = (
        codes_of(planes, matrix, settings, Chain(sigma=0.5), fresh(2), part) * FINE
        - planes @ matrix
        for part in (3, 4)
    )
    assert abs(float((first * second).mean())) < 5 * 0.25 / first.numel() ** 0.5


@pytest.mark.parametrize("dtype", [torch.int8, torch.bfloat16, torch.float32])
def test_any_type_of_a_whole_matrix_gives_the_same(dtype: torch.dtype) -> None:
    planes, matrix = binary(4, 32, 64, largest=3), binary(64, 16, seed=1)
    numerics, given = everything(2, 16)
    power = given["read_power"].repeat(2, 1)[:64]
    for effects in (
        chain(numerics, errors=given["errors"], read_power=power),
        Chain(sigma=1.0, read_power=on_grid(power, 9)),
    ):
        assert effects is not None
        settings = converters(16, step=4.0)
        expected = codes_of(planes, matrix, settings, effects, fresh(4), 0)
        found = codes_of(planes.to(dtype), matrix.to(dtype), settings, effects, fresh(4), 0)
        assert torch.equal(found, expected)
        assert found.dtype == torch.float32


def test_codes_are_computed_in_the_type_of_their_settings() -> None:
    one, points = torch.ones(1, dtype=torch.float64), torch.tensor([0.0, 2.0**26])
    settings = Settings(0 * one, one, None, one.view(1, 1), 2.0**30)
    planes = torch.full((1, 1, 1), 2.0**24 + 1, dtype=torch.float64)
    effects = Chain(offset=torch.ones(1), transfer=(points, points, 0 * points))
    found = codes_of(planes, one.view(1, 1), settings, effects, fresh(1), 0)
    assert found.item() == 2**24 + 2


def test_no_images_give_no_codes() -> None:
    numerics, given = everything()
    effects = chain(numerics, **given)
    assert effects is not None
    codes = codes_of(torch.zeros(2, 0, 40), torch.ones(40, 6), converters(6), effects, fresh(0), 0)
    assert codes.shape == (2, 0, 6)


def test_a_grid_is_as_fine_as_float32_and_sums_on_it_are_exact() -> None:
    values = torch.rand(256, 40, generator=generator(6), dtype=torch.float64) * 3
    rounded = on_grid(values, 15)
    bound = float(values.sum(dim=0).max()) * 15
    assert float((rounded - values).abs().max()) <= 2 * bound / 2**23
    inputs = binary(50, 256, largest=15)
    assert torch.equal((inputs @ rounded).double(), inputs.double() @ rounded.double())
    assert torch.equal(on_grid(binary(9, 4), 1), binary(9, 4))
    assert not bool(on_grid(torch.zeros(3, 2), 1).any())
