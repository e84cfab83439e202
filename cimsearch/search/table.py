"""A table: what every candidate of a small space scores at every rung, to replay searches with."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from cimsearch.errors import SpaceError, UsageError
from cimsearch.evaluate.distribution import statistic_of
from cimsearch.pareto import Points, front_mask, hypervolume, signed
from cimsearch.search.domain import Vectors
from cimsearch.search.pricing import directions, problem_of
from cimsearch.search.problem import Prices, Problem
from cimsearch.space import AnySpace, Genes, space_of
from cimsearch.spec import Study
from cimsearch.training.cache import whole_file

SCHEMA = "cimsearch/table/1"
PRICES = ("energy_pj", "latency_ns", "interval_ns", "area_um2")
MOST_CANDIDATES = 5000

Array = NDArray[np.float64]

# What NumPy and its helpers raise where a file is damaged or of something else.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    NotImplementedError,
    TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Table:
    """Every candidate of a study's space, priced, and scored at each of the study's rungs.

    Attributes:
        study: The study, resolved.
        genes: The candidates (n, g); inactive genes are -1.
        prices: Arrays (n,) by the names of ``PRICES``.
        accuracy: For each rung the accuracies (n, chips) of the same chips.
        cpu_s: Processor seconds (rungs, n) of each evaluation, without what earlier rungs took.
        repeated: Which candidates (k,) were trained again, with other random streams and a float
            parent of their own.
        repeats: For each rung their accuracies (replicates, k, chips), of the same chips.
        reference: The hypervolume's reference point, in objective units.
        about: Hash of the study, and what evaluated it: code, data, kinds of machine, version.
    """

    study: Study
    genes: Genes
    prices: Mapping[str, Array]
    accuracy: tuple[Array, ...]
    cpu_s: Array
    repeated: NDArray[np.int64]
    repeats: tuple[Array, ...]
    reference: tuple[float, ...]
    about: Mapping[str, Any]

    def __len__(self) -> int:
        """Return how many candidates there are."""
        return len(self.genes)

    @cached_property
    def space(self) -> AnySpace:
        """The space of the candidates."""
        return space_of(self.study)

    @cached_property
    def epochs(self) -> tuple[int, ...]:
        """Epochs that each rung trains, on top of those of the rungs below."""
        return tuple(rung.epochs for rung in self.study.spec.rungs)

    @cached_property
    def directions(self) -> tuple[str, ...]:
        """``maximize`` or ``minimize`` for each objective."""
        return tuple(directions(self.study))

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {row.tobytes(): place for place, row in enumerate(self.genes)}

    def rows(self, vectors: Vectors | Genes) -> NDArray[np.int64]:
        """Return which candidates (m,) the gene vectors (m, g) are.

        Raises:
            SpaceError: A vector is none of the space.
        """
        canonical = self.space.canonical(np.asarray(vectors).astype(np.int64))
        return np.array([self._places[row.tobytes()] for row in canonical], dtype=np.int64)

    def values(self, rung: int) -> Array:
        """Return the objective values (n, d) of all candidates at a rung, in objective units."""
        known = [self.prices[name] for name in self.study.spec.objectives[1:]]
        return np.column_stack([self.objective_accuracy[rung], *known])

    @cached_property
    def objective_accuracy(self) -> tuple[Array, ...]:
        """For each rung the accuracy (n,) that the study maximises."""
        return tuple(self._statistic(chips) for chips in self.accuracy)

    def points(self, rung: int) -> Points:
        """Return the objective values (n, d) of all candidates at a rung, all to be minimised."""
        return signed(self.values(rung), self.directions)

    def front(self, rung: int) -> NDArray[np.bool_]:
        """Return which candidates (n,) are on the exact Pareto front of a rung."""
        return front_mask(self.points(rung))

    def hypervolume(self, rung: int) -> float:
        """Return the hypervolume of a rung's exact front, in objective units."""
        return hypervolume(self.points(rung), signed(self.reference, self.directions)[0])

    def noise_std(self, rung: int) -> float:
        """Return the standard deviation of an accuracy over repeated evaluations.

        It is that of trainings with other streams from other float parents, on the same chips and
        images, pooled over the candidates that were repeated.
        """
        first = self.accuracy[rung][self.repeated][None]
        runs = np.concatenate([first, self.repeats[rung]])
        found = np.array([self._statistic(chips) for chips in runs])
        return float(np.sqrt(found.var(axis=0, ddof=1).mean()))

    def rank_agreement(self, low: int, high: int) -> float:
        """Return Kendall's tau-b of the accuracies at two rungs over all candidates."""
        of_low, of_high = self.objective_accuracy[low], self.objective_accuracy[high]
        return float(kendalltau(of_low, of_high).statistic)

    def problem(self) -> Problem:
        """Return what a sampler is asked in the study, with the table's own prices."""
        problem = problem_of(self.study, self.space, self.reference)
        if problem.price is None:
            return problem
        priced = problem.price(self.space.repair(self.genes).astype(np.float64))
        objectives = self.points(0)
        objectives[:, 0] = np.nan

        def price_rows(vectors: Vectors) -> Prices:
            rows = self.rows(vectors)
            return Prices(objectives[rows], priced.violations[rows], priced.features[rows])

        return Problem(problem.domain, problem.directions, problem.reference, price_rows)

    def _statistic(self, accuracies: Array) -> Array:
        """Return what the study maximises of accuracies (n, chips)."""
        wanted = self.study.spec.accuracy_statistic
        return np.array([statistic_of(wanted, row) for row in accuracies.tolist()])


