"""A recipe's losses in a whole training: what each lowers, and what none of them changes."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch

from cimsearch.networks import Network, build
from cimsearch.spec import load_hardware
from cimsearch.spec.losses import Losses
from cimsearch.spec.study import Level, Recipe
from cimsearch.training.checkpoint import Course, State
from cimsearch.training.losses import ExtraLosses, cross_entropy
from cimsearch.training.losses.bits import on_macro, ones_share
from cimsearch.training.losses.clean import clean_logits, divergence
from cimsearch.training.losses.overflow import Inputs, overflow
from cimsearch.training.losses.weights import binarisation, kurtosis, peak
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData, train_candidate
from tests.unit.training.test_checkpoint import images
from tests.unit.training.test_learning import fitting_parent, network, same, small, state
from tests.unit.training.test_recipe import RECIPE, generator, training

ENTRIES: dict[str, dict[str, Any]] = {
    "bit_sparsity": {"weight": 10.0},
    "binarisation": {"weight": 5.0, "ramp_frac": 0.3},
    "range_shaping": {"weight": 0.3},
    "noise_insensitivity": {"weight": 1.0},
    "adc_overflow": {"weight": 10.0, "range_frac": 0.5},
}


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def overflow_of(built: Network) -> float:
    inputs = Inputs([layer for layer in built.cim_layers() if layer.converters.row_groups])
    with torch.enable_grad():
        built.train()(training().sample(64, torch.Generator().manual_seed(5)))
    found = [
        float(overflow(layer, x.detach(), 0.5).detach()) for layer, x in inputs.take().items()
    ]
    inputs.close()
    return mean(found)


TARGETS: dict[str, Callable[[Network], float]] = {
    "bit_sparsity": lambda built: mean([float(ones_share(x, 1e-6)) for x in on_macro(built)]),
    "binarisation": lambda built: mean(
        [float(binarisation(x.weight)) for x in built.cim_layers() if x.numerics.w_bits == 2]
    ),
    "range_shaping": lambda built: mean(
        [abs(float(kurtosis(layer.weight)) - 1.8) for layer in built.cim_layers()]
    ),
    "adc_overflow": overflow_of,
}
ONE_CONVERSION = load_hardware("macros/choi_cicc_2022").macro
"""A macro that converts the whole sum of a row group at once."""


def untrained(bits: int) -> Network:
    """A network on that macro where its weights have 4 bits, else on the tests' usual one."""
    if bits != 4:
        return network(bits)
    built = build(small(4).blueprint, ONE_CONVERSION, generator=generator(2))
    inherit(built, fitting_parent(4))
    built.calibrate(training().sample(128, generator(3)))
    return built


def ended(
    losses: dict[str, Any], *, bits: int = 4, level: Level = "L1", data: TrainingData | None = None
) -> Network:
    """A network after an epoch; one stream draws order and noise, as in an evaluation."""
    built = untrained(bits)
    recipe = Recipe.model_validate(dict(RECIPE) | {"losses": losses})
    train_candidate(
        built, data or images(), recipe, epochs=1, level=level, generator=built._generator
    )
    return built


@lru_cache
def plain(bits: int = 4) -> Network:
    return ended({}, bits=bits, data=training())


@pytest.mark.parametrize("name", TARGETS)
def test_each_lowers_what_it_is_for(name: str) -> None:
    bits = 2 if name == "binarisation" else 4
    built = ended({name: ENTRIES[name]}, bits=bits, data=training())
    before = plain(bits)
    with torch.no_grad():
        assert TARGETS[name](built) < 0.9 * TARGETS[name](before)


def test_a_peak_is_lowered_to_what_is_allowed() -> None:
    entry = {"weight": 3.0, "shape": "peak", "target": 1.5}
    built = ended({"range_shaping": entry}, data=training())
    peaks = [
        mean([float(peak(layer.weight.detach()).mean()) for layer in each.cim_layers()])
        for each in (built, plain())
    ]
    assert peaks[0] < 0.9 * peaks[1]


