"""What a recipe may train beside weights, and with which noise and teacher."""

from functools import lru_cache
from typing import Any

import pytest
import torch

from cimsearch.cim import CimLayer
from cimsearch.cim.training_noise import TrainingNoise
from cimsearch.errors import HardwareError, UsageError
from cimsearch.networks import Network, build
from cimsearch.space import Candidate, Space
from cimsearch.spec import load_space_spec
from cimsearch.spec.hardware import RangePolicy
from cimsearch.spec.recipe import NoiseEntry
from cimsearch.spec.study import Level, Recipe
from cimsearch.training.noise import NoiseSchedule
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import _parameters, train_candidate, train_float
from tests.unit.training.test_recipe import MACRO, RECIPE, generator, training

SPACE = Space(load_space_spec("vgg_tiny"))


@lru_cache
def small(bits: int) -> Candidate:
    """The smallest candidate of the tests' family, with ``bits`` everywhere."""
    values = {
        gene.name: 0.0
        if gene.name.endswith("ratio")
        else bits
        if gene.name.endswith("bits")
        else 2
        if gene.name.endswith("depth")
        else gene.choices[0]
        for gene in SPACE.genes
    }
    return SPACE.decode(SPACE.encode(values))


def network(bits: int = 4, *, adc_bits: int = 5, policy: RangePolicy = "layer") -> Network:
    assert MACRO.adc is not None
    adc = MACRO.adc.model_copy(update={"bits": adc_bits, "range_policy": policy})
    macro = MACRO.model_copy(update={"adc": adc})
    built = build(small(bits).blueprint, macro, generator=generator(2))
    inherit(built, fitting_parent(bits))
    built.calibrate(training().sample(128, generator(3)))
    return built


@lru_cache
def fitting_parent(bits: int) -> Network:
    built = build(small(bits).parent, None, generator=generator())
    train_float(built, training(), RECIPE, generator=generator(1))
    return built


def trained(
    built: Network, *, level: Level = "L1", epochs: int = 1, seed: int = 4, **changes: Any
) -> Network:
    train_candidate(
        built,
        training(),
        Recipe.model_validate(dict(RECIPE) | changes),
        epochs=epochs,
        level=level,
        generator=generator(seed),
        teacher=fitting_parent(4),
    )
    return built


