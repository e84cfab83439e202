"""Pruning as a worker runs it. What is pruned is a function of the job alone, bit for bit."""

from dataclasses import replace
from itertools import pairwise
from time import perf_counter, process_time

import torch

from cimsearch.blueprint import Blueprint
from cimsearch.evaluate.calibration import NORM_BATCH
from cimsearch.evaluate.images import first_images, images_of, source_of
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread, training_dtype
from cimsearch.evaluate.pruning import PrunedNetwork, PruneJob, PruneStep
from cimsearch.evaluate.report import OnReport, unheard
from cimsearch.evaluate.train import NORM_IMAGES, trained_candidate, trained_parent
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.networks.weights import weights_file
from cimsearch.seeds import Key, torch_seed
from cimsearch.space import Candidate
from cimsearch.space.widths import check_whole, widths_of, with_widths
from cimsearch.spec.adaptation import QUANTISED, Pruning
from cimsearch.spec.base import canonical_json
from cimsearch.training.gain.loop import prune
from cimsearch.training.gain.result import Step
from cimsearch.training.gain.target import Target
from cimsearch.training.gain.tuning import Tuning
from cimsearch.training.keep import Keep
from cimsearch.training.parents import keep_parent
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData


def prune_network(work: PruneJob, on_report: OnReport = unheard) -> PrunedNetwork:
    """Prune the job's network; its new float weights are kept in the job's cache.

    Accuracy is measured on validation images; test images are never opened.

    Args:
        work: What to prune.
        on_report: Hears of what is trained before.

    Raises:
        SpaceError: A layer has groups of channels with different bits, and the quantised network
            is to be pruned.
        CimsearchError: The data is missing or not as declared, the hardware cannot run the
            network, or training diverged.
    """
    started, cpu_started = perf_counter(), process_time()
    keep_freed_memory()
    if work.pruning.order == QUANTISED:
        # What parts of layers learn is not put back into the parent.
        check_whole(work.job.blueprint)
    job, keep = work.job, Keep.at(work.job.cache)
    with one_thread():
        source = source_of(job)
        training = TrainingData(images_of(source, "train"), job.data)
        generator = torch.Generator().manual_seed(torch_seed(*_stream_of(work)))
        parent = trained_parent(job, training, keep, on_report)
        narrow = with_widths(job.parent, widths_of(job.blueprint))
        if work.pruning.order == "prune_then_quantise":
            network = _float_of(parent, narrow, training, generator)
        else:
            network, _ = trained_candidate(job, parent, training, keep, on_report)
            network.set_mode(job.rung.train_level)
        if work.pruning.order == "alternating":
            network = _float_of(network, narrow, training, generator)
        tuning = Tuning(
            training,
            first_images(images_of(source, "validation"), job.rung),
            job.recipe,
            epochs=work.pruning.tune_epochs,
            images=work.pruning.images,
            dtype=training_dtype(job.parent.macs),
        )
        pruned = prune(
            network,
            Candidate(job.blueprint, narrow),
            job.hardware,
            _target(work.pruning, _least_channels(job.blueprint)),
            tuning,
            generator=generator,
            statistics=work.statistics,
            shares=dict(work.shares),
        )
        return PrunedNetwork(
            replace(pruned.candidate, genes=()),
            keep_parent(keep, weights_file(pruned.network)),
            tuple(_steps(pruned.history)),
            pruned.stopped,
            fingerprint(),
            perf_counter() - started,
            process_time() - cpu_started,
        )


def _stream_of(work: PruneJob) -> tuple[Key, ...]:
    """Return the name of the job's random stream: of what is pruned and how, as it is trained."""
    job = work.job
    # Where no block can go the result is the same whether one may.
    how = canonical_json(work.pruning.model_dump(mode="json", exclude={"layers"}))
    return "prune", job.study_seed, job.candidate_hash, job.parent_weights, how


def _float_of(
    network: Network, narrow: Blueprint, training: TrainingData, generator: torch.Generator
) -> Network:
    """Return the float network of a network's weights at the widths of ``narrow``."""
    floating = build(narrow, None, generator=generator)
    inherit(floating, network)
    sample = training.sample(NORM_IMAGES, generator)
    recalibrate_norms(floating, torch.split(sample, NORM_BATCH))
    return floating


def _least_channels(blueprint: Blueprint) -> int:
    """Return how many channels stay of a group: where a layer is in parts, one of each part."""
    parts = (len(node.inputs) for node in blueprint.nodes if node.op == "concat")
    return max(parts, default=1)


def _target(pruning: Pruning, least_channels: int) -> Target:
    return Target(
        pruning.cost_frac,
        energy=pruning.energy,
        latency=pruning.latency,
        bitlines=pruning.bitlines,
        per=pruning.per,
        least_channels=least_channels,
        layers=pruning.layers,
    )


def _steps(history: tuple[Step, ...]) -> list[PruneStep]:
    """Return the networks that were tuned, each with all that went since the last one."""
    scored = [index for index, step in enumerate(history) if step.accuracy is not None]
    found = []
    for before, here in pairwise([-1, *scored]):
        removed: dict[str, int] = {}
        for step in history[before + 1 : here + 1]:
            for group, count in step.removed:
                removed[group] = removed.get(group, 0) + count
        last = history[here]
        found.append(
            PruneStep(
                tuple(sorted((group, n) for group, n in removed.items() if n)),
                last.cost_frac,
                last.energy_pj,
                last.latency_ns,
                last.bitlines,
                last.accuracy or 0.0,
                tuple(step.block for step in history[before + 1 : here + 1] if step.block),
            )
        )
    return found
