"""Evaluating what a table still misses."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from cimsearch.errors import StudyError
from cimsearch.orchestrate.table.kept import Kept
from cimsearch.orchestrate.table.work import Chain, Work
from cimsearch.workers import Event, Executor

_POLL_S = 0.5

OnTable = Callable[[int, int], None]
"""Hears how many of a table's evaluations are done, and how many there are."""


def unheard(done: int, total: int) -> None:
    """Do nothing."""


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

    work: Work
    kept: Kept
    waiting: deque[Chain]
    running: dict[str, tuple[Chain, int]]
    lost: dict[tuple[int, int], int]

    def rung(self, chain: Chain) -> int | None:
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

    def _too_often(self, chain: Chain) -> bool:
        name = (chain.candidate, chain.replicate)
        self.lost[name] = self.lost.get(name, 0) + 1
        return self.lost[name] >= self.work.plan.study.spec.limits.losses

    def _genes(self, chain: Chain) -> list[int]:
        genes: list[int] = self.work.genes[chain.candidate].tolist()
        return genes


def evaluate_missing(work: Work, kept: Kept, executor: Executor, on_progress: OnTable) -> None:
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
