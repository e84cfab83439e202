"""Searching for the cheapest network there is, however badly it would do its work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, get_args

import numpy as np

from cimsearch.search.algorithms import algorithm_of
from cimsearch.search.auto import MOST
from cimsearch.search.domain import Vectors, domain_of
from cimsearch.search.evolution import offspring
from cimsearch.search.history import Seen
from cimsearch.search.population import Survival
from cimsearch.search.pricing import estimate_batch
from cimsearch.search.problem import Draws, Prices, Problem
from cimsearch.seeds import stream
from cimsearch.space import AnySpace, Genes, Space, StudySpace
from cimsearch.spec import load_hardware, load_space_spec, load_study
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.hardware_genes import HardwareGenes
from cimsearch.spec.machines import Machines
from cimsearch.spec.space import SpaceSpec
from cimsearch.spec.study import Sampler, SamplerName

OBJECTIVES = ("energy_pj", "latency_ns", "area_um2")
SURVIVALS: tuple[Survival, ...] = get_args(Survival)
LITTER = 100

# Samplers that do not look at results.
BLIND: tuple[SamplerName, ...] = ("random", "qmc")
# Of the others so many children are taken at a time while a model is fitted to the results.
FEW = 20


@dataclass(frozen=True)
class Field:
    """Where is searched: a space on a macro, or on the machines that the space chooses from."""

    space: AnySpace
    hardware: Hardware

    def prices(self, genes: Genes) -> np.ndarray:
        """Return the objectives (n, 3) of gene vectors (n, g)."""
        costs = estimate_batch(self.space, genes, self.hardware)
        return np.column_stack([getattr(costs, name) for name in OBJECTIVES])

    def problem(self) -> Problem:
        """Return what a sampler is asked: accuracy is unknown before training, the rest is not."""

        def price(vectors: Vectors) -> Prices:
            known = self.prices(vectors.astype(np.int64))
            unknown = np.full((len(known), 1), np.nan)
            return Prices(np.hstack([unknown, known]), np.zeros((len(known), 0)), np.log(known))

        ways = ("maximize", "minimize", "minimize", "minimize")
        return Problem(domain_of(self.space), ways, price=price)


@cache
def field_of(macro: str, network: str) -> Field:
    """Return the quickstart's space with all that the macro lets a layer choose.

    Args:
        macro: Its name.
        network: ``any`` of the space, or the ``largest``: then only bits and converters are free.
    """
    hardware = load_hardware(f"macros/{macro}")
    return Field(space_on(hardware, network), hardware)


def space_on(hardware: Hardware, network: str, *, but: Sequence[str] = ()) -> Space:
    """Return that space, but for genes named so."""
    spec, of = load_space_spec("vgg_tiny"), hardware.macro
    genes: dict[str, Any] = {
        name: tuple(bits for bits in getattr(spec.genes, name) if bits in of.choices(name))
        for name in ("weight_bits", "activation_bits")
    }
    for name in ("adc_bits", "encoding", "range_policy"):
        if name in of.configurable and name not in but:
            genes[name] = of.choices(name)
    changed: dict[str, Any] = {}
    if network == "largest" and isinstance(spec, SpaceSpec):
        genes["prune_ratio"] = (0.0,)
        changed["stages"] = tuple(
            stage.model_copy(update={"width": stage.width[-1:], "depth": stage.depth[-1:]})
            for stage in spec.stages
        )
    changed["genes"] = spec.genes.model_copy(update=genes)
    return Space(spec.model_copy(update=changed))


@cache
def machines_of(study: str, network: str) -> Field:
    """Return that space on the machines that a study opens, with inputs of 1, 2 or 4 bits too."""
    loaded = load_study(study)
    opened = loaded.spec.genes.hardware.model_copy(update={"dac_bits": (1, 2, 4)})
    return over_machines(loaded.hardware, opened, network)


def over_machines(hardware: Hardware, opened: HardwareGenes, network: str) -> Field:
    """Return that space on machines; converter bits are the machine's if it opens them."""
    but = ("adc_bits",) if opened.adc_bits else ()
    space = space_on(hardware, network, but=but)
    return Field(StudySpace((("", space),), Machines(hardware, opened)), hardware)


def searched(field: Field, sampler: SamplerName, n: int) -> tuple[Genes, np.ndarray]:
    """Return the genes (n, g) and prices (n, 3) that a sampler tries, all equally accurate."""
    problem = field.problem()
    history: list[Seen] = []
    while len(history) < n:
        vectors = _proposed(problem, sampler, history, n)[: n - len(history)]
        prices = field.prices(vectors.astype(np.int64))
        history += [
            Seen(len(history) + i, tuple(genes), "", True, "complete", (0.5, *price), (), {})
            for i, (genes, price) in enumerate(zip(vectors.tolist(), prices.tolist(), strict=True))
        ]
    genes = np.array([seen.genes for seen in history], dtype=np.int64)
    return genes, np.array([seen.values for seen in history])[:, 1:]


def _proposed(problem: Problem, sampler: SamplerName, history: list[Seen], n: int) -> Vectors:
    """Return what a sampler proposes next: several vectors, which saves time."""
    settings, k = Sampler(name=sampler, unscreened_frac=0.0), len(history)
    if sampler in SURVIVALS:
        rng = stream("loopholes", k)
        return offspring(problem, settings, history, rng, LITTER, sampler)

    def children(number: int, count: int) -> Iterator[tuple[float, ...]]:
        found = algorithm_of(sampler)(problem, settings, history, Draws(0, number))
        yield from (child.vector for child in islice(found, count))

    if sampler in BLIND:
        return np.array([next(children(number, 1)) for number in range(n)])
    return np.array(list(children(k, LITTER if sampler == "auto" and k > MOST else FEW)))


def climbed(field: Field, genes: Genes, objective: int) -> tuple[int, ...]:
    """Return genes (g,) that no change of one gene makes cheaper, near given ones.

    Of those that are as cheap the ones are taken that are cheaper in the other objectives, and of
    these the first choices.
    """
    best = tuple(int(index) for index in genes)
    while (near := _cheapest(field, _neighbours(field, best), objective)) != best:
        best = near
    return best


def _neighbours(field: Field, genes: Sequence[int]) -> Genes:
    """Return genes as they are and with each other choice of one gene."""
    near = [list(genes)]
    for place, gene in enumerate(field.space.genes):
        for choice in range(len(gene.choices)):
            near.append([*genes[:place], choice, *genes[place + 1 :]])
    return field.space.repair(np.array(near, dtype=np.int64))


def _cheapest(field: Field, genes: Genes, objective: int) -> tuple[int, ...]:
    prices = np.roll(field.prices(genes), -objective, axis=1)
    # Sums that differ in their last bits are equal.
    keys = [
        (*(float(f"{price:.10g}") for price in row), *of)
        for row, of in zip(prices.tolist(), genes.tolist(), strict=True)
    ]
    return tuple(genes[min(range(len(keys)), key=keys.__getitem__)].tolist())
