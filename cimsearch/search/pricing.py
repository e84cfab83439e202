"""Pricing: what of a candidate is known before anything is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
from cimsearch.layer_table import layer_table
from cimsearch.pareto import signed
from cimsearch.search.domain import Vectors, domain_of
from cimsearch.search.problem import Prices, Problem
from cimsearch.space import AnySpace, Candidate, Genes, space_of
from cimsearch.spec import Hardware, Study
from cimsearch.spec.hardware_genes import Settings
from cimsearch.spec.settings import with_settings
from cimsearch.spec.study import Bound, Statistics

Direction = Literal["maximize", "minimize"]
Rows = NDArray[np.intp]


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
    machine = study.machine(candidate.settings)
    report = estimate(candidate.blueprint, machine, study.spec.statistics, allow_reload=True)
    objectives = tuple(getattr(report, name) for name in study.spec.objectives[1:])
    bounds = study.bounds_on(machine)
    violations = [violation(getattr(report, name), bound) for name, bound in bounds.items()]
    return Priced(candidate, report, objectives, tuple(float(v) for v in violations))


def violation(value: float | NDArray[np.float64], bound: Bound) -> float | NDArray[np.float64]:
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
    machine = study.machine(candidate.settings)
    return float(estimate_totals(table, machine, statistics).energy_pj[0])


def estimate_batch(
    space: AnySpace, genes: Genes, hardware: Hardware, statistics: Statistics | None = None
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
    return _batch(space, genes, partial(with_settings, hardware), statistics)


def _batch(
    space: AnySpace,
    genes: Genes,
    machine_of: Callable[[Settings], Hardware],
    statistics: Statistics | None,
) -> Totals:
    """Return the costs of candidates (n, g), each on the machine it asks for."""
    if not len(genes):
        return _no_totals()
    asked = list(space.by_machine(genes))
    if len(asked) == 1:
        return _totals(space, genes, machine_of(asked[0][0]), statistics)
    pieces = [
        (rows, _totals(space, genes[rows], machine_of(settings), statistics))
        for settings, rows in asked
    ]
    return _in_order(pieces)


def _totals(
    space: AnySpace, genes: Genes, machine: Hardware, statistics: Statistics | None
) -> Totals:
    """Return the costs of candidates that are all of one machine."""
    table = space.layer_table(genes)
    # Padding, behind the last name, has no name: it is real in no network.
    data = named_statistics(statistics, [*space.node_names, ""])
    if isinstance(data, NodeStatistics):
        nodes = space.node_indices(genes)
        data = data.map(lambda share: share[0][nodes])
    return estimate_totals(table, machine, data)


def _in_order(pieces: Sequence[tuple[Rows, Totals]]) -> Totals:
    """Return costs of all candidates, given those of some with their rows."""
    order = np.argsort(np.concatenate([rows for rows, _ in pieces]))

    def whole(of: Callable[[Totals], NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.concatenate([of(totals) for _, totals in pieces])[order]

    simple = {f.name: whole(attrgetter(f.name)) for f in fields(Totals) if f.name != "components"}
    parts = {name: whole(partial(_component, name)) for name in COMPONENTS}
    return Totals(**simple, components=parts)


def _component(name: str, totals: Totals) -> NDArray[np.float64]:
    component: NDArray[np.float64] = totals.components[name]
    return component


def _no_totals() -> Totals:
    """Return the costs of no networks."""
    none = np.zeros(0)
    return Totals(none, none, none, none, none, none, dict.fromkeys(COMPONENTS, none))


def problem_of(study: Study, space: AnySpace, reference: tuple[float, ...]) -> Problem:
    """Return what a sampler is asked in a study: its space, what is priced, what is wanted."""
    ways = tuple(directions(study))

    def price_vectors(vectors: Vectors) -> Prices:
        genes = vectors.astype(np.int64)
        costs = _batch(space, genes, study.machine, study.spec.statistics)
        named = [getattr(costs, name) for name in study.spec.objectives[1:]]
        unknown = np.full(len(genes), np.nan)
        missed = _violations(study, space, genes, costs)
        return Prices(
            objectives=signed(np.column_stack([unknown, *named]), ways),
            violations=missed,
            features=np.log(np.column_stack([costs.energy_pj, costs.latency_ns, costs.area_um2])),
        )

    return Problem(domain_of(space), ways, reference, price_vectors)


def failing_constraints(study: Study, genes: Genes) -> tuple[int, dict[str, int]]:
    """Return how many of ``genes`` (n, g) are feasible, and how often each constraint fails."""
    space = space_of(study)
    costs = _batch(space, genes, study.machine, study.spec.statistics)
    failed = _violations(study, space, genes, costs) > 0
    fails = dict(zip(study.bounds, failed.sum(axis=0).tolist(), strict=True))
    return int((~failed.any(axis=1)).sum()), fails


def _violations(study: Study, space: AnySpace, genes: Genes, costs: Totals) -> NDArray[np.float64]:
    """Return by how much each constraint is missed (n, constraints)."""
    missed = np.zeros((len(genes), len(study.bounds)))
    for settings, rows in space.by_machine(genes):
        bounds = study.bounds_on(study.machine(settings))
        for column, (name, bound) in enumerate(bounds.items()):
            missed[rows, column] = violation(getattr(costs, name)[rows], bound)
    return missed


def directions(study: Study) -> list[Direction]:
    """Return ``maximize`` for accuracy and ``minimize`` for every priced objective."""
    return ["maximize" if name == "accuracy" else "minimize" for name in study.spec.objectives]