def every_candidate(space: AnySpace) -> Genes:
    """Return all candidates of a space (n, g) in a fixed order; inactive genes are -1.

    Raises:
        SpaceError: There are more than ``MOST_CANDIDATES``.
    """
    if space.size > MOST_CANDIDATES:
        raise SpaceError(
            f"{space.name}: found {space.size:,} candidates; a table takes at most "
            f"{MOST_CANDIDATES:,}",
            "give the space fewer choices",
        )
    genes = space.genes
    found = np.zeros((1, len(genes)), dtype=np.int64)
    # What a gene is active by has fewer needs than the gene itself.
    for index in sorted(range(len(genes)), key=lambda index: len(genes[index].needs)):
        times = np.where(space.active(found)[:, index], len(genes[index].choices), 1)
        first = np.repeat(np.cumsum(times) - times, times)
        found = np.repeat(found, times, axis=0)
        found[:, index] = np.arange(len(found)) - first
    rows = space.canonical(found)
    # Choices that mean the same are told once.
    firsts = np.unique(rows, axis=0, return_index=True)[1]
    return np.asarray(rows[np.sort(firsts)])


def save_table(table: Table, path: Path) -> None:
    """Write a table to a ``.npz`` file: arrays, and JSON of the study and of what evaluated it.

    Raises:
        OSError: It cannot be written.
    """
    about = {"schema": SCHEMA, "reference": table.reference, **table.about}
    arrays: dict[str, Any] = {
        "about": json.dumps(about),
        "study": table.study.to_json(),
        "genes": table.genes.astype(np.int16),
        "cpu_s": table.cpu_s.astype(np.float32),
        "repeated": table.repeated,
    }
    arrays |= {name: table.prices[name] for name in PRICES}
    for rung, (accuracy, repeats) in enumerate(zip(table.accuracy, table.repeats, strict=True)):
        arrays |= {f"accuracy_{rung}": accuracy, f"repeats_{rung}": repeats}
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_table(path: Path) -> Table:
    """Return the table of a file.

    Raises:
        UsageError: The file cannot be read, or holds no table of this version.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _table_of(dict(arrays), path)
    except _UNREADABLE as error:
        raise UsageError(
            f"{path} cannot be read as a table: {' '.join(str(error).split())}",
            "build it with: cimsearch bench build-table STUDY --out FILE",
        ) from error


def _table_of(arrays: Mapping[str, NDArray[Any]], path: Path) -> Table:
    about = json.loads(str(arrays["about"]))
    if about.pop("schema") != SCHEMA:
        raise UsageError(f"{path}: found a table of another version; allowed is {SCHEMA}")
    study = Study.from_json(str(arrays["study"]))
    rungs = range(len(study.spec.rungs))
    return Table(
        study=study,
        genes=arrays["genes"].astype(np.int64),
        prices={name: arrays[name] for name in PRICES},
        accuracy=tuple(arrays[f"accuracy_{rung}"] for rung in rungs),
        cpu_s=arrays["cpu_s"].astype(np.float64),
        repeated=arrays["repeated"],
        repeats=tuple(arrays[f"repeats_{rung}"] for rung in rungs),
        reference=tuple(about.pop("reference")),
        about=about,
    )
