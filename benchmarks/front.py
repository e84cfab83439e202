"""What a tell's change of the front and its hypervolume takes with 10,000 trials in the study.

Processor time, median of many, on SQLite. First ``cimsearch.pareto`` alone, for fronts of several
sizes; then what the study's loop does at a tell: the front with the new point before it is
written, and the look at the trials after it.

Run: ``python benchmarks/front.py``; a minute. Exit code 1 if the goal is missed.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import optuna
from databases import sqlite_files
from goals import Row, at_most, conclude, heading
from optuna.trial import create_trial
from sqlalchemy import insert

from cimsearch import load_space, open_storage, pareto
from cimsearch.orchestrate.run.known import Known
from cimsearch.search.samplers import distributions, params_of
from cimsearch.seeds import stream
from cimsearch.space import Space
from cimsearch.store import CimStorage
from cimsearch.store import records as db
from cimsearch.store.schema import evaluation

TRIALS, TELLS = 10_000, 50
FRONT_SIZES = (50, 1_000, 10_000)
DIRECTIONS: list[db.Direction] = ["maximize", "minimize", "minimize"]
REFERENCE = (0.0, 1.0, 1.0)
GOAL_MS = 10.0


def median_ms(spent_s: list[float]) -> float:
    """Return the median in milliseconds."""
    return 1e3 * statistics.median(spent_s)


def spent_s(step: Callable[[], object]) -> float:
    """Return the processor seconds of one call."""
    started = time.process_time()
    step()
    return time.process_time() - started


def on_a_front(n: int) -> pareto.Points:
    """Return ``n`` points none of which dominates another: on a sphere, all minimised."""
    points = np.abs(stream("front", n).normal(size=(n, len(DIRECTIONS))))
    return np.asarray(1 - points / np.linalg.norm(points, axis=1, keepdims=True))


def arithmetic(n: int) -> float:
    """Return the milliseconds of the front of ``n`` points and a new one, and its hypervolume."""
    before, rng = on_a_front(n), stream("new", n)

    def step() -> None:
        points = np.concatenate([before, rng.random((1, len(DIRECTIONS)))])
        pareto.hypervolume(points[pareto.front_mask(points)], np.ones(len(DIRECTIONS)))

    return median_ms([spent_s(step) for _ in range(TELLS)])


def filled(url: str, space: Space) -> tuple[CimStorage, int]:
    """Return a storage and the id of its study, which has ``TRIALS`` scored random trials."""
    storage = open_storage(url)
    study_id = db.create_study(
        storage, name="front", directions=DIRECTIONS, spec_hash=None, user_attrs={}
    )
    dists, now = distributions(space), datetime.now(UTC)
    genes = space.sample_genes(TRIALS, stream("genes"))
    draws = stream("values").random((TRIALS, len(DIRECTIONS)))
    with storage.session.writing_to(study_id) as write:
        rows = []
        for row, draw in zip(genes.tolist(), draws, strict=True):
            trial = create_trial(
                values=draw.tolist(), params=params_of(space, row), distributions=dists
            )
            entry = write.insert_trial(trial, candidate_hash=str(row), rung=0)
            rows.append(_evaluation(study_id, entry.frozen._trial_id, now))
        write.conn.execute(insert(evaluation), rows)
    storage.close()
    # A storage that opens the file anew reads which evaluations belong to the trials.
    return open_storage(url), study_id


def _evaluation(study_id: int, trial_id: int, now: datetime) -> dict[str, object]:
    texts = dict.fromkeys(("label", "candidate", "cost", "job"), "{}")
    row: dict[str, object] = {"study_id": study_id, "role": "trial", "trial_id": trial_id}
    row |= {"key": str(trial_id), "state": "done", "score": "{}", "created": now, "ended": now}
    return row | texts


def tells(storage: CimStorage, study_id: int, space: Space) -> tuple[list[float], list[float]]:
    """Return the seconds of each front's change, and of each tell's transaction."""
    known = Known(storage, study_id, space, DIRECTIONS, REFERENCE)
    known.look()
    fronts, writes = [], []
    genes = space.sample_genes(TELLS, stream("new genes")).tolist()
    for row, draw in zip(genes, stream("told").random((TELLS, len(DIRECTIONS))), strict=True):
        new = db.NewTrial(params_of(space, row), distributions(space), str(row), 0)
        todo = db.NewEvaluation("trial", "", f"new {row}", "{}", "{}", "{}")
        ids = db.add_trial(storage, study_id, new, evaluation=todo, finished=None)
        known.look()
        values = tuple(draw.tolist())
        started = time.process_time()
        after = known.front_with(0, ids.trial_id, values)
        changes = after.changes_from(frozenset(known.front.trial_ids))
        changed = time.process_time()
        tell = db.Tell("complete", values, front=changes, hypervolume=after.hypervolume)
        db.finish_evaluation(
            storage,
            ids.evaluation_id or 0,
            token=None,
            score="{}",
            fail_reason=None,
            tell=tell,
        )
        written = time.process_time()
        known.look()
        writes.append(written - changed)
        fronts.append(changed - started + time.process_time() - written)
    return fronts, writes


def rows() -> Iterator[Row]:
    """Return the table."""
    for n in FRONT_SIZES:
        yield Row(f"cimsearch.pareto alone, {n:,} points on the front", f"{arithmetic(n):.2f} ms")
    space = load_space("resnet8")
    with sqlite_files() as files:
        storage, study_id = filled(files.new("front"), space)
        started = time.process_time()
        known = Known(storage, study_id, space, DIRECTIONS, REFERENCE).look()
        first = f"{time.process_time() - started:.2f} s, {len(known.front.trial_ids)} on the front"
        yield Row(f"first look at {TRIALS:,} trials", first)
        fronts, writes = tells(storage, study_id, space)
        storage.close()
    yield at_most("front and hypervolume at a tell, median", median_ms(fronts), GOAL_MS, "ms")
    yield at_most("the same, slowest", 1e3 * max(fronts), GOAL_MS, "ms")
    yield Row("the tell's transaction", f"{median_ms(writes):.2f} ms")


def main() -> int:
    """Print the report; return the exit code."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    heading(f"Front and hypervolume at a tell, {TRIALS:,} trials", "moocore", "numpy")
    return conclude(rows())


if __name__ == "__main__":
    sys.exit(main())
