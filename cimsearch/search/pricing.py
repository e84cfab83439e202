"""Pricing: what of a candidate is known before anything is trained."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cimsearch.blueprint import layer_table
from cimsearch.cost import (
    COMPONENTS,
    CostReport,
    NodeStatistics,
    Totals,
    estimate,
    estimate_totals,
    named_statistics,
    node_statistics,
)
from cimsearch.cost.given import check_hardware
from cimsearch.evaluate import Score
from cimsearch.pareto import signed
from cimsearch.search.domain import Vectors, domain_of
from cimsearch.search.problem import Prices, Problem
from cimsearch.space import Candidate, Genes, Space
from cimsearch.spec import Hardware, Study
from cimsearch.spec.study import Bound, Statistics

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Priced:
    """A candidate with its price.

    Attributes:
        candidate: What was priced.
        report: The full cost report.
        objectives: The priced objectives, in the study's order without accuracy.
        constraints: Relative violations in the order of the constraints' names; <= 0 is feasible.
    """

    candidate: Candidate
    report: CostReport
    objectives: tuple[float, ...]
    constraints: tuple[float, ...]

    @property
    def feasible(self) -> bool:
        """Whether every constraint holds."""
        return all(violation <= 0 for violation in self.constraints)


def price(study: Study, candidate: Candidate) -> Priced:
    """Return ``candidate`` priced on the study's hardware with its declared statistics.

    Raises:
        HardwareError: The hardware cannot do what a node asks.
    """
    report = estimate(
        candidate.blueprint, study.hardware, study.spec.statistics, allow_reload=True
    )
    objectives = tuple(getattr(report, name) for name in study.spec.objectives[1:])
    violations = [_violation(getattr(report, name), bound) for name, bound in study.bounds.items()]
    return Priced(candidate, report, objectives, tuple(float(v) for v in violations))


def _violation(value: float | NDArray[np.float64], bound: Bound) -> float | NDArray[np.float64]:
    """Return by how much of the bound a value misses it; <= 0 holds."""
    worst: float | NDArray[np.float64] = np.full(np.shape(value), -np.inf)
    if bound.max is not None:
        worst = np.maximum(worst, (value - bound.max) / (bound.max or 1.0))
    if bound.min is not None:
        worst = np.maximum(worst, (bound.min - value) / (bound.min or 1.0))
    return worst


def energy_measured_pj(study: Study, candidate: Candidate, score: Score) -> float:
    """Return the candidate's energy at the activity and density that were measured on it.

    A second column: objectives and constraints always use the declared statistics.
    """
    statistics = node_statistics(
        candidate.blueprint,
        score.activity_frac,
        score.density_frac,
        default=study.spec.statistics,
    )
    table = layer_table([candidate.blueprint])
    return float(estimate_totals(table, study.hardware, statistics).energy_pj[0])


def estimate_batch(
    space: Space, genes: Genes, hardware: Hardware, statistics: Statistics | None = None
) -> Totals:
    """Return the costs of many candidates at once, without those of their nodes.

    Args:
        space: What the genes mean.
        genes: Choice indices (n, g); of none the costs are empty arrays.
        hardware: From ``load_hardware``.
        statistics: Declared data statistics; the defaults if left out.

    Raises:
        SpaceError: The vectors have the wrong length, or a value is no index in range.
        HardwareError: A candidate asks what the hardware cannot do; names the first.
        UsageError: ``hardware`` is not loaded.
    """
    check_hardware(hardware)
    table = space.layer_table(genes)
    if not table.shape[0]:
        return _no_totals()
    # Padding, behind the last name, has no name: it is real in no network.
    data = named_statistics(statistics, [*space.node_names, ""])
    if isinstance(data, NodeStatistics):
        nodes = space.node_indices(genes)
        data = data.map(lambda share: share[0][nodes])
    return estimate_totals(table, hardware, data)


def _no_totals() -> Totals:
    """Return the costs of no networks."""
    none = np.zeros(0)
    return Totals(none, none, none, none, none, none, dict.fromkeys(COMPONENTS, none))


def problem_of(study: Study, space: Space, reference: tuple[float, ...]) -> Problem:
    """Return what a sampler is asked in a study: its space, what is priced, what is wanted."""
    ways = tuple(directions(study))

    def price_vectors(vectors: Vectors) -> Prices:
        genes = vectors.astype(np.int64)
        costs = estimate_batch(space, genes, study.hardware, study.spec.statistics)
        named = [getattr(costs, name) for name in study.spec.objectives[1:]]
        unknown = np.full(len(genes), np.nan)
        missed = [_violation(getattr(costs, name), b) for name, b in study.bounds.items()]
        return Prices(
            objectives=signed(np.column_stack([unknown, *named]), ways),
            violations=np.array(missed, dtype=np.float64).reshape(len(missed), len(genes)).T,
            features=np.log(np.column_stack([costs.energy_pj, costs.latency_ns, costs.area_um2])),
        )

    return Problem(domain_of(space), ways, reference, price_vectors)


def failing_constraints(study: Study, genes: Genes) -> tuple[int, dict[str, int]]:
    """Return how many of ``genes`` (n, g) are feasible, and how often each constraint fails."""
    costs = estimate_batch(Space(study.space), genes, study.hardware, study.spec.statistics)
    feasible = np.ones(len(genes), dtype=bool)
    fails: dict[str, int] = {}
    for name, bound in study.bounds.items():
        failed = np.asarray(_violation(getattr(costs, name), bound)) > 0
        fails[name] = int(failed.sum())
        feasible &= ~failed
    return int(feasible.sum()), fails


def directions(study: Study) -> list[Direction]:
    """Return ``maximize`` for accuracy and ``minimize`` for every priced objective."""
    return ["maximize" if name == "accuracy" else "minimize" for name in study.spec.objectives]
