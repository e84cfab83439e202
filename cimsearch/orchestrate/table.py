"""Building a table: every candidate of a small space, evaluated at every rung.

Each score is written down as it comes, beside the table, so a build that was stopped goes on where
it stood. A candidate's rungs are evaluated one after the other: each goes on from the weights that
the last one left in the cache.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

import cimsearch
from cimsearch.errors import StudyError, UsageError
from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.joint import members_of
from cimsearch.evaluate.version import code_hash
from cimsearch.orchestrate.plan import Plan
from cimsearch.search.pricing import estimate_batch
from cimsearch.search.table import PRICES, Array, Table, every_candidate, save_table
from cimsearch.seeds import stream
from cimsearch.space import Candidate, Genes
from cimsearch.spec import Study
from cimsearch.training.data import check_readable
from cimsearch.training.fingerprint import fingerprint
from cimsearch.training.paths import resolve_path
from cimsearch.workers import Event, Executor, connect

REPEATED = 40
"""How many candidates are trained again for the noise of a repeated evaluation."""

# Behind the replicates of searches (0) and of final scorings (1).
_FIRST_REPLICATE = 2
_POLL_S = 0.5

OnTable = Callable[[int, int], None]
"""Hears how many of a table's evaluations are done, and how many there are."""


def unheard(done: int, total: int) -> None:
    """Do nothing."""


def build_table(
    study: Study,
    out: Path,
    *,
    replicates: int = 3,
    workers: int | None = None,
    data: str | None = None,
    executor: Executor | None = None,
    on_progress: OnTable = unheard,
) -> Table:
    """Evaluate every candidate of a study's space at every rung, and write the table.

    Args:
        study: The study, from ``load_study``; its space has few candidates.
        out: The file to write, ending in ``.npz``. Scores are kept beside it, in
            ``NAME.npz.scores``: the same call after a stop evaluates only what is missing.
        replicates: How often ``REPEATED`` of the candidates are trained again, with other streams.
        workers: Local worker processes; the study's own number if left out.
        data: Where the data lies, before what the study says.
        executor: Where evaluations run, instead of local workers.
        on_progress: Hears of every evaluation.

    Raises:
        SpaceError: The space has too many candidates.
        HardwareError: A candidate asks what the hardware cannot do.
        UsageError: The file has another suffix, or the study several workloads.
        DataError: The data is missing or not as declared.
        StudyError: An evaluation failed; what was scored is kept.
        WorkerError: Workers cannot be started.
    """
    if out.suffix != ".npz":
        raise UsageError(f"found the file {out}; allowed is a name that ends in .npz")
    work = _work(study, replicates, data)
    kept = _Kept.at(out)
    used = executor or connect(workers=workers or study.spec.workers)
    try:
        _evaluate(work, kept, used, on_progress)
    finally:
        if executor is None:
            used.close()
    table = _assembled(work, kept)
    save_table(table, out)
    return table


@dataclass(frozen=True)
class _Chain:
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
class _Work:
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
    def first(self) -> list[_Chain]:
        """Every candidate once, in order."""
        return [self._chain(row, 0) for row in range(len(self.genes))]

    @cached_property
    def again(self) -> list[list[_Chain]]:
        """For each replicate the repeated candidates, in order."""
        numbers = range(_FIRST_REPLICATE, _FIRST_REPLICATE + self.replicates)
        return [[self._chain(row, n) for row in self.repeated.tolist()] for n in numbers]

    def chains(self) -> Iterator[_Chain]:
        """Yield all chains."""
        yield from self.first
        for replicate in self.again:
            yield from replicate

    def job(self, candidate: int, replicate: int, rung: int) -> Job:
        """Return the job of a candidate at a rung."""
        rungs = self.plan.study.spec.rungs
        (job,) = members_of(self.plan.job(self.candidates[candidate], test=False))
        return replace(job, rung=rungs[rung], earlier=rungs[:rung], replicate=replicate)

    def _chain(self, candidate: int, replicate: int) -> _Chain:
        rungs = range(len(self.plan.study.spec.rungs))
        keys = (self.job(candidate, replicate, rung).key for rung in rungs)
        return _Chain(candidate, replicate, tuple(keys))


def _work(study: Study, replicates: int, data: str | None) -> _Work:
    if len(study.workloads) > 1:
        raise UsageError(
            f"{study.name}: found {len(study.workloads)} workloads; a table is of one",
            "give each workload a study of its own",
        )
    path = resolve_path(study.spec.data, data, beside=study.path)
    check_readable(study.spec.data, path)
    known = fingerprint(study.spec.data, path)
    plan = Plan(study, path, known, study.spec.budget.trials)
    genes = every_candidate(plan.space)
    rng = stream("repeated", study.spec.seed)
    repeated = np.sort(rng.choice(len(genes), min(REPEATED, len(genes)), replace=False))
    return _Work(plan, genes, repeated, replicates)