def test_noise_moves_logits_less() -> None:
    sample = training().sample(256, torch.Generator().manual_seed(0))
    moved = []
    for weight in (0.0, 10.0):
        built = ended({"noise_insensitivity": {"weight": weight}}, bits=3, data=training())
        built.set_mode("L1")
        built.train()
        with torch.no_grad():
            passes = [built(sample) for _ in range(8)]
            moved.append(mean([float(divergence(y, clean_logits(built, sample))) for y in passes]))
    assert moved[1] < 0.9 * moved[0]


def test_weight_0_trains_the_same_bits_as_without() -> None:
    off = {name: entry | {"weight": 0.0} for name, entry in ENTRIES.items()}
    assert same(state(ended({})), state(ended(off)))


@pytest.mark.parametrize("level", ["L0", "L1", "L2"])
def test_no_loss_draws_a_number_and_none_stays_behind(level: Level) -> None:
    without, beside = ended({}, level=level), ended(ENTRIES, level=level)
    assert not same(state(without), state(beside))
    streams = [built._generator.get_state() for built in (without, beside)]
    assert torch.equal(*streams)
    assert not any(layer._forward_pre_hooks for layer in beside.cim_layers())
    assert state(without).keys() == state(beside).keys()


def test_a_training_with_all_of_them_goes_on_anywhere_with_the_same_bits() -> None:
    recipe = Recipe.model_validate(dict(RECIPE) | {"losses": ENTRIES})
    kept: dict[int, State] = {}

    def after(epoch: int, _accuracy: float, now: Callable[[], State]) -> None:
        found = now()
        weights = {name: values.clone() for name, values in found.weights.items()}
        momentum = {name: values.clone() for name, values in found.momentum.items()}
        kept.setdefault(epoch, State(epoch, weights, momentum, found.generator))

    ends = []
    for begin in (None, 1):
        built = network(2)
        course = Course(None if begin is None else kept[begin], after)
        train_candidate(
            built, images(), recipe, epochs=2, level="L1", generator=built._generator,
            course=course,
        )  # fmt: skip
        ends.append(state(built))
    assert same(*ends)


def test_losses_of_no_layer_leave_the_task_s_own_loss_as_it_is() -> None:
    nowhere = {
        name: {"weight": 1.0, "layers": "stage9.*"}
        for name in ENTRIES
        if name != "noise_insensitivity"
    }
    extra = ExtraLosses(network(), Losses.model_validate(nowhere))
    assert extra.beside(cross_entropy) is cross_entropy
    # Weights of 4 bits have more than one size.
    binary = Losses.model_validate({"binarisation": {"weight": 1.0}})
    assert ExtraLosses(network(4), binary).beside(cross_entropy) is cross_entropy


def test_losses_add_up_by_their_weights_and_ramps() -> None:
    built = network(2)
    both = {"binarisation": {"weight": 2.0, "ramp_frac": 0.5}, "range_shaping": {"weight": 3.0}}
    extra = ExtraLosses(built, Losses.model_validate(both))
    loss = extra.beside(cross_entropy)
    logits, classes, x = torch.zeros(2, 10), torch.tensor([0, 1]), torch.zeros(2, 1, 8, 8)
    layers = list(built.cim_layers())
    binary = mean(
        [float(binarisation(x.weight.detach())) for x in layers if x.numerics.w_bits == 2]
    )
    shaped = mean([(float(kurtosis(layer.weight.detach())) - 1.8) ** 2 for layer in layers])
    hard = float(cross_entropy(logits, x, classes))
    for progress, ramp in ((0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (1.0, 1.0)):
        extra.set(progress)
        found = float(loss(logits, x, classes).detach())
        assert found == pytest.approx(hard + 2.0 * ramp * binary + 3.0 * shaped, rel=1e-4)
