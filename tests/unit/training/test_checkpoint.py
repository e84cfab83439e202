"""A training that is interrupted after any epoch and goes on ends with the same bits."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch

from cimsearch.networks import Network, build
from cimsearch.spec.recipe import NoiseEntry
from cimsearch.spec.study import Augmentation, Recipe
from cimsearch.training.checkpoint import Course, State, from_bytes, to_bytes
from cimsearch.training.data import Images
from cimsearch.training.recipe import TrainingData, train_candidate, train_float
from tests.unit.training.test_learning import fitting_parent, network, same, small, state
from tests.unit.training.test_recipe import RECIPE, generator, training

EPOCHS = 2
EVERYTHING: dict[str, Any] = {
    "steps": "learned",
    "partial_sum_steps": "learned",
    "noise": (
        NoiseEntry(on="weights", sigma_frac=0.05),
        NoiseEntry(on="activations", sigma_frac=0.02, every=2),
        NoiseEntry(on="partial_sums", sigma_frac=0.01, layers="stage1.*"),
    ),
    "distillation": {"weight": 0.5, "temperature": 2.0},
}
RECIPES = {"plain": {}, "everything": EVERYTHING, "no momentum": {"momentum": 0.0}}

Train = Callable[[Course], Network]


@lru_cache
def images() -> TrainingData:
    """As few as show a difference."""
    whole = training()
    few = Images(whole.images.x[:200], whole.images.y[:200])
    shifted = whole.data.model_copy(update={"augmentation": Augmentation(shift_pixels=1)})
    return TrainingData(few, shifted)


class Log:
    """What a training told after each epoch, with its states as files."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.accuracies: list[float] = []
        self.files: dict[int, bytes] = {}

    def __call__(self, epoch: int, accuracy: float, state: Callable[[], State]) -> None:
        self.epochs.append(epoch)
        self.accuracies.append(accuracy)
        self.files[epoch] = to_bytes(state(), "key")


def float_network(course: Course, recipe: Recipe) -> Network:
    stream = generator()
    built = build(small(4).parent, None, generator=stream)
    train_float(built, images(), recipe, generator=stream, course=course)
    return built


def candidate(course: Course, recipe: Recipe, level: Any = "L1", policy: Any = "layer") -> Network:
    built = network(adc_bits=3, policy=policy)
    # One stream draws order and noise, as in an evaluation.
    train_candidate(
        built,
        images(),
        recipe,
        epochs=EPOCHS,
        level=level,
        generator=built._generator,
        teacher=fitting_parent(4),
        course=course,
    )
    # What follows training draws from the same stream, and fits ranges to what was learned.
    built.calibrate(images().sample(64, built._generator))
    return built


def fitted(built: Network) -> list[torch.Tensor]:
    """What calibration left of the quantised layers beside their parameters."""
    found = []
    for layer in built.cim_layers():
        found.append(torch.tensor([layer.x_scale, layer.w_share, layer.activity_frac]))
        if layer._ranges is not None:
            ranges = layer._ranges
            found += [torch.from_numpy(v) for v in (ranges.lo, ranges.lsb, ranges.clip_power)]
            found.append(layer._equivalent.sigma)
    return found


def goes_on_anywhere(train: Train, epochs: int) -> None:
    """Check that a training ends the same whichever checkpoint it goes on from."""
    log = Log()
    whole = train(Course(None, log))
    assert log.epochs == list(range(1, epochs + 1))
    for epoch, file in log.files.items():
        later = Log()
        again = train(Course(from_bytes(file), later))
        assert later.epochs == log.epochs[epoch:]
        assert later.accuracies == log.accuracies[epoch:]
        assert same(state(whole), state(again))
        assert not again.training
        both = zip(fitted(whole), fitted(again), strict=True)
        assert all(torch.equal(a, b) for a, b in both)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_a_float_network(momentum: float) -> None:
    recipe = RECIPE.model_copy(update={"momentum": momentum})
    goes_on_anywhere(lambda course: float_network(course, recipe), recipe.parent_epochs)


@pytest.mark.parametrize("name", RECIPES)
def test_a_candidate(name: str) -> None:
    recipe = Recipe.model_validate(dict(RECIPE) | RECIPES[name])
    goes_on_anywhere(lambda course: candidate(course, recipe), EPOCHS)


@pytest.mark.parametrize(("level", "policy"), [("L0", "layer"), ("L2", "layer"), ("L1", "column")])
def test_a_candidate_at_other_levels_and_ranges(level: str, policy: str) -> None:
    learned = {} if level != "L1" else {"partial_sum_steps": "learned", "steps": "learned"}
    recipe = Recipe.model_validate(dict(RECIPE) | learned)
    goes_on_anywhere(lambda course: candidate(course, recipe, level, policy), EPOCHS)


def test_the_share_that_was_right_is_that_of_the_epoch() -> None:
    log = Log()
    float_network(Course(None, log), RECIPE)
    seen = images().steps(RECIPE.batch) * RECIPE.batch
    counts = [accuracy * seen for accuracy in log.accuracies]
    assert counts == pytest.approx([round(count) for count in counts])
    assert 0 <= counts[0] < counts[-1] <= seen


def test_watching_changes_nothing() -> None:
    watched = float_network(Course(None, Log()), RECIPE)
    stream = generator()
    alone = build(small(4).parent, None, generator=stream)
    train_float(alone, images(), RECIPE, generator=stream)
    assert same(state(watched), state(alone))
