"""The recipe learns, follows its schedules, and repeats."""

from functools import lru_cache

import pytest
import torch

from cimsearch.errors import CimsearchError
from cimsearch.networks import Network, build
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.study import Augmentation, DigitsData, Recipe
from cimsearch.training.accuracy import accuracy, accuracy_of_chips
from cimsearch.training.data import Images, load_part
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import (
    TrainingData,
    cosine,
    one_cycle,
    train_candidate,
    train_float,
)

MACRO = load_hardware("macros/yu_cicc_2020").macro
DATA = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
RECIPE = Recipe(batch=64, parent_epochs=4, parent_lr=0.2, qat_lr=0.05)
CANDIDATE = Space(load_space_spec("vgg_tiny")).sample(1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@lru_cache
def training() -> TrainingData:
    return TrainingData(load_part(DATA, None, "train"), DATA)


@lru_cache
def validation() -> Images:
    return load_part(DATA, None, "validation")


@lru_cache
def parent() -> Network:
    return fresh_parent(RECIPE)


def fresh_parent(recipe: Recipe) -> Network:
    network = build(CANDIDATE.parent, None, generator=generator())
    train_float(network, training(), recipe, generator=generator(1))
    return network


def candidate(level: str = "L1", epochs: int = 2) -> Network:
    network = build(CANDIDATE.blueprint, MACRO, generator=generator(2))
    inherit(network, parent())
    network.calibrate(training().sample(128, generator(3)))
    train_candidate(
        network,
        training(),
        RECIPE,
        epochs=epochs,
        level="L0" if level == "L0" else "L1",
        generator=generator(4),
    )
    return network


def test_schedules() -> None:
    assert one_cycle(0.0) == pytest.approx(0.04)
    assert one_cycle(0.3) == pytest.approx(1.0)
    assert one_cycle(1.0) == pytest.approx(0.0)
    assert cosine(0.0) == 1.0
    assert cosine(0.5) == pytest.approx(0.5)


def test_an_epoch_is_every_image_at_most_once_in_whole_batches() -> None:
    batches = list(training().epoch(100, generator()))
    assert len(batches) == training().steps(100) == len(training().images.y) // 100
    assert all(x.shape == (100, 1, 8, 8) and y.shape == (100,) for x, y in batches)
    assert not torch.equal(batches[0][1], next(training().epoch(100, generator(1)))[1])


def test_a_batch_larger_than_the_data_is_the_data() -> None:
    few = Images(training().images.x[:50], training().images.y[:50])
    [(x, y)] = TrainingData(few, DATA).epoch(64, generator())
    assert sorted(y.tolist()) == sorted(few.y.tolist())
    assert x.shape == (50, 1, 8, 8)


def test_a_float_parent_learns() -> None:
    assert accuracy(parent(), validation(), DATA) > 0.9


def test_training_repeats_bit_for_bit() -> None:
    again = fresh_parent(RECIPE)
    same = zip(parent().state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


@pytest.mark.parametrize("level", ["L0", "L1"])
def test_a_candidate_learns_through_its_hardware(level: str) -> None:
    network = candidate(level)
    chips = accuracy_of_chips(network, validation(), DATA, level="L1", chips=range(2))
    assert len(chips) == 2
    assert min(chips) > 0.5


def test_chips_are_common_and_in_order() -> None:
    network = candidate(epochs=1)
    three = accuracy_of_chips(network, validation(), DATA, level="L1", chips=range(3))
    later = accuracy_of_chips(network, validation(), DATA, level="L1", chips=range(1, 3))
    assert three[1:] == later


def test_augmentation_is_part_of_training() -> None:
    shifted = TrainingData(
        training().images, DATA.model_copy(update={"augmentation": Augmentation(shift_pixels=2)})
    )
    plain, _ = next(training().epoch(16, generator()))
    moved, _ = next(shifted.epoch(16, generator()))
    assert not torch.equal(plain, moved)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_divergence_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(CimsearchError, match="training diverged: loss is nan after epoch 1 of 4"):
        fresh_parent(RECIPE.model_copy(update={"parent_lr": 1e30}))
