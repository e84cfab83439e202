"""Searching for the cheapest network there is, however badly it would do its work."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from cimsearch.search.domain import domain_of
from cimsearch.search.evolution import offspring
from cimsearch.search.history import Seen
from cimsearch.search.population import Survival
from cimsearch.search.pricing import estimate_batch
from cimsearch.search.problem import Problem
from cimsearch.seeds import stream
from cimsearch.space import Genes, Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Sampler

OBJECTIVES = ("energy_pj", "latency_ns", "area_um2")
LITTER = 100


@dataclass(frozen=True)
class Field:
    """Where is searched: a space on a macro."""

    space: Space
    hardware: Hardware

    def prices(self, genes: Genes) -> np.ndarray:
        """Return the objectives (n, 3) of gene vectors (n, g)."""
        costs = estimate_batch(self.space, genes, self.hardware)
        return np.column_stack([getattr(costs, name) for name in OBJECTIVES])


@cache
def field_of(macro: str, network: str) -> Field:
    """Return the quickstart's space with all that the macro lets a layer choose.

    Args:
        macro: Its name.
        network: ``any`` of the space, or the ``largest``: then only bits and converters are free.
    """
    hardware = load_hardware(f"macros/{macro}")
    spec, of = load_space_spec("vgg_tiny"), hardware.macro
    genes: dict[str, Any] = {
        name: tuple(bits for bits in getattr(spec.genes, name) if bits in of.choices(name))
        for name in ("weight_bits", "activation_bits")
    }
    for name in ("adc_bits", "encoding", "range_policy"):
        if name in of.configurable:
            genes[name] = of.choices(name)
    changed: dict[str, Any] = {}
    if network == "largest":
        genes["prune_ratio"] = (0.0,)
        changed["stages"] = tuple(
            stage.model_copy(update={"width": stage.width[-1:], "depth": stage.depth[-1:]})
            for stage in spec.stages
        )
    changed["genes"] = spec.genes.model_copy(update=genes)
    return Field(Space(spec.model_copy(update=changed)), hardware)


def searched(field: Field, survival: Survival | None, n: int) -> tuple[Genes, np.ndarray]:
    """Return the genes (n, g) and prices (n, 3) that a sampler tries, all equally accurate.

    Args:
        field: Where.
        survival: Which algorithm; None for uniform draws.
        n: How many.
    """
    domain, rng = domain_of(field.space), stream("loopholes")
    problem = Problem(domain, ("maximize", "minimize", "minimize", "minimize"))
    history: list[Seen] = []
    while len(history) < n:
        if survival is None:
            vectors = domain.sample(LITTER, rng)
        else:
            settings = Sampler(name=survival)
            vectors = offspring(problem, settings, history, rng, LITTER, survival)
        prices = field.prices(vectors.astype(np.int64))
        history += [
            Seen(len(history) + i, tuple(genes), "", True, "complete", (0.5, *price), (), {})
            for i, (genes, price) in enumerate(zip(vectors.tolist(), prices.tolist(), strict=True))
        ]
    genes = np.array([seen.genes for seen in history], dtype=np.int64)
    return genes, np.array([seen.values for seen in history])[:, 1:]


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
