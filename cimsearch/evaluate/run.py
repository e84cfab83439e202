"""What a worker runs: train the parent, inherit, train through the hardware, score.

A score is a function of its job alone, bit for bit on machines of one kind: every random stream is
named by the job, and nothing else is random.
"""

from dataclasses import dataclass, replace
from time import perf_counter, process_time

import torch
from torch import Tensor

from cimsearch.errors import CimsearchError
from cimsearch.evaluate.calibration import NORM_BATCH, calibrated
from cimsearch.evaluate.images import check_data, first_images, images_of, source_of
from cimsearch.evaluate.job import Job
from cimsearch.evaluate.joint import JointJob, joint_score, members_of, read_job
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread
from cimsearch.evaluate.prune_run import prune_network
from cimsearch.evaluate.pruning import PruneJob, is_prune_job
from cimsearch.evaluate.report import OnReport, Report, unheard
from cimsearch.evaluate.score import AtCondition, Score
from cimsearch.evaluate.train import trained_candidate, trained_parent
from cimsearch.networks import Network, recalibrate_norms
from cimsearch.spec.condition import AS_STATED
from cimsearch.spec.study import Rung
from cimsearch.spec.workload import named
from cimsearch.training.accuracy import accuracy, accuracy_of_chips
from cimsearch.training.data import Images
from cimsearch.training.keep import Keep
from cimsearch.training.recipe import TrainingData


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
        source = source_of(job)
        images = first_images(images_of(source, job.split), job.rung)
        training = TrainingData(images_of(source, "train"), job.data)
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
            parent_epochs=0 if job.parent_weights else job.recipe.parent_epochs,
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

    The networks of a joint job are evaluated one after the other. For a job of pruning it is the
    pruned network: see ``prune_network``.

    Raises:
        ValueError: The job is not one of this version.
        DataError: The data here is other data than the job names.
    """
    if is_prune_job(job):
        work = PruneJob.from_json(job)
        check_data(source_of(work.job))
        return prune_network(work, on_report).to_json()
    read = read_job(job)
    for member in members_of(read):
        check_data(source_of(member))
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
