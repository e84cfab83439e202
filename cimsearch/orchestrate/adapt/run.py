"""One run of an adaptation: what its tasks add, step by step, and what is noted of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from cimsearch.errors import StudyError
from cimsearch.evaluate import Job
from cimsearch.evaluate.pruning import PrunedNetwork, PruneJob, is_prune_job
from cimsearch.orchestrate.adapt.changes import OneGene, one_gene_changes, worth_scoring
from cimsearch.orchestrate.adapt.choose import chosen
from cimsearch.orchestrate.read.adaptation import Adapting, first_to_add
from cimsearch.orchestrate.read.noted import Noted, NotedChange, Phase
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.evaluations import layer_rows
from cimsearch.orchestrate.run.proposing import Next
from cimsearch.orchestrate.run.stalling import ENDED
from cimsearch.orchestrate.run.state import ADAPTATION
from cimsearch.orchestrate.run.tasks import Task
from cimsearch.space import Candidate
from cimsearch.spec import Hardware
from cimsearch.spec.adaptation import Adaptation
from cimsearch.store import records as db
from cimsearch.training.keep import Keep

_SCORED_PER_TOLD = 2
"""How many changes are scored for each that is told."""


def tasks(how: Adaptation, *, choose_anew: bool = False) -> tuple[Task, ...]:
    """Return what is done after a search: the adaptation, its test scorings, one-gene changes.

    Args:
        how: What is done.
        choose_anew: Whether networks are chosen of the front as it is now, though this adaptation
            has chosen before.
    """
    run = _Run(how, choose_anew)
    return (
        Task(
            "adapting the networks of the front",
            frozenset({"adapted"}),
            run.begin,
            run.propose,
            run.to_come,
        ),
        Task("scoring adapted networks on test images", frozenset({"test"}), run.begin_tests),
        Task(
            "changing one gene of each adapted network",
            frozenset({"adapted"}),
            run.begin_changes,
        ),
    )


@dataclass
class _Run:
    """One run of an adaptation.

    The search is over: what it found is read once, evaluations of the adaptation at every step.

    Attributes:
        how: What is done.
        choose_anew: Whether networks are chosen of the front as it is now.
        result: What the search found; None before the run has begun.
        numbers: The trials that go on.
        without: Evaluations that do not count: they are done again.
        phase: What is done.
        noted: What was noted last.
        changes: One-gene changes that have an evaluation.
    """

    how: Adaptation
    choose_anew: bool
    result: StudyResult | None = None
    numbers: tuple[int, ...] = ()
    without: frozenset[int] = frozenset()
    phase: Phase = "networks"
    noted: Noted | None = None
    changes: list[NotedChange] = field(default_factory=list)

    def begin(self, context: Context) -> None:
        """Choose the networks that go on, and note that they do."""
        if self.result is None:
            _check_ended(context)
            _check_front(context)
            result = read_result(context.storage, context.study_id)
            before = result.adaptation
            if before is not None and _is_same(before.how, self.how) and not self.choose_anew:
                self.numbers, self.changes = before.numbers, list(before.changes)
            else:
                self.numbers = chosen(result, self.how)
            self.without = _to_be_done_again(result)
            self.result = result
        self._note(context, self.look(context))

    def look(self, context: Context) -> Adapting:
        """Return how far it is."""
        result = self.result or read_result(context.storage, context.study_id)
        now = (*context.evaluations("adapted"), *context.evaluations("test"))
        rows = {row.id: row for row in (*result.evaluations, *now)}
        result = replace(result, evaluations=tuple(rows[number] for number in sorted(rows)))
        return Adapting.of(context.plan, self.how, result, self.numbers, self.without)

    def propose(self, context: Context) -> Next:
        """Add the next step that can be done now."""
        found = self.look(context)
        self._note(context, found)
        steps = found.open_steps()
        step = first_to_add(steps)
        if step is not None:
            added = _add(context, step.candidate, step.label, step.work, "adapted")
            self._note(context, self.look(context))
            return Next("added", added)
        return Next("wait" if steps else "ended")

    def to_come(self, context: Context) -> int:
        """Return how many steps can be added now."""
        return sum(step.row is None for step in self.look(context).open_steps())

    def begin_tests(self, context: Context) -> None:
        """Add the scoring of what is delivered on test images."""
        self.phase = "tests"
        found, added = self.look(context), set[str]()
        for step in found.delivered().values():
            job = found.test_of(step)
            if job.key not in found.tests and job.key not in added:
                _add(context, step.candidate, step.label, job, "test")
                added.add(job.key)
        self._note(context, self.look(context))

    def begin_changes(self, context: Context) -> None:
        """Add the scoring of one-gene changes of what is delivered."""
        self.phase = "changes"
        found = self.look(context)
        wanted, added = list(self._wanted(context, found)), set(found.rows)
        for each in wanted:
            if each.job.key not in added:
                _add(context, each.candidate, each.label, each.job, "adapted")
                added.add(each.job.key)
        found = self.look(context)
        self.changes = [each.noted(found.rows[each.job.key].id) for each in wanted]
        self._note(context, found)

    def _wanted(self, context: Context, found: Adapting) -> Iterator["_Scoring"]:
        """Yield what is scored: of each delivered network itself, then some changes of it."""
        if not self.how.changes:
            return
        delivered, study = found.delivered(), context.plan.study
        for number, chain in zip(found.numbers, found.chains, strict=True):
            step = delivered.get(chain.name)
            if step is None or not isinstance(step.work, Job):
                continue
            candidate, genes = step.candidate, found.result.trials[number].candidate.genes
            changes = one_gene_changes(study, genes, candidate)
            most = _SCORED_PER_TOLD * self.how.changes
            worth = worth_scoring(changes, candidate, most, context.price)
            for change in (None, *worth) if worth else ():
                network = change.candidate if change else candidate
                machine = study.machine(network.settings)
                job = _rescored(step.work, network, machine)
                yield _Scoring(step.label, change, network, job)

    def _note(self, context: Context, found: Adapting) -> None:
        """Note where its evaluations are, if that has changed."""
        noted = found.noted(self.phase, self.changes)
        if noted != self.noted:
            attr = noted.to_attr([row.id for row in found.result.evaluations])
            context.storage.set_study_user_attr(context.study_id, ADAPTATION, attr)
            self.noted = noted


@dataclass(frozen=True)
class _Scoring:
    """The scoring of a network with the weights of a delivered one.

    Attributes:
        of: The label of the step that trained the delivered one.
        change: What is changed; None if nothing is.
        candidate: The network.
        job: Scores it.
    """

    of: str
    change: OneGene | None
    candidate: Candidate
    job: Job

    @property
    def label(self) -> str:
        """What its evaluation is called."""
        if self.change is None:
            return f"{self.of}, as it is"
        return f"{self.of}, {self.change.gene} {self.change.before} to {self.change.after}"

    def noted(self, evaluation: int) -> NotedChange:
        """Return what is noted of it."""
        if self.change is None:
            return NotedChange(self.of, "", 0, 0, evaluation)
        return NotedChange(
            self.of, self.change.gene, self.change.before, self.change.after, evaluation
        )


def _rescored(trained: Job, candidate: Candidate, machine: Hardware) -> Job:
    """Return the job that scores a network with the weights that another job trains."""
    return replace(
        trained,
        candidate_hash=candidate.hash,
        blueprint=candidate.blueprint,
        hardware=machine,
        rung=trained.rung.model_copy(update={"epochs": 0}),
        weights_of=trained,
    )


def _is_same(before: Adaptation, how: Adaptation) -> bool:
    """Return whether two adaptations do the same with networks, whatever is told of them then."""
    told = {"test": None, "changes": 0}
    return before.model_copy(update=told) == how.model_copy(update=told)


def _to_be_done_again(result: StudyResult) -> frozenset[int]:
    """Return the steps that failed, and prunings whose weights are not kept any more."""
    keep = Keep.at(result.study.spec.cluster.cache)
    again = set()
    for row in result.evaluations:
        if row.role == "adapted" and row.score and is_prune_job(row.job):
            weights = PrunedNetwork.from_json(row.score).weights
            if keep.get("parents", weights) is None:
                again.add(row.id)
        elif row.role in ("adapted", "test") and row.fail_reason:
            again.add(row.id)
    return frozenset(again)


def _add(
    context: Context, candidate: Candidate, label: str, work: Job | PruneJob, role: db.Role
) -> int | None:
    """Add an evaluation; return what is to be run for it, if it has no score yet."""
    priced = context.price(candidate)
    # What pruning left behind may be gone from the cache: it is done again then.
    pruning = isinstance(work, PruneJob)
    known = None if pruning else db.find_score(context.storage, work.key)
    new = db.NewEvaluation(
        role=role,
        label=label,
        key=work.key,
        candidate=candidate.to_json(),
        cost=json.dumps(priced.report.to_dict()),
        job=work.to_json(),
        layers=layer_rows(priced.report),
        score=known,
    )
    evaluation_id = db.add_evaluation(context.storage, context.study_id, new)
    return None if known is not None else evaluation_id


def _check_front(context: Context) -> None:
    """Check that there is something to adapt.

    Raises:
        StudyError: No network is on the front.
    """
    if not context.known().front.trial_ids:
        raise StudyError(
            f"{context.plan.study.name}: no network is on its front: nothing can be adapted",
            "see cimsearch status for what failed",
        )


def _check_ended(context: Context) -> None:
    """Check that the search has ended.

    Raises:
        StudyError: Its time is up, with trials left to do.
    """
    attrs = context.storage.get_study_user_attrs(context.study_id)
    if attrs.get(ENDED) == "time":
        raise StudyError(
            f"{context.plan.study.name}: the search has not ended: its time is up",
            "the same command goes on with it",
        )
