"""Fresh noise: normal, keyed by image and part, independent of how images are put in batches."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cimsearch.cim.noise import MOST_AT_ONCE, Noise, NoiseStream
from tests.unit.cim.builders import generator

LONG = MOST_AT_ONCE + 1000
ONE = torch.ones(1)


def noise(images: int = 6, *, together: bool = False, base: int = 10**15) -> Noise:
    return Noise(np.arange(base, base + images, dtype=np.uint64), together)


def images_of(count: int, c: int = 4, h: int = 5, w: int = 3) -> Tensor:
    return torch.zeros(count, c, h, w).contiguous(memory_format=torch.channels_last)


def added(drawn: Noise, *, part: int = 0, h: int = 5, w: int = 3) -> Tensor:
    y = images_of(len(drawn.seeds), h=h, w=w)
    drawn.add_to(y, ONE, part)
    return y


def assert_standard_normal(values: Tensor) -> None:
    """The first four moments, within five standard errors."""
    z, n = values.flatten().double(), values.numel()
    assert abs(float(z.mean())) < 5 / n**0.5
    assert abs(float(z.square().mean()) - 1) < 5 * (2 / n) ** 0.5
    assert abs(float((z**3).mean())) < 5 * (15 / n) ** 0.5
    assert abs(float((z**4).mean()) - 3) < 5 * (96 / n) ** 0.5


def assert_uncorrelated(a: Tensor, b: Tensor) -> None:
    product = float((a.flatten() * b.flatten()).mean())
    assert abs(product) < 5 / a.numel() ** 0.5


@pytest.mark.parametrize("split", [(1, 1, 1, 1, 1, 1), (2, 4), (3, 1, 2), (6,)])
def test_results_do_not_depend_on_the_batch_split(split: tuple[int, ...]) -> None:
    whole = noise()
    stops = np.cumsum(split).tolist()
    parts = [whole.of(stop - size, stop) for size, stop in zip(split, stops, strict=True)]
    assert torch.equal(torch.cat([added(some, part=3) for some in parts]), added(whole, part=3))
    normal = [some.normal(some.seeds, 3, 50) for some in parts]
    assert torch.equal(torch.cat(normal), whole.normal(whole.seeds, 3, 50))
    rare = [own.random() for some in parts for own in some.generators(3)]
    assert rare == [own.random() for own in whole.generators(3)]


def test_a_large_image_has_noise_of_its_own_in_any_batch() -> None:
    """Images of more values than one read gives."""
    side = 400
    assert 4 * side * side > MOST_AT_ONCE
    whole = noise(3)
    y = added(whole, h=side, w=side)
    assert_uncorrelated(y[0], y[1])
    assert_uncorrelated(y[1], y[2])
    for image in range(3):
        assert torch.equal(added(whole.of(image, image + 1), h=side, w=side)[0], y[image])


@pytest.mark.parametrize("together", [False, True])
def test_noise_is_standard_normal(together: bool) -> None:
    assert_standard_normal(added(noise(together=together), h=60, w=50))


def test_normal_is_standard_normal() -> None:
    drawn = noise(8)
    assert_standard_normal(drawn.normal(drawn.seeds, 0, 10_000))


def test_noise_is_scaled_by_channel_and_added() -> None:
    drawn, sigma = noise(2), torch.tensor([0.0, 0.5, 1.0, 2.0])
    y = images_of(2).fill_(7.0)
    drawn.add_to(y, sigma)
    unit = added(drawn)
    assert torch.allclose(y, 7 + unit * sigma.view(-1, 1, 1))
    assert bool((y[:, 0] == 7).all())


def test_float64_gets_the_same_noise() -> None:
    drawn = noise(2)
    y = images_of(2).double()
    drawn.add_to(y, ONE)
    assert torch.equal(y, added(drawn).double())


def test_parts_and_images_are_independent() -> None:
    drawn = noise(4)
    parts = torch.stack(
        [drawn.normal(drawn.seeds, part, 20_000) for part in (0, 1, 2, 8, 1 << 20)]
    )
    rows = parts.flatten(0, 1)
    for a in range(len(rows)):
        for b in range(a):
            assert_uncorrelated(rows[a], rows[b])


def test_no_two_parts_or_images_read_the_same_place() -> None:
    """Of 20,000 reads among half a million places, about 380 pairs meet by chance."""
    drawn = noise(200)
    first = torch.cat([drawn.normal(drawn.seeds, part, 2) for part in range(100)])
    met = len(first) - len(set(map(tuple, first.tolist())))
    assert met < 380 + 5 * 380**0.5


def test_a_long_read_goes_on_with_other_numbers() -> None:
    drawn = noise(2)
    long = drawn.normal(drawn.seeds, 5, LONG)
    assert torch.equal(long[:, :MOST_AT_ONCE], drawn.normal(drawn.seeds, 5, MOST_AT_ONCE))
    rest = long[:, MOST_AT_ONCE:]
    assert not torch.equal(rest, long[:, : LONG - MOST_AT_ONCE])
    assert_uncorrelated(rest, long[:, : LONG - MOST_AT_ONCE])
    assert_uncorrelated(rest[0], rest[1])


def test_generators_differ_by_image_and_part() -> None:
    drawn = noise(5)
    first = [own.random() for part in range(4) for own in drawn.generators(part)]
    assert len(set(first)) == 20


def test_together_neighbours_share_one_read() -> None:
    """One read serves all images that fit, so that they are parts of it, one after the other."""
    drawn = noise(6, together=True)
    y = added(drawn)
    one_read = drawn.normal(drawn.seeds[:1], 0, y.numel()).view(6, 5, 3, 4).permute(0, 3, 1, 2)
    assert torch.equal(y, one_read)


def test_together_a_large_image_has_noise_of_its_own() -> None:
    y = added(noise(2, together=True), h=400, w=400)
    assert_uncorrelated(y[0], y[1])


def test_a_chips_stream_is_the_same_in_any_batches() -> None:
    at_once = NoiseStream((3, "conv1")).next(5)
    stream = NoiseStream((3, "conv1"))
    in_turn = np.concatenate([stream.next(2).seeds, stream.next(1).seeds, stream.next(2).seeds])
    assert at_once.seeds.tolist() == in_turn.tolist()
    assert not at_once.together


@pytest.mark.parametrize("other", [(4, "conv1"), (3, "conv2")])
def test_chips_and_layers_have_streams_of_their_own(other: tuple[int, str]) -> None:
    first, second = NoiseStream((3, "conv1")).next(4), NoiseStream(other).next(4)
    a, b = (drawn.normal(drawn.seeds, 0, 20_000) for drawn in (first, second))
    assert_uncorrelated(a, b)


def test_training_draws_new_noise_at_each_step_from_its_generator() -> None:
    stream, again = NoiseStream(generator(1)), NoiseStream(generator(1))
    first, second = stream.next(4), stream.next(4)
    assert first.together
    assert first.seeds.tolist() == again.next(4).seeds.tolist()
    assert not set(first.seeds.tolist()) & set(second.seeds.tolist())
    assert not torch.equal(added(first), added(second))


def test_no_images_have_no_noise() -> None:
    drawn = noise(0)
    assert drawn.normal(drawn.seeds, 0, 7).shape == (0, 7)
    assert drawn.generators(0) == []
    assert added(drawn).numel() == 0
