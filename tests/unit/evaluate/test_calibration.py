"""Chips that are calibrated one by one: what it brings, and that no chip knows of another."""

from dataclasses import replace
from functools import lru_cache
from typing import get_args

import numpy as np
import pytest
import torch

from cimsearch.cim.converter import Ranges
from cimsearch.evaluate import Score
from cimsearch.evaluate.calibration import calibrated
from cimsearch.evaluate.run import evaluate
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.spec.hardware import Hardware, RangePolicy
from cimsearch.spec.study import Level, Rung
from cimsearch.training.accuracy import logits_of
from cimsearch.training.data import Images, load_part, normalise
from tests.unit.evaluate.robust import DRIFT, KEPT, SRAM, hardware, uniform_job
from tests.unit.evaluate.test_run import DIGITS, SPACE

RUNG = Rung(epochs=2, train_level="L0", score_level="L1", chips=3, images=200)
TRAIN = load_part(DIGITS, None, "train")
SAMPLE = normalise(TRAIN.x[:128], DIGITS)
VALIDATION = load_part(DIGITS, None, "validation")
IMAGES = Images(VALIDATION.x[:100], VALIDATION.y[:100])


@lru_cache
def scored(calibration: str) -> Score:
    return evaluate(uniform_job(rung=RUNG, calibration=calibration, cache=KEPT))


def network(made: Hardware = SRAM) -> Network:
    candidate = SPACE.uniform(weight_bits=4, activation_bits=4)
    generator = torch.Generator().manual_seed(3)
    built = build(candidate.blueprint, made.macro, generator=generator)
    built.calibrate(SAMPLE)
    return built.eval()


def ranges_of(built: Network) -> list[Ranges]:
    return [layer._ranges for layer in built.cim_layers() if layer._ranges is not None]


def test_it_takes_up_what_a_whole_chip_is_off_by() -> None:
    found = scored("per_chip")
    assert found.shared_accuracy_per_chip is not None
    assert min(found.shared_accuracy_per_chip) < 0.3
    assert min(found.accuracy_per_chip) > 0.8
    assert found.accuracy > found.ideal_accuracy - 0.05


def test_both_accuracies_are_reported_with_images_and_time() -> None:
    found, shared = scored("per_chip"), scored("shared")
    assert found.shared_accuracy_per_chip == shared.accuracy_per_chip
    assert shared.shared_accuracy is None
    assert (shared.calibration_images, shared.calibration_cpu_seconds) == (0, 0.0)
    assert found.calibration_images == 1024
    assert 0 < found.calibration_cpu_seconds < found.cpu_seconds
    # What does not depend on chips does not depend on their calibration.
    assert found.ideal_accuracy == shared.ideal_accuracy
    assert found.density_frac == shared.density_frac
    assert Score.from_json(found.to_json()) == found


def test_a_chip_is_calibrated_the_same_whichever_came_before() -> None:
    chips, rung = scored("per_chip").accuracy_per_chip, RUNG.model_copy(update={"chips": 1})
    alone = evaluate(uniform_job(rung=rung, calibration="per_chip", first_chip=2, cache=KEPT))
    assert alone.accuracy_per_chip == chips[2:]


@pytest.mark.parametrize("level", get_args(Level))
def test_the_order_of_chips_does_not_matter(level: Level) -> None:
    found, shared = {}, network()
    before = {name: values.clone() for name, values in shared.state_dict().items()}
    for order in ((0, 1), (1, 0)):
        for chip in order:
            own = calibrated(shared, chip, level=level, sample=SAMPLE)
            own.set_chip(chip)
            found[order, chip] = logits_of(own, IMAGES, DIGITS)
        after = shared.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
    for chip in (0, 1):
        assert torch.equal(found[(0, 1), chip], found[(1, 0), chip])
    assert not torch.equal(found[(0, 1), 0], found[(0, 1), 1])


@pytest.mark.parametrize("level", ["L1", "L2"])
def test_ranges_follow_a_loss_of_gain(level: Level) -> None:
    """Drift to a half, the same for every cell: ranges are about half as wide."""
    drift = DRIFT | {"nu_mean": np.log10(2), "nu_sigma": 0.0, "t0_s": 1.0, "age_s": 10.0}
    shared = network(hardware("macros/wan_nature_2022", drift=drift))
    own = calibrated(shared, 0, level=level, sample=SAMPLE)
    ratios = [
        float(mine.lsb.mean() / fitted.lsb.mean())
        for mine, fitted in zip(ranges_of(own), ranges_of(shared), strict=True)
        if float(fitted.lsb.mean()) > 2
    ]
    assert ratios
    assert 0.35 < float(np.mean(ratios)) < 0.75


def test_a_chip_without_errors_keeps_its_ranges_nearly() -> None:
    shared = network(hardware("macros/yu_cicc_2020"))
    own = calibrated(shared, 0, level="L2", sample=SAMPLE)
    for mine, fitted in zip(ranges_of(own), ranges_of(shared), strict=True):
        assert 0.6 < float(mine.lsb.mean() / fitted.lsb.mean()) < 1.6


def with_policy(policy: RangePolicy) -> Hardware:
    macro = SRAM.macro
    assert macro.adc is not None
    adc = macro.adc.model_copy(update={"range_policy": policy})
    return SRAM.model_copy(update={"macro": macro.model_copy(update={"adc": adc})})


@pytest.mark.parametrize("policy", ["layer", "column"])
def test_a_calibrated_chip_is_nearer_to_the_ideal(policy: RangePolicy) -> None:
    shared = network(with_policy(policy))
    shared.set_mode("L2", ideal=True)
    recalibrate_norms(shared, [SAMPLE])
    ideal = logits_of(shared, IMAGES, DIGITS).flatten()
    shared.set_mode("L2")
    recalibrate_norms(shared, [SAMPLE])
    alike = []
    for chip in range(2):
        own = calibrated(shared, chip, level="L2", sample=SAMPLE)
        widths = {mine.lsb.shape[2] > 1 for mine in ranges_of(own)}
        assert widths == {policy == "column"}
        both = []
        for scored_network in (shared, own):
            scored_network.set_chip(chip)
            found = logits_of(scored_network, IMAGES, DIGITS).flatten()
            both.append(float(torch.corrcoef(torch.stack([found, ideal]))[0, 1]))
        alike.append(both)
    assert all(after > before for before, after in alike), alike


def test_the_full_scale_is_never_moved() -> None:
    shared = network(with_policy("full_scale"))
    own = calibrated(shared, 0, level="L2", sample=SAMPLE)
    for mine, fitted in zip(ranges_of(own), ranges_of(shared), strict=True):
        assert np.array_equal(mine.lsb, fitted.lsb)


def test_the_key_of_a_job_says_how_chips_are_calibrated() -> None:
    shared = uniform_job(rung=RUNG)
    assert shared.key != replace(shared, calibration="per_chip").key
