"""Normalisation and augmentation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.spec.study import Augmentation, Normalisation, NpzData
from cimsearch.training.data import augment, normalise

RGB = NpzData(kind="npz", shape=(3, 5, 4), classes=2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_uint8_is_scaled_to_one() -> None:
    x = np.arange(120, dtype=np.uint8).reshape(2, 3, 5, 4)
    x.flags.writeable = False
    found = normalise(x, RGB)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), x / 255, rtol=1e-6)


def test_floats_are_taken_as_stored_and_not_changed() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    before = x.copy()
    data = RGB.model_copy(
        update={"normalisation": Normalisation(mean=(1.0, 2.0, 3.0), std=(0.5, 1.0, 2.0))}
    )
    np.testing.assert_array_equal(normalise(x, RGB).numpy(), x)
    mean, std = np.array([1, 2, 3]).reshape(3, 1, 1), np.array([0.5, 1, 2]).reshape(3, 1, 1)
    np.testing.assert_allclose(normalise(x, data).numpy(), (x - mean) / std, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(x, before)


SHAPES = st.tuples(
    st.integers(1, 5), st.integers(1, 3), st.sampled_from([1, 4, 7]), st.sampled_from([5, 8])
)


@settings(deadline=None)
@given(SHAPES, st.integers(0, 3), st.booleans(), st.integers(0, 2**31))
def test_shape_and_repeatability(
    shape: tuple[int, int, int, int], shift: int, flip: bool, seed: int
) -> None:
    batch = torch.randn(shape, generator=generator(1))
    before = batch.clone()
    kind = Augmentation(shift_pixels=shift, flip=flip)
    first, again = (augment(batch, kind, generator(seed)) for _ in range(2))
    assert first.shape == batch.shape
    assert first.dtype == batch.dtype
    assert torch.equal(first, again)
    assert torch.equal(batch, before)


@settings(deadline=None)
@given(SHAPES, st.integers(1, 3), st.integers(0, 2**31))
def test_each_image_is_a_zero_padded_shift(
    shape: tuple[int, int, int, int], shift: int, seed: int
) -> None:
    batch = torch.rand(shape, generator=generator(1)) + 1
    found = augment(batch, Augmentation(shift_pixels=shift), generator(seed))
    vertical = range(-shift, shift + 1) if shape[2] > 1 else (0,)
    padded = torch.nn.functional.pad(batch, (shift,) * 4)
    for index, image in enumerate(found):
        windows = [
            padded[index, :, shift + dy : shift + dy + shape[2], shift + dx :][..., : shape[3]]
            for dy in vertical
            for dx in range(-shift, shift + 1)
        ]
        assert any(torch.equal(image, window) for window in windows)


def test_nothing_to_do_is_the_batch_itself() -> None:
    batch = torch.randn(3, 1, 4, 4, generator=generator())
    assert augment(batch, Augmentation(), generator()) is batch


def test_signals_shift_in_time_only() -> None:
    batch = torch.arange(1.0, 17.0).view(1, 1, 1, 16).expand(200, 2, 1, 16)
    found = augment(batch, Augmentation(shift_pixels=2), generator())
    firsts = found[:, 0, 0, 0].tolist()
    assert set(firsts) == {0.0, 1.0, 2.0, 3.0}
    assert (found > 0).sum(dim=(1, 2, 3)).min() >= 2 * 14


def test_shifts_are_uniform_and_independent_by_side() -> None:
    batch = torch.zeros(9000, 1, 7, 7)
    batch[:, 0, 3, 3] = 1
    found = augment(batch, Augmentation(shift_pixels=1), generator(3))
    counts = found.sum(dim=(0, 1))
    assert counts.sum() == 9000
    assert (counts[2:5, 2:5] - 1000).abs().max() < 150


@pytest.mark.parametrize("seed", range(3))
def test_half_of_the_images_are_mirrored(seed: int) -> None:
    batch = torch.arange(8.0).view(1, 1, 2, 4).expand(4000, 1, 2, 4)
    found = augment(batch, Augmentation(flip=True), generator(seed))
    mirrored = (found == batch.flip(3)).all(dim=(1, 2, 3))
    same = (found == batch).all(dim=(1, 2, 3))
    assert bool((mirrored ^ same).all())
    assert abs(int(mirrored.sum()) - 2000) < 160
