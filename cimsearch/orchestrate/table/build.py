"""Building a table: every candidate of a small space, evaluated at every rung.

Each score is written down as it comes, beside the table, so a build that was stopped goes on where
it stood. A candidate's rungs are evaluated one after the other: each goes on from the weights that
the last one left in the cache.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import cimsearch
from cimsearch.errors import UsageError
from cimsearch.evaluate.version import code_hash
from cimsearch.orchestrate.table.kept import Kept
from cimsearch.orchestrate.table.runner import OnTable, evaluate_missing, unheard
from cimsearch.orchestrate.table.work import Chain, Work, work_of
from cimsearch.search.pricing import estimate_batch
from cimsearch.search.table import PRICES, Array, Table, save_table
from cimsearch.spec import Study
from cimsearch.workers import Executor, connect


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
    work = work_of(study, replicates, data)
    kept = Kept.at(out)
    used = executor or connect(workers=workers or study.spec.workers)
    try:
        evaluate_missing(work, kept, used, on_progress)
    finally:
        if executor is None:
            used.close()
    table = _assembled(work, kept)
    save_table(table, out)
    return table


def _assembled(work: Work, kept: Kept) -> Table:
    plan, rungs = work.plan, range(len(work.plan.study.spec.rungs))
    costs = estimate_batch(
        plan.space,
        plan.space.repair(work.genes),
        plan.study.hardware,
        plan.study.spec.statistics,
    )
    scores = [[kept.scores[key] for key in chain.keys] for chain in work.chains()]

    def accuracies(chains: Sequence[Chain], rung: int) -> Array:
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
