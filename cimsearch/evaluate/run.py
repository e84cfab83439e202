"""What a worker runs: train the parent, inherit, train through the hardware, score.

A score is a function of its job alone, bit for bit on machines of one kind: every random stream is
named by the job, and nothing else is random.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter, process_time

import numpy as np
import torch
from torch import Tensor

from cimsearch.errors import CimsearchError, DataError
from cimsearch.evaluate.calibration import NORM_BATCH, calibrated
from cimsearch.evaluate.job import Job, Part
from cimsearch.evaluate.joint import JointJob, joint_score, members_of, read_job
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread
from cimsearch.evaluate.report import OnReport, Report, unheard
from cimsearch.evaluate.score import AtCondition, Score
from cimsearch.evaluate.train import trained_candidate, trained_parent
from cimsearch.networks import Network, recalibrate_norms
from cimsearch.spec.condition import AS_STATED
from cimsearch.spec.study import DataSpec, Rung
from cimsearch.spec.workload import MOST_WORKLOADS, named
from cimsearch.training.accuracy import accuracy, accuracy_of_chips
from cimsearch.training.data import Images, load_part
from cimsearch.training.fingerprint import fingerprint as data_fingerprint
from cimsearch.training.keep import Keep
from cimsearch.training.recipe import TrainingData

_SOURCES = MOST_WORKLOADS
"""Data sets that a worker remembers: those of one study, with the parts that a search reads."""


@dataclass(frozen=True)
class Source:
    """Where images come from; ``fingerprint`` tells apart data that changed in its place."""

    data: DataSpec
    path: str | None
    fingerprint: str


def evaluate(job: Job, on_report: OnReport = unheard) -> Score:
    """Train the job's candidate for its hardware and score it.

    What was trained of it before, and is kept in the job's cache, is not trained again. Batch
    norms and converter ranges are fitted to training images alone; images of the test part are
    opened for a job that scores on them, and never otherwise.

    Args:
        job: What to evaluate.
        on_report: Hears how far it is, after every epoch that is trained and every chip.

    Raises:
        CimsearchError: The data is missing or not as declared, the hardware cannot run the
            network, or training diverged.
    """
    started, cpu_started = perf_counter(), process_time()
    keep_freed_memory()
    with one_thread():
        source = Source(job.data, job.data_path, job.data_fingerprint)
        images = _first(_images(source, job.split), job.rung)
        training = TrainingData(_images(source, "train"), job.data)
        keep = Keep.at(job.cache)
        parent = trained_parent(job, training, keep, on_report)
        network, sample = trained_candidate(job, parent, training, keep, on_report)
        _place(network, job.workload)
        level = job.rung.score_level
        chips = _scored_chips(job, network, images, sample, on_report)
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
            epochs=job.epochs,
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


def _scored_chips(
    job: Job, network: Network, images: Images, sample: Tensor, on_report: OnReport
) -> _Chips:
    """Return the accuracies of the job's chips, each calibrated first if the job says so."""
    level, conditions = job.rung.score_level, job.rung.conditions or (AS_STATED,)

    def row(of: Network, chip: int) -> tuple[float, ...]:
        one = range(chip, chip + 1)
        columns = (
            accuracy_of_chips(of, images, job.data, level=level, chips=one, condition=condition)
            for condition in conditions
        )
        return tuple(accuracy for (accuracy,) in columns)

    shared: list[tuple[float, ...]] = []
    own: list[tuple[float, ...]] = []
    spent = 0.0
    for chip in range(job.first_chip, job.first_chip + job.rung.chips):
        shared.append(row(network, chip))
        if job.calibration == "per_chip":
            begun = process_time()
            fitted = calibrated(network, chip, level=level, sample=sample)
            spent += process_time() - begun
            own.append(row(fitted, chip))
        worst = min((own or shared)[-1])
        on_report(Report("chips", len(shared), job.rung.chips, worst))
    return _Chips(tuple(own), tuple(shared), spent) if own else _Chips(tuple(shared))


def _worst(rows: _Rows) -> tuple[float, ...]:
    """Return each chip's accuracy at its worst condition."""
    return tuple(map(min, rows))


def _by_condition(rung: Rung, rows: _Rows) -> tuple[AtCondition, ...]:
    """Return the accuracies at each of the rung's conditions, if it has any."""
    labels = [condition.label for condition in rung.conditions]
    columns = tuple(zip(*rows, strict=True))[: len(labels)]
    return tuple(AtCondition(label, column) for label, column in zip(labels, columns, strict=True))


def _place(network: Network, workload: str) -> None:
    """Name the layers as those of a workload, which have arrays of their own on a chip."""
    for layer in network.cim_layers():
        layer.name = named(workload, layer.name)


def evaluate_json(job: str, on_report: OnReport = unheard) -> str:
    """Return the score of a job as JSON, for a job as JSON: see ``evaluate``.

    The networks of a joint job are evaluated one after the other.

    Raises:
        ValueError: The job is not one of this version.
        DataError: The data here is other data than the job names.
    """
    read = read_job(job)
    for member in members_of(read):
        _check_data(Source(member.data, member.data_path, member.data_fingerprint))
    if isinstance(read, JointJob):
        found = [(member.workload, _evaluate_member(member, on_report)) for member in read.members]
        return joint_score(read.over, found).to_json()
    return evaluate(read, on_report).to_json()


def _evaluate_member(job: Job, on_report: OnReport) -> Score:
    """Return the score of one of several workloads; what is told of it says which."""
    try:
        return evaluate(job, lambda report: on_report(replace(report, workload=job.workload)))
    except CimsearchError as error:
        error.message = f"workload {job.workload}: {error.message}"
        raise


@lru_cache(maxsize=_SOURCES)
def _check_data(source: Source) -> None:
    """Check that the data is that of the study: this machine may have other files at its path."""
    found = data_fingerprint(source.data, source.path)
    if found != source.fingerprint:
        raise DataError(
            f"the data here ({source.path or source.data.kind}) is not what the study was started "
            f"with: its fingerprint is {found[:12]}, not {source.fingerprint[:12]}",
            "bring the same files to this machine, to the same place",
        )


@lru_cache(maxsize=2 * _SOURCES)
def _images(source: Source, part: Part) -> Images:
    return load_part(source.data, source.path, part)


def _first(images: Images, rung: Rung) -> Images:
    """Return as many images as the rung scores, evenly spread: they may be sorted by class."""
    if rung.images == "all" or rung.images >= len(images.y):
        return images
    chosen = np.linspace(0, len(images.y) - 1, rung.images).astype(np.int64)
    return Images(images.x[chosen], images.y[chosen])
