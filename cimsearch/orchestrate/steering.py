"""Adding candidates to a study by hand."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from cimsearch.errors import UsageError
from cimsearch.orchestrate.run.context import Context
from cimsearch.orchestrate.run.lease import leased
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.proposing import add_proposal
from cimsearch.orchestrate.run.sources import stored_sources
from cimsearch.orchestrate.run.stalling import ENDED
from cimsearch.orchestrate.run.starting import FROM
from cimsearch.orchestrate.run.stopping import never
from cimsearch.orchestrate.run.stored import (
    check_equal,
    check_own,
    require_study,
    storage_url,
    stored_study,
)
from cimsearch.search.pricing import Priced
from cimsearch.search.samplers import Proposal
from cimsearch.space import AnySpace, encode_expressed
from cimsearch.spec import Study
from cimsearch.store import open_storage

Wanted = Sequence[int] | Mapping[str, Any]
"""Choice indices of all genes, or choices by gene name, of those at least that are expressed."""


@dataclass(frozen=True)
class Enqueued:
    """What came of candidates that were to be added.

    Attributes:
        to_train: Numbers of the trials that the next resume runs.
        scored: Numbers of those that have a score already, as an equal job has one.
        known: Numbers of the trials that had such a candidate before.
    """

    to_train: tuple[int, ...]
    scored: tuple[int, ...]
    known: tuple[int, ...]


def enqueue(name: str, wanted: Sequence[Wanted], *, storage: str | None = None) -> Enqueued:
    """Add candidates to a study as its next trials, which its next resume runs.

    They count in the budget as if they had been proposed. All are looked at before any is added.

    Args:
        name: The study's name in the database.
        wanted: The candidates' genes.
        storage: Database URL; see ``storage_url``.

    Raises:
        StudyError: There is no such study, it is run by somebody, or was imported.
        SpaceError: Genes are not of the study's space.
        UsageError: A candidate violates a constraint; says which.
    """
    with closing(open_storage(storage_url(storage), create=False)) as database:
        row = require_study(database, name)
        check_own(row)
        attrs = row.user_attrs
        study = stored_study(database, row)
        plan = Plan.of(study, stored_sources(attrs), attrs["trials"])
        check_equal(database, row, plan)
        context = Context(plan, database, row.id)
        proposals = [_proposal(plan.space, genes) for genes in wanted]
        for proposal in proposals:
            _check_feasible(study, context.price(proposal.candidate))
        with leased(context, lambda _lease: None, never):
            return _add(context, proposals)


def _proposal(space: AnySpace, wanted: Wanted) -> Proposal:
    indices = encode_expressed(space, wanted) if isinstance(wanted, Mapping) else wanted
    genes = tuple(int(index) for index in indices)
    return Proposal(genes, space.decode(genes), {FROM: "enqueued"})


def _check_feasible(study: Study, priced: Priced) -> None:
    """Check that a candidate violates no constraint.

    Raises:
        UsageError: It does.
    """
    for (name, bound), violation in zip(study.bounds.items(), priced.constraints, strict=True):
        if violation > 0:
            found = f"{name} = {getattr(priced.report, name):g}"
            limits = [f"{key} {value:g}" for key, value in bound if value is not None]
            genes = ",".join(map(str, priced.candidate.genes))
            raise UsageError(
                f"genes {genes}: found {found}; allowed is {', '.join(limits)}",
                "nothing was added; leave this candidate out",
            )


def _add(context: Context, proposals: Sequence[Proposal]) -> Enqueued:
    to_train: list[int] = []
    scored: list[int] = []
    known: list[int] = []
    for proposal in proposals:
        trials = context.known().trials
        has = {trial.candidate_hash: trial.number for trial in reversed(trials)}
        if proposal.candidate.hash in has:
            known.append(has[proposal.candidate.hash])
        else:
            evaluation_id = add_proposal(context, proposal)
            (scored if evaluation_id is None else to_train).append(len(trials))
    if to_train or scored:
        context.storage.set_study_user_attr(context.study_id, ENDED, None)
    return Enqueued(tuple(to_train), tuple(scored), tuple(known))
