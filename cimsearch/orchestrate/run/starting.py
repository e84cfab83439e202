"""What a new study begins with: the uniform baselines, and what another study has trained."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cimsearch.errors import StudyError
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.known import Known
from cimsearch.orchestrate.run.proposing import add_proposal
from cimsearch.orchestrate.run.state import INHERITED, STARTED
from cimsearch.orchestrate.run.stopping import Stopping
from cimsearch.orchestrate.run.stored import require_study, stored_study
from cimsearch.search.baselines import baselines, uniform_genes
from cimsearch.search.history import Seen
from cimsearch.search.samplers import Proposal
from cimsearch.space import AnySpace, space_of
from cimsearch.store import records as db

FROM = "from"
"""The name under which an added trial says where its candidate is from."""

_START = "start"

Fate = Literal["reused", "to_train", "baselines", "infeasible", "outside", "left"]
"""What became of a candidate: added with its score, to be trained, or as a baseline; forbidden by
a constraint, not in the space, or without a score that can be re-used and not on the front."""


@dataclass(frozen=True)
class Start:
    """What a new study's first trials are.

    Attributes:
        study: The study whose trained candidates they are, if any. Those whose job is equal keep
            their scores, cost nothing, and do not count in the budget; of the others those on
            that study's front are trained.
        baselines: Whether the uniform baselines that are in the space go first.
    """

    study: str | None = None
    baselines: bool = False

    def as_attrs(self) -> dict[str, Any]:
        """Return what the study's row notes of it: a study that was killed meanwhile goes on."""
        return {} if self == NOTHING else {_START: asdict(self)}


NOTHING = Start()


def check_start(row: db.StudyRow, start: Start) -> None:
    """Check that a study that exists was begun as is asked now, if anything is.

    Raises:
        StudyError: It was not.
    """
    if start != NOTHING and row.user_attrs.get(_START) != asdict(start):
        raise StudyError(
            f"study {row.name!r} exists and began otherwise",
            "give the new study another name, or add candidates to this one with: "
            f"cimsearch study enqueue {row.name}",
        )


def begin(context: Context, stopping: Stopping) -> None:
    """Add the study's first trials, unless it has none to begin with, or they are all there.

    Args:
        context: The study, whose lease is held.
        stopping: How the user has asked to stop; looked at between two trials.

    Raises:
        StudyError: The study to start from is not there any more.
        KeyboardInterrupt: The user has asked to stop.
    """
    attrs = context.storage.get_study_user_attrs(context.study_id)
    if _START not in attrs or STARTED in attrs:
        return
    start = Start(**attrs[_START])
    there = {trial.candidate_hash for trial in context.known().trials}
    fates: Counter[Fate] = Counter()
    for fate, proposal in _first(context, start):
        fates[fate] += 1
        if stopping() != "no":
            raise KeyboardInterrupt
        if proposal is not None and proposal.candidate.hash not in there:
            add_proposal(context, proposal)
            there.add(proposal.candidate.hash)
    noted = asdict(start) | {"fates": dict(fates)}
    context.storage.set_study_user_attr(context.study_id, STARTED, noted)


def _first(context: Context, start: Start) -> Iterator[tuple[Fate, Proposal | None]]:
    """Yield what the study begins with, and what is left out."""
    if start.baselines:
        for proposal in _baselines(context):
            yield _if_feasible(context, "baselines", proposal)
    if start.study is not None:
        yield from _trained(context, start.study)


def _if_feasible(context: Context, fate: Fate, proposal: Proposal) -> tuple[Fate, Proposal | None]:
    if context.price(proposal.candidate).feasible:
        return fate, proposal
    return "infeasible", None


def _baselines(context: Context) -> Iterator[Proposal]:
    """Yield the uniform baselines that are members of the space."""
    space, study = context.plan.space, context.plan.study
    wanted = {candidate.hash for candidate in baselines(study).values()}
    for genes in uniform_genes(study):
        candidate = space.decode(genes)
        if candidate.hash in wanted:
            wanted.remove(candidate.hash)
            yield Proposal(genes, candidate, {FROM: "baselines"})


def _trained(context: Context, name: str) -> Iterator[tuple[Fate, Proposal | None]]:
    """Yield what another study has trained, in order of number, each candidate once."""
    row = require_study(context.storage, name)
    study = stored_study(context.storage, row)
    space, reference = space_of(study), row.user_attrs["reference"]
    rungs = len(study.spec.rungs)
    known = Known(context.storage, row.id, space, row.directions, reference, rungs).look()
    ids = set(known.front.trial_ids)
    front = {trial.candidate_hash for trial in known.trials if trial.trial_id in ids}
    done: set[str] = set()
    for trial in known.seen:
        if trial.trained and trial.candidate_hash not in done:
            done.add(trial.candidate_hash)
            yield _taken_over(context, trial, space, name, on_front=trial.candidate_hash in front)


def _taken_over(
    context: Context, trial: Seen, space: AnySpace, name: str, *, on_front: bool
) -> tuple[Fate, Proposal | None]:
    own = context.plan.space
    # Genes that are not expressed are not looked at: what they decode to is compared.
    choices = space.choices(tuple(map(int, trial.genes)))
    expressed = [gene for gene in own.genes if gene.name in choices]
    if any(choices[gene.name] not in gene.choices for gene in expressed):
        return "outside", None
    unexpressed = {gene.name: gene.choices[0] for gene in own.genes}
    picked = unexpressed | {gene.name: choices[gene.name] for gene in expressed}
    genes = tuple(int(index) for index in own.encode(picked))
    candidate = own.decode(genes)
    if candidate.hash != trial.candidate_hash:
        return "outside", None
    attrs = {FROM: name}
    key = context.plan.job(candidate, test=False, rung=0).key
    if db.find_score(context.storage, key) is not None:
        return _if_feasible(
            context, "reused", Proposal(genes, candidate, attrs | {INHERITED: True})
        )
    if on_front:
        return _if_feasible(context, "to_train", Proposal(genes, candidate, attrs))
    return "left", None
