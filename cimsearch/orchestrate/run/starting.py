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
from cimsearch.space import AnySpace, Candidate, space_of
from cimsearch.space.genes import encoded
from cimsearch.space.realise import Values
from cimsearch.store import records as db

FROM = "from"
"""The name under which an added trial says where its candidate is from."""

_START = "start"

Fate = Literal["reused", "to_train", "baselines", "infeasible", "outside", "left"]
"""What became of a candidate: added with its score, to be trained, or as a baseline; forbidden by
a constraint, not in the space, or without a score that can be re-used and not on the front."""


_Begun = tuple[Fate, Proposal | None, str]
"""What became of a candidate, the trial to add if any, and of one outside, why it is."""

_REASONS = 3
"""Reasons for being outside that are noted."""


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
    outside: Counter[str] = Counter()
    for fate, proposal, reason in _first(context, start):
        fates[fate] += 1
        outside.update([reason] * bool(reason))
        if stopping() != "no":
            raise KeyboardInterrupt
        if proposal is not None and proposal.candidate.hash not in there:
            add_proposal(context, proposal)
            there.add(proposal.candidate.hash)
    noted = asdict(start) | {"fates": dict(fates)}
    if outside:
        noted["outside"] = _commonest(outside)
    context.storage.set_study_user_attr(context.study_id, STARTED, noted)


def _commonest(reasons: Counter[str]) -> list[str]:
    """Return the commonest reasons; the last stands for the rest."""
    found = [reason for reason, _ in reasons.most_common(_REASONS)]
    return [*found, "..."] if len(reasons) > _REASONS else found


def _first(context: Context, start: Start) -> Iterator[_Begun]:
    """Yield what the study begins with, and what is left out."""
    if start.baselines:
        for proposal in _baselines(context):
            yield _if_feasible(context, "baselines", proposal)
    if start.study is not None:
        yield from _trained(context, start.study)


def _if_feasible(context: Context, fate: Fate, proposal: Proposal) -> _Begun:
    if context.price(proposal.candidate).feasible:
        return fate, proposal, ""
    return "infeasible", None, ""


def _baselines(context: Context) -> Iterator[Proposal]:
    """Yield the uniform baselines that are members of the space."""
    space, study = context.plan.space, context.plan.study
    wanted = {candidate.hash for candidate in baselines(study).values()}
    for genes in uniform_genes(study):
        candidate = space.decode(genes)
        if candidate.hash in wanted:
            wanted.remove(candidate.hash)
            yield Proposal(genes, candidate, {FROM: "baselines"})


def _trained(context: Context, name: str) -> Iterator[_Begun]:
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
) -> _Begun:
    choices = space.choices(tuple(map(int, trial.genes)))
    found = _member(context.plan.space, choices, trial.candidate_hash)
    if isinstance(found, str):
        return "outside", None, found
    genes, candidate = found
    attrs = {FROM: name}
    key = context.plan.job(candidate, test=False, rung=0).key
    if db.find_score(context.storage, key) is not None:
        return _if_feasible(
            context, "reused", Proposal(genes, candidate, attrs | {INHERITED: True})
        )
    if on_front:
        return _if_feasible(context, "to_train", Proposal(genes, candidate, attrs))
    return "left", None, ""


def _member(
    own: AnySpace, choices: Values, candidate_hash: str
) -> tuple[tuple[int, ...], Candidate] | str:
    """Return a candidate of another study as one of ``own``, or what is not in the space."""
    # Genes that are not expressed are not looked at: what they decode to is compared.
    expressed = [gene for gene in own.genes if gene.name in choices]
    for gene in expressed:
        if choices[gene.name] not in gene.choices:
            return f"{gene.name} {choices[gene.name]}"
    unexpressed = {gene.name: gene.choices[0] for gene in own.genes}
    picked = unexpressed | {gene.name: choices[gene.name] for gene in expressed}
    # Settings of the hardware that do not go together here decode to others.
    genes = tuple(int(index) for index in encoded(own.genes, picked))
    candidate = own.decode(genes)
    if candidate.hash == candidate_hash:
        return genes, candidate
    foreign = [f"{name} {value}" for name, value in choices.items() if name not in own.gene_names]
    missing = own.choices(genes).keys() - choices.keys()
    unsaid = [f"no {gene.name}" for gene in own.genes if gene.name in missing]
    return next(iter(foreign + unsaid), "other networks for equal genes")
