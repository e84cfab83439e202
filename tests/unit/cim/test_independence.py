"""A result is of its chip and its images: not of batches, threads, other chips or global seeds."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from cimsearch.evaluate.machine import one_thread
from cimsearch.evaluate.run import evaluate
from cimsearch.networks import Network, build
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Macro, Noise
from cimsearch.spec.study import DigitsData, Level, Recipe, Rung
from cimsearch.training.accuracy import accuracy_of_chips, logits_of
from cimsearch.training.data import Images, load_part, normalise
from tests.unit.evaluate.test_run import job

LEVELS: tuple[Level, ...] = get_args(Level)
BATCHES = (256, 50, 17)
SPACE = Space(load_space_spec("vgg_tiny"))
DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
VALIDATION = load_part(DIGITS, None, "validation")
IMAGES = Images(VALIDATION.x[:60], VALIDATION.y[:60])
SAMPLE = normalise(load_part(DIGITS, None, "train").x[:48], DIGITS)

# Every kind of fresh and static noise: of cells, of sums, of converters.
SRAM_NOISE = {
    "cell_sigma_frac": 0.05,
    "adc_sigma_frac": 0.01,
    "stuck": {"off_frac": 0.001, "on_frac": 0.001},
    "sram": {"vt_sigma_mv": 10.0, "overdrive_mv": 200.0, "pulse_jitter_frac": 0.02},
    "saturation": {"shape": "tanh", "at_frac": 2.0},
    "adc": {"offset_sigma_frac": 0.01, "gain_sigma_frac": 0.02, "inl_sigma_frac": 0.005},
    "impulse": {"probability": 0.01},
    "pvt": {"process_sigma_frac": 0.05},
}
RRAM_NOISE = {
    "programming": {"model": "rram_wan_1s"},
    "device_to_device": {"column_sigma_frac": 0.02, "chip_sigma_frac": 0.02},
    "drift": {"model": "retention", "exponent": 0.01, "toward": "random", "age_s": 3600.0},
    "read": {"model": "proportional", "sigma_frac": 0.02},
    "ir_drop": {"wordline_ohm": 0.5, "bitline_ohm": 0.5},
    "impulse": {"probability": 0.01, "kind": "codes", "codes": 2},
}


def macro(name: str, noise: dict[str, Any] | None = None) -> Macro:
    loaded = load_hardware(name).macro
    if noise is None:
        return loaded
    return loaded.model_copy(update={"noise": Noise.model_validate(noise)})


MACROS = {
    "plain": macro("macros/yu_cicc_2020"),
    "sram": macro("macros/yu_cicc_2020", SRAM_NOISE),
    "rram": macro("macros/wan_nature_2022", RRAM_NOISE),
    "charge": macro("macros/jia_jssc_2020"),
}


def network(made: Macro, seed: int = 0) -> Network:
    blueprint = SPACE.uniform(weight_bits=4, activation_bits=4).blueprint
    built = build(blueprint, made, generator=torch.Generator().manual_seed(seed))
    built.calibrate(SAMPLE)
    return built.eval()


@cache
def shared(name: str) -> Network:
    """Return a network on a macro that tests share; how it is left they set anew."""
    return network(MACROS[name])


def logits(built: Network, level: Level, chip: int = 0, *, batch: int = 256) -> Tensor:
    built.set_mode(level)
    built.set_chip(chip)
    return logits_of(built, IMAGES, DIGITS, batch=batch)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", MACROS)
def test_results_do_not_depend_on_the_batch(name: str, level: Level) -> None:
    built = shared(name)
    wanted = logits(built, level)
    scores = []
    for batch in BATCHES:
        found = logits(built, level, batch=batch)
        assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-5)
        assert torch.equal(found.argmax(dim=1), wanted.argmax(dim=1))
        scores.append(
            accuracy_of_chips(built, IMAGES, DIGITS, level=level, chips=range(1), batch=batch)
        )
    assert scores[0] == scores[1] == scores[2]
    # The noise is there: fresh draws for each image, another chip for each index.
    assert not torch.allclose(wanted, logits(built, level, 1), atol=1e-3)


@pytest.mark.parametrize("made", [MACROS["sram"], MACROS["rram"]], ids=["sram", "rram"])
def test_threads_do_not_disturb_each_other(made: Macro) -> None:
    """Two threads score different chips, each with a network of its own, image by image alike."""
    together = Barrier(2)

    def score(chip: int, wait: Callable[[], object]) -> Tensor:
        with one_thread():
            built = network(made, seed=chip)
            found = []
            for level in LEVELS:
                wait()
                found.append(logits(built, level, chip))
            return torch.stack(found)

    alone = [score(chip, lambda: None) for chip in (3, 8)]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda chip: score(chip, together.wait), (3, 8)))
    assert all(torch.equal(one, other) for one, other in zip(alone, both, strict=True))


def seed_everything(seed: int) -> None:
    random.seed(seed)
    # The global state of NumPy is what is tested here.
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def global_states() -> tuple[object, bytes, bytes]:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - as above
    return random.getstate(), repr(state).encode(), torch.get_rng_state().numpy().tobytes()


def test_global_seeds_neither_matter_nor_change() -> None:
    found: dict[Level, list[Tensor]] = {level: [] for level in LEVELS}
    for seed in (1, 2):
        seed_everything(seed)
        before = global_states()
        built = network(MACROS["sram"])
        for level in LEVELS:
            built.train()
            built.set_mode(level)
            # As in training: a new chip at every batch.
            logits_in_training = built(SAMPLE)
            found[level].append(torch.cat([logits_in_training, logits(built.eval(), level)]))
            assert global_states() == before, level
    for level, (one, other) in found.items():
        assert torch.equal(one, other), level


def test_a_whole_evaluation_leaves_global_seeds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # The second evaluation trains too.
    monkeypatch.setenv("CIMSEARCH_CACHE_GB", "0")
    some = job(
        recipe=Recipe(batch=128, parent_epochs=1, parent_lr=0.2, qat_lr=0.05),
        rung=Rung(epochs=1, train_level="L1", score_level="L2", chips=2, images=50),
        calibration="per_chip",
    )
    scores = []
    for seed in (1, 2):
        seed_everything(seed)
        before = global_states()
        scores.append(evaluate(some))
        assert global_states() == before
    assert scores[0].accuracy_per_chip == scores[1].accuracy_per_chip
    assert scores[0].shared_accuracy_per_chip == scores[1].shared_accuracy_per_chip
