"""The network of a study morphed into a budget of arrays, as a space with its weights."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cimsearch.blueprint import Blueprint
from cimsearch.cost import CostReport, estimate
from cimsearch.cost.budget import ArrayBudget
from cimsearch.errors import UsageError
from cimsearch.evaluate import Job
from cimsearch.evaluate.morph_run import MorphedNetwork, morph_network
from cimsearch.evaluate.report import OnReport, unheard
from cimsearch.orchestrate.imported.bring import check_free, check_name, write_network
from cimsearch.orchestrate.imported.resized import resized_spec
from cimsearch.orchestrate.run.parents import keep_parents
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.sources import check_sources_readable, find_sources
from cimsearch.space import Candidate
from cimsearch.space.fill import scaled
from cimsearch.space.widths import check_whole, widths_of, with_widths
from cimsearch.spec import Study, load_space_spec
from cimsearch.spec.network import NetworkSpec
from cimsearch.training.morph import Morphing, OnStage, Stage, untold
from cimsearch.training.parents import digest_of


@dataclass(frozen=True)
class Sized:
    """A network beside others of the same layers.

    Attributes:
        blueprint: With its bits.
        units: Of the budget, that it takes.
        usage_frac: Its cells in use as a share of those of the budget.
        price: On the study's hardware, at the study's statistics.
        accuracy: Of its float weights, on validation images; None if it was not trained.
    """

    blueprint: Blueprint
    units: int
    usage_frac: float
    price: CostReport
    accuracy: float | None


@dataclass(frozen=True)
class MorphedStudy:
    """What was made of the network of a study.

    Attributes:
        budget: What it may take.
        parent: The network with all its channels, trained.
        uniform: The widest one that fits whose widths are all the same share; not trained.
        morphed: The one that was written.
        history: Every stage of morphing.
        images: Validation images that accuracies are on.
        spec: The space that was written; it names its weights.
    """

    budget: ArrayBudget
    parent: Sized
    uniform: Sized
    morphed: Sized
    history: tuple[Stage, ...]
    images: int
    spec: NetworkSpec

    @property
    def widths(self) -> dict[str, tuple[int, int, int]]:
        """Channels of each group by its name: of parent, uniform and morphed."""
        every = (self.parent, self.uniform, self.morphed)
        columns = [widths_of(each.blueprint) for each in every]
        return {name: (w, columns[1][name], columns[2][name]) for name, w in columns[0].items()}


@dataclass(frozen=True)
class Order:
    """What is to be morphed into what.

    Attributes:
        study: Says data, recipe, seed and statistics.
        candidate: A network of its space with its bits; what is pruned of it is there again.
        budget: What the morphed network may take, on the candidate's hardware.
        plan: How it is morphed.
        to: The file to write, ``NAME.yaml``; the weights become ``NAME.safetensors``.
        data: Where the data lies, if not where the study says.
        force: Whether files that are there are written over.
    """

    study: Study
    candidate: Candidate
    budget: ArrayBudget
    plan: Morphing
    to: Path
    data: str | None = None
    force: bool = False


def morph_study(
    order: Order, *, on_report: OnReport = unheard, on_stage: OnStage = untold
) -> MorphedStudy:
    """Train the network of a study, morph it into a budget and write it as a space.

    It is done in this process, by one thread. The parent is that of the study's candidates, which
    is trained once. Nothing is written before all is done. The same order gives the same files on
    machines of one kind.

    Args:
        order: What to do.
        on_report: Hears of each epoch of the parent.
        on_stage: Hears of each stage of morphing.

    Raises:
        UsageError: The study has several workloads, the network takes less than the budget, it
            has no gains to shrink by, or the files cannot be written.
        SpaceError: Not even the least widths fit, or nothing of the network is on arrays.
        HardwareError: The hardware cannot run the network.
        DataError: The data is missing or not as declared.
        CimsearchError: A training diverged.
    """
    check_name(order.to)
    check_free(order.to, force=order.force)
    _check_writable(order.to)
    whole = _whole(order)
    uniform = _uniform(order, whole.blueprint)
    job = _job(order, whole)
    found = morph_network(job, order.budget, order.plan, on_report=on_report, on_stage=on_stage)
    spec = _spec(order, found)
    write_network(spec, found.weights, order.to, force=order.force)
    first, *_, last = found.history
    return MorphedStudy(
        budget=order.budget,
        parent=_sized(order, whole.blueprint, first.accuracy),
        uniform=_sized(order, uniform, None),
        morphed=_sized(order, found.blueprint, last.accuracy),
        history=found.history,
        images=found.images,
        spec=spec,
    )


def _whole(order: Order) -> Candidate:
    """Return the candidate with all the channels of its float parent."""
    study, candidate = order.study, order.candidate
    if len(study.workloads) > 1:
        raise UsageError(
            f"{study.name}: found {len(study.workloads)} workloads; allowed is one",
            "write a study of the one whose network is to be morphed",
        )
    check_whole(candidate.blueprint)
    blueprint = with_widths(candidate.blueprint, widths_of(candidate.parent))
    return Candidate(blueprint, candidate.parent, settings=candidate.settings)


def _uniform(order: Order, blueprint: Blueprint) -> Blueprint:
    """Return the widest network of uniform scaling, after a check that the budget makes sense."""
    budget = order.budget
    uniform = scaled(blueprint, budget, order.plan.grid)
    if (units := budget.units(blueprint)) < budget.limit:
        raise UsageError(
            f"--budget: found {budget}; the network takes {units} with all its channels; allowed "
            "are up to that",
            "cimsearch network fill finds widths for a larger budget",
        )
    return uniform.blueprint


def _job(order: Order, whole: Candidate) -> Job:
    """Return the job of the network at the study's first rung: its parent is what is morphed."""
    study = order.study
    sources = find_sources(study, order.data)
    check_sources_readable(study, sources)
    keep_parents(study)
    plan = Plan.of(study, sources, study.spec.budget.trials)
    return cast(Job, plan.job(whole, test=False, rung=0))


def _spec(order: Order, found: MorphedNetwork) -> NetworkSpec:
    study, budget, rounds = order.study, order.budget, order.plan.rounds
    own = load_space_spec(study.spec.space, beside=study.path)
    summary = (
        f"{own.name} morphed into {budget} of {budget.hardware.name} in {rounds} "
        f"round{'s' * (rounds > 1)}, as {study.name} says, seed {study.spec.seed}"
    )
    digest = digest_of(found.weights)
    return resized_spec(found.blueprint, own, order.to, summary, weights_sha256=digest)


def _sized(order: Order, blueprint: Blueprint, accuracy: float | None) -> Sized:
    budget = order.budget
    price = estimate(blueprint, budget.hardware, order.study.spec.statistics)
    units, usage_frac = budget.units(blueprint), budget.usage_frac(blueprint)
    return Sized(blueprint, units, usage_frac, price, accuracy)


def _check_writable(to: Path) -> None:
    """Check that a file can be written, before hours of training.

    Raises:
        UsageError: It cannot.
    """
    folder = next(path for path in to.absolute().parents if path.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"--to: {to} cannot be written: {folder} is no directory to write to")