def state(built: Network) -> dict[str, torch.Tensor]:
    return {name: values.clone() for name, values in built.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_default_recipe_trains_as_one_that_spells_it_out_bit_for_bit() -> None:
    spelled: dict[str, Any] = {
        "steps": "calibrated",
        "partial_sum_steps": "calibrated",
        "noise": (),
        "distillation": None,
    }
    plain, again = state(trained(network())), state(trained(network(), **spelled))
    assert same(plain, again)
    assert not any("learned" in name for name in plain)


def test_everything_together_repeats_bit_for_bit() -> None:
    changes: dict[str, Any] = {
        "steps": "learned",
        "partial_sum_steps": "learned",
        "noise": (
            NoiseEntry(on="weights", sigma_frac=0.05),
            NoiseEntry(on="activations", sigma_frac=0.02, layers="stage*", every=2),
            NoiseEntry(on="partial_sums", sigma_frac=0.01, layers="stage1.*"),
        ),
        "distillation": {"weight": 0.5, "temperature": 2.0},
    }
    found = [state(trained(network(), **changes)) for _ in range(2)]
    assert same(*found)
    assert all(bool(torch.isfinite(values).all()) for values in found[0].values())


def test_learned_steps_move_and_stay_when_the_network_is_calibrated_again() -> None:
    built = network()
    started = [layer.x_scale for layer in built.cim_layers()]
    trained(built, steps="learned")
    ended = [layer.x_scale for layer in built.cim_layers()]
    assert all(a != b and b > 0 for a, b in zip(started, ended, strict=True))
    before = {name: v for name, v in state(built).items() if "learned" in name}
    built.calibrate(training().sample(128, generator(6)))
    assert same(before, {name: v for name, v in state(built).items() if "learned" in name})
    assert [layer.x_scale for layer in built.cim_layers()] == ended


def test_what_is_learned_of_steps_does_not_decay() -> None:
    built = network()
    for layer in built.cim_layers():
        layer.learn_steps()
    decays = {
        id(parameter): group["weight_decay"]
        for group in _parameters(built, 0.1)
        for parameter in group["params"]
    }
    learned = [p for layer in built.cim_layers() for p in layer.learned_parameters()]
    assert len(learned) == 2 * len(list(built.cim_layers()))
    assert all(decays.pop(id(parameter)) == 0.0 for parameter in learned)
    assert set(decays.values()) == {0.1}


@pytest.mark.parametrize("policy", ["layer", "column"])
def test_learned_ranges_move_and_level_2_follows(policy: RangePolicy) -> None:
    built = network(adc_bits=3, policy=policy)
    analog = [layer for layer in built.cim_layers() if layer.numerics.analog]
    trained(built, partial_sum_steps="learned", epochs=2)
    factors = []
    for layer in analog:
        learned = layer.learned_ranges
        assert learned is not None
        factors.append(learned.factor.detach())
        assert torch.equal(steps_of(layer), torch.from_numpy(learned.ranges().lsb))
    assert any(bool((factor != 1).any()) for factor in factors)


def steps_of(layer: CimLayer) -> torch.Tensor:
    """The converters' steps, which level L2 converts with."""
    assert layer._ranges is not None
    return torch.from_numpy(layer._ranges.lsb)


@pytest.mark.parametrize("level", ["L0", "L2"])
def test_partial_sum_steps_are_learned_at_level_1_alone(level: Level) -> None:
    with pytest.raises(UsageError, match=f"found learned at train_level {level}; allowed is L1"):
        trained(network(), level=level, partial_sum_steps="learned")


def test_the_full_scale_is_not_learned() -> None:
    built = network(policy="full_scale")
    with pytest.raises(HardwareError, match=r"stage\d.layer\d: range_policy: found full_scale"):
        trained(built, partial_sum_steps="learned")


def test_each_kth_step_has_noise_and_it_ramps() -> None:
    built = network()
    entries = (
        NoiseEntry(on="weights", sigma_frac=0.3, every=3),
        NoiseEntry(on="weights", sigma_frac=0.4, layers="stage1.*"),
        NoiseEntry(on="partial_sums", sigma_frac=0.1, layers="stage*", every=2),
    )
    schedule = NoiseSchedule(built, entries)
    found: dict[str, list[Any]] = {"stage1.layer0": [], "classifier": []}
    for step in range(6):
        schedule.set(step, 0.5)
        for layer in built.cim_layers():
            if layer.name in found:
                found[layer.name].append(layer.training_noise)
    weights, both = TrainingNoise(weights=0.15), pytest.approx(0.25)
    assert found["classifier"] == [None, None, weights, None, None, weights]
    assert [noise.weights for noise in found["stage1.layer0"]] == [0.2, 0.2, both, 0.2, 0.2, both]
    sums = [noise.partial_sums for noise in found["stage1.layer0"]]
    assert sums == [0, 0.05, 0, 0.05, 0, 0.05]
    schedule.clear()
    assert all(layer.training_noise is None for layer in built.cim_layers())


def test_training_follows_the_schedule_and_ends_without_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[TrainingNoise | None] = []
    real = CimLayer.converted

    def watched(layer: CimLayer, product: Any) -> Any:
        if layer.name == "stage1.layer0" and layer.training:
            seen.append(layer.training_noise)
        return real(layer, product)

    monkeypatch.setattr(CimLayer, "converted", watched)
    built = network()
    seen.clear()
    trained(built, noise=(NoiseEntry(on="weights", sigma_frac=0.1, every=4),), ramp_frac=1.0)
    steps = training().steps(RECIPE.batch)
    assert len(seen) == steps
    for step, noise in enumerate(seen):
        wanted = 0.1 * step / steps if step % 4 == 3 else 0.0
        assert (noise.weights if noise else 0.0) == pytest.approx(wanted)
    assert all(layer.training_noise is None for layer in built.cim_layers())


def test_noise_is_of_the_layers_that_there_are() -> None:
    """A pattern of the space's deeper networks leaves a shallow one as it is."""
    plain = state(trained(network()))
    entry = NoiseEntry(on="weights", sigma_frac=0.1, layers="stage9.*")
    assert same(plain, state(trained(network(), noise=(entry,))))


def test_distillation_needs_and_follows_a_teacher() -> None:
    plain = state(trained(network()))
    taught = state(trained(network(), distillation={"weight": 0.9, "temperature": 4.0}))
    none = state(trained(network(), distillation={"weight": 0.0, "temperature": 4.0}))
    assert same(plain, none)
    assert not same(plain, taught)
    recipe = Recipe.model_validate(
        dict(RECIPE) | {"distillation": {"weight": 0.5, "temperature": 2.0}}
    )
    with pytest.raises(UsageError, match=r"recipe\.distillation: found no teacher"):
        train_candidate(network(), training(), recipe, epochs=1, level="L1", generator=generator())
