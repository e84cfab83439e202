"""What a worker runs: train the parent, inherit, train through the hardware, score.

A score is a function of its job alone, bit for bit on machines of one kind: every random stream is
named by the job, and nothing else is random.
"""

from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter, process_time

import numpy as np
import torch
from torch import Tensor

from cimsearch.blueprint import Blueprint
from cimsearch.evaluate.calibration import NORM_BATCH, calibrated
from cimsearch.evaluate.job import AtCondition, Job, Part, Score
from cimsearch.evaluate.machine import (
    fingerprint,
    keep_freed_memory,
    one_thread,
    training_dtype,
)
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.seeds import Key, torch_seed
from cimsearch.spec.condition import AS_STATED
from cimsearch.spec.study import DataSpec, Recipe, Rung
from cimsearch.training.accuracy import accuracy, accuracy_of_chips
from cimsearch.training.data import Images, load_part
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData, train_candidate, train_float

CALIBRATION_IMAGES = 256
NORM_IMAGES = 1024


@dataclass(frozen=True)
class Source:
    """Where images come from; ``fingerprint`` tells apart data that changed in its place."""

    data: DataSpec
    path: str | None
    fingerprint: str


def evaluate(job: Job) -> Score:
    """Train the job's candidate for its hardware and score it.

    Batch norms and converter ranges are fitted to training images alone; images of the test part
    are opened for a job that scores on them, and never otherwise.

    Raises:
        CimsearchError: The data is missing or not as declared, the hardware cannot run the
            network, or training diverged.
    """
    started, cpu_started = perf_counter(), process_time()
    keep_freed_memory()
    with one_thread():
        source = Source(job.data, job.data_path, job.data_fingerprint)
        images = _first(_images(source, job.split), job.rung)
        parent = _trained_parent(job.parent, job.recipe, source, job.study_seed, job.replicate)
        training = TrainingData(_images(source, "train"), job.data)
        network, sample = _trained_candidate(job, parent, training)
        level = job.rung.score_level
        chips = _scored_chips(job, network, images, sample)
        # Batch norms that were fitted through a coarse converter do not fit an ideal one.
        network.set_mode(level, ideal=True)
        recalibrate_norms(network, torch.split(sample, NORM_BATCH))
        activity, density = network.statistics()
        return Score(
            level=level,
            split=job.split,
            images=len(images.y),
            accuracy_per_chip=_worst(chips.rows),
            ideal_accuracy=accuracy(network, images, job.data),
            float_accuracy=accuracy(parent, images, job.data),
            activity_frac=activity,
            density_frac=density,
            parent_epochs=job.recipe.parent_epochs,
            epochs=job.rung.epochs,
            seconds=perf_counter() - started,
            cpu_seconds=process_time() - cpu_started,
            fingerprint=fingerprint(),
            conditions=_by_condition(job.rung, chips.rows),
            shared_accuracy_per_chip=_worst(chips.shared_rows),
            calibration_images=len(sample) if chips.shared_rows else 0,
            calibration_cpu_seconds=chips.calibration_cpu_seconds,
        )


_Rows = tuple[tuple[float, ...], ...]
"""Accuracies: one row a chip, one column a condition."""


@dataclass(frozen=True)
class _Chips:
    """Accuracies of chips; ``shared_rows`` are empty where no chip was calibrated."""

    rows: _Rows
    shared_rows: _Rows = ()
    calibration_cpu_seconds: float = 0.0


def _scored_chips(job: Job, network: Network, images: Images, sample: Tensor) -> _Chips:
    """Return the accuracies of the job's chips, each calibrated first if the job says so."""

    def rows(of: Network, chips: range) -> _Rows:
        level, conditions = job.rung.score_level, job.rung.conditions or (AS_STATED,)
        columns = [
            accuracy_of_chips(of, images, job.data, level=level, chips=chips, condition=condition)
            for condition in conditions
        ]
        return tuple(zip(*columns, strict=True))

    chips = range(job.first_chip, job.first_chip + job.rung.chips)
    shared = rows(network, chips)
    if job.calibration == "shared":
        return _Chips(shared)
    found: list[tuple[float, ...]] = []
    spent = 0.0
    for chip in chips:
        begun = process_time()
        own = calibrated(network, chip, level=job.rung.score_level, sample=sample)
        spent += process_time() - begun
        found += rows(own, range(chip, chip + 1))
    return _Chips(tuple(found), shared, spent)


def _worst(rows: _Rows) -> tuple[float, ...]:
    """Return each chip's accuracy at its worst condition."""
    return tuple(map(min, rows))


def _by_condition(rung: Rung, rows: _Rows) -> tuple[AtCondition, ...]:
    """Return the accuracies at each of the rung's conditions, if it has any."""
    labels = [condition.label for condition in rung.conditions]
    columns = tuple(zip(*rows, strict=True))[: len(labels)]
    return tuple(AtCondition(label, column) for label, column in zip(labels, columns, strict=True))


def evaluate_json(job: str) -> str:
    """Return the score of a job as JSON, for a job as JSON: see ``evaluate``.

    Raises:
        ValueError: The job is not one of this version.
    """
    return evaluate(Job.from_json(job)).to_json()


@lru_cache(maxsize=4)
def _images(source: Source, part: Part) -> Images:
    return load_part(source.data, source.path, part)


@lru_cache(maxsize=16)
def _trained_parent(
    parent: Blueprint, recipe: Recipe, source: Source, study_seed: int, replicate: int
) -> Network:
    """Return the trained float parent: the same bits whether it was trained now or before."""
    generator = _generator("parent", study_seed, parent.hash, replicate)
    network = build(parent, None, generator=generator)
    training = TrainingData(_images(source, "train"), source.data)
    network.dtype = training_dtype(parent.macs)
    train_float(network, training, recipe, generator=generator)
    network.dtype = torch.float32
    return network


def _trained_candidate(
    job: Job, parent: Network, training: TrainingData
) -> tuple[Network, Tensor]:
    """Return the candidate, ready to be scored, and the images its batch norms were fitted to."""
    rung = job.rung
    generator = _generator(
        "train", job.study_seed, job.candidate_hash, rung.epochs, rung.train_level, job.replicate
    )
    network = build(job.blueprint, job.hardware.macro, generator=generator)
    inherit(network, parent)
    network.calibrate(training.sample(CALIBRATION_IMAGES, generator))
    network.dtype = training_dtype(job.parent.macs)
    train_candidate(
        network,
        training,
        job.recipe,
        epochs=rung.epochs,
        level=rung.train_level,
        generator=generator,
        teacher=parent,
    )
    network.dtype = torch.float32
    network.calibrate(training.sample(CALIBRATION_IMAGES, generator))
    network.set_mode(rung.score_level)
    sample = training.sample(NORM_IMAGES, generator)
    recalibrate_norms(network, torch.split(sample, NORM_BATCH))
    return network, sample


def _first(images: Images, rung: Rung) -> Images:
    """Return as many images as the rung scores, evenly spread: they may be sorted by class."""
    if rung.images == "all" or rung.images >= len(images.y):
        return images
    chosen = np.linspace(0, len(images.y) - 1, rung.images).astype(np.int64)
    return Images(images.x[chosen], images.y[chosen])


def _generator(*path: Key) -> torch.Generator:
    return torch.Generator().manual_seed(torch_seed(*path))
