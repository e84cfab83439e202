"""Morphing as a process runs it. What comes out is a function of the job alone, bit for bit."""

from copy import deepcopy
from dataclasses import asdict, dataclass, replace

import torch

from cimsearch.blueprint import Blueprint
from cimsearch.cost.budget import ArrayBudget
from cimsearch.evaluate.images import images_of, source_of
from cimsearch.evaluate.job import Job
from cimsearch.evaluate.machine import keep_freed_memory, one_thread, training_dtype
from cimsearch.evaluate.report import OnReport, unheard
from cimsearch.evaluate.train import trained_parent
from cimsearch.networks.weights import weights_file
from cimsearch.seeds import torch_seed
from cimsearch.spec.base import canonical_json
from cimsearch.training.keep import Keep
from cimsearch.training.morph import (
    Bench,
    Morphing,
    OnStage,
    Stage,
    check_gains,
    morph,
    untold,
)
from cimsearch.training.recipe import TrainingData

PROBE_FRAC = 0.25
"""The longest short run, as a share of the long run whose penalty it seeks."""


@dataclass(frozen=True)
class MorphedNetwork:
    """A network that fits a budget, with its weights.

    Attributes:
        blueprint: With the bits that it is priced at.
        weights: The file of its float weights.
        history: Every stage, in order: the first is the trained float parent, and the accuracy of
            the last is that of the weights.
        images: Validation images that the accuracies are on.
    """

    blueprint: Blueprint
    weights: bytes
    history: tuple[Stage, ...]
    images: int


def morph_network(
    job: Job,
    budget: ArrayBudget,
    plan: Morphing,
    *,
    on_report: OnReport = unheard,
    on_stage: OnStage = untold,
) -> MorphedNetwork:
    """Train the job's float parent and morph it into a budget.

    Accuracies are on validation images; test images are never opened. A parent that is kept in
    the job's cache is not trained again.

    Args:
        job: The network with all its channels, its data, recipe and seed.
        budget: What it may take.
        plan: How it is morphed. A short run is at most ``PROBE_FRAC`` of the long one.
        on_report: Hears of each epoch of the parent.
        on_stage: Hears of each stage of morphing.

    Raises:
        UsageError: There is no gain to shrink by.
        SpaceError: Not even the least widths fit the budget, or nothing is on arrays.
        CimsearchError: The data is missing or not as declared, the hardware cannot run the
            network, or training diverged.
    """
    check_gains(job.parent)
    keep_freed_memory()
    with one_thread():
        source = source_of(job)
        training = TrainingData(images_of(source, "train"), job.data)
        scored = images_of(source, "validation")
        generator = torch.Generator().manual_seed(_seed(job, budget, plan))
        bench = Bench(training, job.recipe, plan, budget, scored, generator)
        longest = max(1, int(PROBE_FRAC * bench.steps(plan.shrink_epochs)))
        plan = replace(plan, probe_steps=min(plan.probe_steps, longest))
        # The parent is shared by all jobs of this process.
        network = deepcopy(trained_parent(job, training, Keep.at(job.cache), on_report))
        network.dtype = training_dtype(job.parent.macs)
        found = morph(network, job.blueprint, replace(bench, plan=plan), on_stage)
        return MorphedNetwork(
            found.blueprint, weights_file(found.network), found.history, len(scored.y)
        )


def _seed(job: Job, budget: ArrayBudget, plan: Morphing) -> int:
    """Return the seed of the stream of a morphing: of what is morphed, and how."""
    how = canonical_json(asdict(plan) | {"limit": budget.limit, "unit": budget.unit})
    named = (job.study_seed, job.candidate_hash, job.parent_weights, how)
    return torch_seed("morph", *named)