@dataclass(frozen=True)
class _Kept:
    """Scores by key, in a file with one line each; a line that was cut off is none.

    Attributes:
        path: The file.
        scores: What it holds.
    """

    path: Path
    scores: dict[str, Score]

    @classmethod
    def at(cls, out: Path) -> "_Kept":
        """Return what is kept beside a table's file."""
        path = out.with_name(f"{out.name}.scores")
        scores: dict[str, Score] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # What follows the last line break was being written when the build was stopped.
        for line in text.split("\n")[:-1]:
            if line:
                key, score = json.loads(line)
                scores[key] = Score.from_json(score)
        whole = text.rpartition("\n")
        if whole[2]:
            path.write_text(whole[0] + whole[1], encoding="utf-8")
        return cls(path, scores)

    def add(self, key: str, score: str) -> None:
        """Write a score (JSON) down."""
        self.scores[key] = Score.from_json(score)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([key, score]) + "\n")


@dataclass
class _Runner:
    """What is left to evaluate, and what runs.

    Attributes:
        work: All evaluations.
        kept: The scores so far.
        waiting: Chains that have rungs left and none running.
        running: Chains and the rung that runs, by token.
        lost: How often each chain has lost its worker.
    """

    work: _Work
    kept: _Kept
    waiting: deque[_Chain]
    running: dict[str, tuple[_Chain, int]]
    lost: dict[tuple[int, int], int]

    def rung(self, chain: _Chain) -> int | None:
        """Return the lowest rung of a chain that has no score, or None."""
        missing = (r for r, key in enumerate(chain.keys) if key not in self.kept.scores)
        return next(missing, None)

    def fill(self, executor: Executor) -> None:
        """Give the next evaluations to every free slot."""
        while self.waiting and executor.free_slots():
            chain = self.waiting.popleft()
            rung = self.rung(chain)
            if rung is None:
                continue
            token = uuid4().hex
            self.running[token] = (chain, rung)
            job = self.work.job(chain.candidate, chain.replicate, rung)
            executor.submit(token, job.to_json().encode())

    def take(self, event: Event) -> None:
        """Take what happened to an evaluation; its chain goes on at once.

        Raises:
            StudyError: It failed, or lost its worker too often.
        """
        if event.kind == "progress":
            return
        chain, rung = self.running.pop(event.token)
        if event.kind == "done":
            self.kept.add(chain.keys[rung], event.payload.decode())
        elif event.kind == "failed" or (event.kind == "lost" and self._too_often(chain)):
            raise StudyError(
                f"candidate {chain.candidate}, genes {self._genes(chain)}: {event.reason}",
                f"what was scored is kept in {self.kept.path}; the same command goes on",
            )
        self.waiting.appendleft(chain)

    def _too_often(self, chain: _Chain) -> bool:
        name = (chain.candidate, chain.replicate)
        self.lost[name] = self.lost.get(name, 0) + 1
        return self.lost[name] >= self.work.plan.study.spec.limits.losses

    def _genes(self, chain: _Chain) -> list[int]:
        genes: list[int] = self.work.genes[chain.candidate].tolist()
        return genes


def _evaluate(work: _Work, kept: _Kept, executor: Executor, on_progress: OnTable) -> None:
    """Evaluate what is missing."""
    runner = _Runner(work, kept, deque(work.chains()), {}, {})
    keys = {key for chain in work.chains() for key in chain.keys}
    on_progress(len(keys & kept.scores.keys()), len(keys))
    while runner.waiting or runner.running:
        runner.fill(executor)
        for event in executor.events(_POLL_S) if runner.running else ():
            runner.take(event)
            if event.kind == "done":
                on_progress(len(keys & kept.scores.keys()), len(keys))


def _assembled(work: _Work, kept: _Kept) -> Table:
    plan, rungs = work.plan, range(len(work.plan.study.spec.rungs))
    costs = estimate_batch(
        plan.space,
        plan.space.repair(work.genes),
        plan.study.hardware,
        plan.study.spec.statistics,
    )
    scores = [[kept.scores[key] for key in chain.keys] for chain in work.chains()]

    def accuracies(chains: Sequence[_Chain], rung: int) -> Array:
        found = [kept.scores[chain.keys[rung]].accuracy_per_chip for chain in chains]
        return np.array(found).reshape(len(chains), plan.study.spec.rungs[rung].chips)

    def repeats(rung: int) -> Array:
        chips = plan.study.spec.rungs[rung].chips
        found = [accuracies(chains, rung) for chains in work.again]
        return np.array(found).reshape(work.replicates, len(work.repeated), chips)

    cpu = [[kept.scores[c.keys[r]].cpu_seconds for c in work.first] for r in rungs]
    return Table(
        study=plan.study,
        genes=work.genes,
        prices={name: np.asarray(getattr(costs, name)) for name in PRICES},
        accuracy=tuple(accuracies(work.first, rung) for rung in rungs),
        cpu_s=np.array(cpu),
        repeated=work.repeated,
        repeats=tuple(repeats(rung) for rung in rungs),
        reference=plan.reference,
        about={
            "study_hash": plan.study.hash,
            "code": code_hash(),
            "data": plan.data_fingerprint,
            "machines": sorted({score.fingerprint for row in scores for score in row}),
            "version": cimsearch.__version__,
        },
    )
