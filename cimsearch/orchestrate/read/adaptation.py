"""How the networks of a study are adapted: what follows from what is known so far.

Every step is a function of the results of the steps before it, so an adaptation that was stopped
goes on where it was, and is read as it was run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.joint import members_of
from cimsearch.evaluate.pruning import PruneJob
from cimsearch.orchestrate.read.adapted_changes import Changed, changed
from cimsearch.orchestrate.read.adapted_steps import Chain, Kind, Step, accuracy_of
from cimsearch.orchestrate.read.baseline_results import BaselineResult
from cimsearch.orchestrate.read.noted import Noted, NotedChange, Phase
from cimsearch.orchestrate.read.results import StudyResult, TrialResult
from cimsearch.orchestrate.run.plan import TEST_FIRST_CHIP, Plan
from cimsearch.search.pricing import price
from cimsearch.space import AnySpace, Candidate, space_of
from cimsearch.spec.adaptation import Adaptation, Pruning
from cimsearch.spec.study import AccuracyStatistic
from cimsearch.store import records as db


@dataclass(frozen=True)
class Adapting:
    """An adaptation of a study.

    Attributes:
        plan: The study with its data.
        how: What is done.
        result: What the search found.
        rows: Evaluations of the adaptation, by key; by label where it is only read, as keys are
            those of the version that ran it.
        tests: Those on test images, likewise.
        numbers: The trials that go on.
        by_label: Whether it is only read.
    """

    plan: Plan
    how: Adaptation
    result: StudyResult
    rows: Mapping[str, db.EvaluationRow]
    tests: Mapping[str, db.EvaluationRow]
    numbers: tuple[int, ...]
    by_label: bool = False

    @classmethod
    def of(
        cls,
        plan: Plan,
        how: Adaptation,
        result: StudyResult,
        numbers: tuple[int, ...],
        without: frozenset[int],
    ) -> "Adapting":
        """Return the adaptation of what a search of one workload found, as it is run.

        Args:
            plan: The study with its data.
            how: What is done.
            result: What the search found, with all evaluations as they are now.
            numbers: The trials that go on.
            without: Evaluations that do not count: they are done again.
        """
        rows = [row for row in result.evaluations if row.id not in without]
        adapted = {row.key: row for row in rows if row.role == "adapted"}
        tests = {row.key: row for row in rows if row.role == "test"}
        return cls(plan, how, result, adapted, tests, numbers)

    def noted(self, phase: Phase, changes: Sequence[NotedChange]) -> Noted:
        """Return what the study's row says of it, for those who read it.

        Args:
            phase: Which is at work.
            changes: The one-gene changes of what is delivered that have an evaluation.
        """
        file = self.plan.study.path
        done = [step for c in (*self.baselines, *self.chains) for step in c.steps if step.row]
        tests = {s.label: self.tests.get(self.test_of(s).key) for s in self.delivered().values()}
        return Noted(
            self.how,
            self.numbers,
            {step.label: step.row.id for step in done if step.row},
            {label: row.id for label, row in tests.items() if row is not None},
            tuple(changes),
            phase,
            self.to_come,
            "" if file is None else str(file),
        )

    @property
    def statistic(self) -> AccuracyStatistic:
        """What an accuracy is of those of the chips."""
        return self.plan.study.spec.accuracy_statistic

    @property
    def saved(self) -> str:
        """What one-gene changes save of: the study's first priced objective."""
        return self.plan.study.spec.objectives[1]

    @cached_property
    def baselines(self) -> tuple[Chain, ...]:
        """The best uniform network of each number of bits, at the adaptation's training."""
        best: dict[str, BaselineResult] = {}
        for found in self.result.baselines:
            bits = found.name.split(",")[0]
            known = best.setdefault(bits, found)
            if found.objectives["accuracy"] > known.objectives["accuracy"]:
                best[bits] = found
        return tuple(self._trained_only(each) for each in best.values())

    @cached_property
    def least_accuracy(self) -> float | None:
        """What a network must not fall below (0..1); None until all baselines are trained.

        It stays so if one fails: what is accurate enough is then not known.
        """
        if not all(chain.trained for chain in self.baselines):
            return None
        accuracies = [
            accuracy_of(step, self.statistic) for c in self.baselines for step in c.trained
        ]
        return max(accuracies, default=0.0) - self.how.max_accuracy_drop

    @cached_property
    def chains(self) -> tuple[Chain, ...]:
        """The chosen networks of the front, with what was done with each."""
        return tuple(self._chain(self.result.trials[number]) for number in self.numbers)

    def open_steps(self) -> list[Step]:
        """Return the steps that are to be done next, baselines first; those at work among them."""
        chains = (*self.baselines, *self.chains)
        return [c.steps[-1] for c in chains if c.is_waiting and not c.steps[-1].done]

    @property
    def to_come(self) -> int:
        """How many steps may still be added, at most: a chain may end before."""
        steps = 1 + 2 * self._rounds
        baselines = sum(not chain.steps[0].row for chain in self.baselines)
        open_chains = [chain for chain in self.chains if chain.is_waiting]
        return baselines + sum(
            steps - sum(step.row is not None for step in chain.steps) for chain in open_chains
        )

    def delivered(self) -> dict[str, Step]:
        """Return the network that each chain ends with, by name, baselines among them."""
        least = self.least_accuracy or 0.0
        found = {c.name: c.best(least, self.statistic) for c in (*self.baselines, *self.chains)}
        return {name: step for name, step in found.items() if step is not None}

    def changes_of(self, step: Step) -> tuple[Changed, ...]:
        """Return the cheapest one-gene changes of a delivered network, as far as they are scored.

        They are those that were noted; a baseline has none.
        """
        return changed(self.result, step.label, self.how.changes)

    def test_of(self, step: Step) -> Job:
        """Return the job that scores the very network of a step on test images, on new chips."""
        job = step.work.job if isinstance(step.work, PruneJob) else step.work
        scored = self.how.test.model_dump() if self.how.test else {}
        rung = job.rung.model_copy(update=scored)
        return replace(job, rung=rung, split="test", first_chip=TEST_FIRST_CHIP)

    def test_score(self, step: Step) -> Score | None:
        """Return what the network of a step scored on test images, if it was scored on them."""
        row = self.tests.get(step.label if self.by_label else self.test_of(step).key)
        return Score.from_json(row.score) if row is not None and row.score else None

    def _trained_only(self, found: BaselineResult) -> Chain:
        job = self._job(found.candidate)
        step = self._step(f"{found.name}: trained", "trained", 0, found.candidate, job)
        return Chain(found.name, (step,), step.failure or ("trained" if step.done else ""))

    def _chain(self, trial: TrialResult) -> Chain:
        """Return what was done with a network, and the step that follows."""
        name, candidate = f"trial {trial.number}", trial.candidate
        job = self._job(candidate)
        steps = [self._step(f"{name}: trained", "trained", 0, candidate, job)]
        for number in range(1, self._rounds + 1):
            end = self._end_after(steps[-1])
            if end is not None:
                return Chain(name, tuple(steps), end)
            work = self._pruning_of(trial, job)
            label = f"{name}, round {number}"
            steps.append(self._step(f"{label}: pruned", "pruned", number, candidate, work))
            pruned = steps[-1].pruned
            if pruned is None:
                return Chain(name, tuple(steps), steps[-1].failure)
            if not any(step.removed or step.blocks for step in pruned.history):
                return Chain(name, tuple(steps), "nothing can be pruned any more")
            candidate = replace(pruned.candidate, settings=trial.candidate.settings)
            if not price(self.plan.study, candidate).feasible:
                return Chain(name, tuple(steps), "misses a constraint of the study")
            job = self._job(candidate, pruned.weights)
            steps.append(self._step(f"{label}: trained", "trained", number, candidate, job))
        end = self._end_after(steps[-1])
        return Chain(name, tuple(steps), "all rounds are done" if end is None else end)

    @cached_property
    def _space(self) -> AnySpace:
        return space_of(self.plan.study)

    @property
    def _rounds(self) -> int:
        return self.how.rounds if self.how.pruning else 0

    @property
    def _pruning(self) -> Pruning:
        return self.how.pruning or Pruning()

    def _pruning_of(self, trial: TrialResult, job: Job) -> PruneJob:
        """Return what prunes the network of a job, which a trial has become."""
        shares = self._space.shares(trial.candidate.genes)
        statistics = self.plan.study.spec.statistics
        return PruneJob(job, self._pruning, statistics, tuple(shares.items()))

    def _end_after(self, step: Step) -> str | None:
        """Return why nothing follows a network that is trained: empty while it is not known.

        None: something follows.
        """
        least = self.least_accuracy
        compared = self.baselines and not any(c.steps[0].failure for c in self.baselines)
        if step.done and not compared:
            return "no baseline to compare with: what is accurate enough is not known"
        if not step.done or least is None:
            return step.failure
        too_low = accuracy_of(step, self.statistic) < least
        return "less accurate than allowed" if too_low else None

    def _job(self, candidate: Candidate, weights: str = "") -> Job:
        (job,) = members_of(self.plan.job(candidate, test=False))
        own = weights or job.parent_weights
        return replace(job, rung=self.how.training, earlier=(), parent_weights=own)

    def _step(
        self, label: str, kind: Kind, number: int, candidate: Candidate, work: Job | PruneJob
    ) -> Step:
        row = self.rows.get(label if self.by_label else work.key)
        return Step(label, kind, number, candidate, work, row)


def read_adaptation(result: StudyResult) -> Adapting | None:
    """Return how far the adaptation of a study is; None if nobody has begun it."""
    noted = result.adaptation
    if noted is None:
        return None
    rows = {row.id: row for row in result.evaluations}
    return Adapting(
        Plan.of(result.study, result.sources, result.budget),
        noted.how,
        result,
        {label: rows[number] for label, number in noted.steps.items()},
        {label: rows[number] for label, number in noted.tests.items()},
        noted.numbers,
        by_label=True,
    )


def first_to_add(steps: Sequence[Step]) -> Step | None:
    """Return the first step that has no evaluation yet."""
    return next((step for step in steps if step.row is None), None)
