"""What is to be evaluated for a table."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cimsearch.errors import UsageError
from cimsearch.evaluate import Job
from cimsearch.evaluate.joint import members_of
from cimsearch.orchestrate.run.parents import keep_parents
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.search.table import every_candidate
from cimsearch.seeds import stream
from cimsearch.space import Candidate, Genes
from cimsearch.spec import Study
from cimsearch.training.data import check_readable
from cimsearch.training.fingerprint import fingerprint
from cimsearch.training.paths import resolve_path

REPEATED = 40
"""How many candidates are trained again for the noise of a repeated evaluation."""

# Behind the replicates of searches (0) and of final scorings (1).
_FIRST_REPLICATE = 2


@dataclass(frozen=True)
class Chain:
    """A candidate's evaluations, from the lowest rung up.

    Attributes:
        candidate: Which candidate.
        replicate: Which streams train it.
        keys: The key of the job of each rung.
    """

    candidate: int
    replicate: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """All that is to be evaluated.

    Attributes:
        plan: The study with what follows from it.
        genes: The candidates (n, g); inactive genes are -1.
        repeated: Which of them (k,) are trained again.
        replicates: How often.
    """

    plan: Plan
    genes: Genes
    repeated: NDArray[np.int64]
    replicates: int

    @cached_property
    def candidates(self) -> list[Candidate]:
        """The candidates, decoded."""
        return [self.plan.space.decode(genes) for genes in self.plan.space.repair(self.genes)]

    @cached_property
    def first(self) -> list[Chain]:
        """Every candidate once, in order."""
        return [self._chain(row, 0) for row in range(len(self.genes))]

    @cached_property
    def again(self) -> list[list[Chain]]:
        """For each replicate the repeated candidates, in order."""
        numbers = range(_FIRST_REPLICATE, _FIRST_REPLICATE + self.replicates)
        return [[self._chain(row, n) for row in self.repeated.tolist()] for n in numbers]

    def chains(self) -> Iterator[Chain]:
        """Yield all chains."""
        yield from self.first
        for replicate in self.again:
            yield from replicate

    def job(self, candidate: int, replicate: int, rung: int) -> Job:
        """Return the job of a candidate at a rung."""
        rungs = self.plan.study.spec.rungs
        (job,) = members_of(self.plan.job(self.candidates[candidate], test=False))
        return replace(job, rung=rungs[rung], earlier=rungs[:rung], replicate=replicate)

    def _chain(self, candidate: int, replicate: int) -> Chain:
        rungs = range(len(self.plan.study.spec.rungs))
        keys = (self.job(candidate, replicate, rung).key for rung in rungs)
        return Chain(candidate, replicate, tuple(keys))


def work_of(study: Study, replicates: int, data: str | None) -> Work:
    """Return what is to be evaluated for the table of a study.

    Raises:
        UsageError: The study has several workloads.
        SpaceError: Its space has too many candidates.
        DataError: The data is missing or not as declared.
    """
    if len(study.workloads) > 1:
        raise UsageError(
            f"{study.name}: found {len(study.workloads)} workloads; a table is of one",
            "give each workload a study of its own",
        )
    path = resolve_path(study.spec.data, data, beside=study.path)
    check_readable(study.spec.data, path)
    keep_parents(study)
    known = fingerprint(study.spec.data, path)
    plan = Plan(study, path, known, study.spec.budget.trials)
    genes = every_candidate(plan.space)
    rng = stream("repeated", study.spec.seed)
    repeated = np.sort(rng.choice(len(genes), min(REPEATED, len(genes)), replace=False))
    return Work(plan, genes, repeated, replicates)
