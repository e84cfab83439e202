"""What a persisted ask and tell costs, beside Optuna's own storage in the same run.

30 parameters, 3 objectives, NSGA-II with a population of 50, on SQLite and PostgreSQL, with 100
and with 10,000 trials already there. Processor time, that of the database's server included. Of
Optuna's own ask and tell, what the sampler takes in memory is subtracted to have the storage's
share; where cimsearch writes, its calls are timed themselves.
cimsearch's storage is measured in three ways:

- through ``optuna.Study``, as Optuna's users do;
- whole trials: what Optuna keeps of a trial, in one transaction at the ask and one at the tell;
- as cimsearch's own loop writes: one transaction each for a trial with its evaluation, job and the
  costs of its layers, for the start of the attempt, and for the tell with its front change.

Run: ``python benchmarks/storage.py``; about ten minutes. Exit code 1 if a goal is missed.
"""

import gc
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count

import numpy as np
import optuna
import psutil
from databases import Databases, postgres_server, sqlite_files
from filled import DIRECTIONS, NAME, distributions, filled_study, random_trials
from goals import Row, at_least, at_most, conclude, heading
from meter import Meter, Stopwatch, Taken
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import TrialState

from cimsearch import open_storage
from cimsearch.store import CimStorage
from cimsearch.store import records as db

SIZES = (100, 10_000)
BATCHES, ASKS, WARM_UP = 5, 20, 30
# As in the quickstart: nodes, and characters each of job, candidate and costs.
LAYERS, TEXT_CHARACTERS = 19, 12_000
GOALS = {"SQLite": 20.0, "PostgreSQL": 15.0}
GROWTH_GOAL, OPEN_GOAL = 1.5, 20.0
# They keep what Optuna's storage keeps. With many trials the sampler outweighs every storage:
# there the share's growth is what has a goal.
EQUAL = ("optuna.Study", "whole trials")
# Whose calls are timed themselves; a small share is not to be had by subtracting a large one.
TIMED = ("whole trials", "own loop")

Step = Callable[[], None]


@dataclass(frozen=True)
class Cost:
    """Of one ask and tell: what it took, and how much of its processor time is the storage's."""

    taken: Taken
    storage_s: float

    @property
    def whole_ms(self) -> float:
        """Processor time, this process's and the server's."""
        return 1e3 * self.taken.total_s

    @property
    def share_ms(self) -> float:
        """The storage's, with the server's."""
        return 1e3 * self.storage_s

    def __str__(self) -> str:
        return f"{self.whole_ms:.1f} ms; wall {1e3 * self.taken.wall_s:.0f} ms"


def asked_and_told(study: optuna.Study) -> Step:
    """Return a step that asks ``study`` for a trial and tells it values."""
    dists, rng = distributions(), np.random.default_rng(0)

    def step() -> None:
        study.tell(study.ask(dists), rng.random(len(DIRECTIONS)).tolist())

    return step


def written_whole(study: optuna.Study, storage: CimStorage, watch: Stopwatch) -> Step:
    """Return a step that asks in memory and writes a trial twice: when asked, and when told."""
    dists, rng = distributions(), np.random.default_rng(0)
    study_id = storage.get_study_id_from_name(NAME)

    def step() -> None:
        asked = study.ask(dists)
        new = db.NewTrial(asked.params, dists, user_attrs={"sampler": {"generation": 1}})
        values = rng.random(len(DIRECTIONS)).tolist()
        with watch:
            ids = db.add_trial(storage, study_id, new, evaluation=None, finished=None)
            storage.set_trial_state_values(ids.trial_id, TrialState.COMPLETE, values)
        study.tell(asked, values)

    return step


def recorded(study: optuna.Study, storage: CimStorage, watch: Stopwatch) -> Step:
    """Return a step as cimsearch's loop does it: ask in memory, write whole trials."""
    dists, rng, numbers = distributions(), np.random.default_rng(0), count()
    study_id = storage.get_study_id_from_name(NAME)
    layers = tuple(
        db.LayerCost(i, f"layer{i}", "conv", 1.0, 1.0, 1.0, 0.5, {"adc": 0.5, "array": 0.5})
        for i in range(LAYERS)
    )
    text = "x" * TEXT_CHARACTERS

    def step() -> None:
        asked = study.ask(dists)
        key = f"{next(numbers)}"
        new = db.NewTrial(asked.params, dists, key, 0, user_attrs={"sampler": {"generation": 1}})
        evaluation = db.NewEvaluation("trial", "", key, text, text, text, layers)
        values = tuple(rng.random(len(DIRECTIONS)).tolist())
        tell = db.Tell(
            "complete", values, (-1.0,), front=(db.FrontChange(None, "add"),), hypervolume=0.5
        )
        with watch:
            ids = db.add_trial(storage, study_id, new, evaluation=evaluation, finished=None)
            if ids.evaluation_id is None:
                raise SystemExit("the trial has no evaluation")
            db.start_attempt(storage, ids.evaluation_id, token=key, worker="worker")
            db.finish_evaluation(
                storage, ids.evaluation_id, token=key, score="{}", fail_reason=None, tell=tell
            )
        study.tell(asked, values)

    return step


def cost(
    step: Step,
    *,
    server: tuple[psutil.Process, ...] = (),
    watch: Stopwatch | None = None,
    sampler_s: float = 0.0,
) -> Cost:
    """Return what one step takes, after a warm-up in which NSGA-II finds its parents.

    The median of batches. What has been filled in is kept from the garbage collector, which would
    look through that of all storages at the steps of each.

    Args:
        step: What is measured.
        server: Processes of the database.
        watch: Runs while the step is at its storage; without it the sampler's time is subtracted.
        sampler_s: What the sampler takes in memory.
    """
    gc.collect()
    gc.freeze()
    for _ in range(WARM_UP):
        step()
    batches = []
    for _ in range(BATCHES):
        before_s = watch.cpu_s if watch else 0.0
        meter = Meter(server)
        for _ in range(ASKS):
            step()
        taken = meter.read().per(ASKS)
        storage_s = taken.total_s - sampler_s
        if watch:
            storage_s = (watch.cpu_s - before_s) / ASKS + taken.others_s
        batches.append(Cost(taken, storage_s))
    gc.unfreeze()
    return sorted(batches, key=lambda cost: cost.taken.total_s)[BATCHES // 2]


def costs(databases: Databases, size: int) -> dict[str, Cost]:
    """Return the cost of a step by storage, with ``size`` trials there."""
    trials = random_trials(size)

    def memory() -> optuna.Study:
        return filled_study(InMemoryStorage(), trials)

    sampler_s = cost(asked_and_told(memory())).taken.total_s
    rdb = RDBStorage(databases.new(f"rdb{size}"))
    ours = open_storage(databases.new(f"ours{size}"))
    whole, own = (open_storage(databases.new(f"{name}{size}")) for name in ("whole", "own"))
    for storage in (whole, own):
        filled_study(storage, trials)
    found = {
        name: cost(asked_and_told(study), server=databases.server, sampler_s=sampler_s)
        for name, study in (
            ("RDBStorage", filled_study(rdb, trials)),
            ("optuna.Study", filled_study(ours, trials)),
        )
    }
    for name, writes, storage in (
        ("whole trials", written_whole, whole),
        ("own loop", recorded, own),
    ):
        watch = Stopwatch()
        step = writes(memory(), storage, watch)
        found[name] = cost(step, server=databases.server, watch=watch)
    for storage in (ours, whole, own):
        storage.close()
    rdb.engine.dispose()
    return found


def opened_rdb(url: str) -> Taken:
    """Open a database with Optuna's storage and read all trials."""
    meter = Meter()
    optuna.load_study(study_name=NAME, storage=url).get_trials(deepcopy=False)
    return meter.read()


def opened_ours(url: str) -> Taken:
    """Open a database with cimsearch's storage and read all trials."""
    meter = Meter()
    storage = open_storage(url, create=False)
    storage.get_all_trials(storage.get_study_id_from_name(NAME), deepcopy=False)
    return meter.read()


def in_new_process(function: Callable[[str], Taken], url: str) -> Taken:
    """Return what ``function`` takes in a process of its own, after the imports."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, url).result()


def rows(databases: Databases) -> Iterator[Row]:
    """Return the table of one kind of database."""
    found = {}
    for size in SIZES:
        found[size] = by_name = costs(databases, size)
        where, rdb = f"{databases.name}, {size:,} trials", by_name["RDBStorage"]
        sampler_ms = rdb.whole_ms - rdb.share_ms
        yield Row(f"{where}: the sampler alone", f"{sampler_ms:.1f} ms")
        yield Row(f"{where}: Optuna's RDBStorage", str(rdb))
        for name in ("optuna.Study", "whole trials", "own loop"):
            ours = by_name[name]
            yield Row(f"{where}: cimsearch, {name}", str(ours))
            ratio = rdb.whole_ms / ours.whole_ms
            share = f"storage {ours.share_ms:.1f} ms, {rdb.share_ms / ours.share_ms:.1f} x"
            if size == SIZES[0] and name in EQUAL:
                yield at_least("  less processor time", ratio, GOALS[databases.name], share)
            elif name in TIMED:
                yield Row("  less processor time", f"{ratio:.1f} x ({share})")
            else:
                yield Row("  less processor time", f"{ratio:.1f} x")
    few, many = (found[size] for size in SIZES)
    for name in TIMED:
        growth = many[name].share_ms / few[name].share_ms
        yield at_most(f"{databases.name}: growth of the share, {name}", growth, GROWTH_GOAL, "x")


def opening(databases: Databases) -> Iterator[Row]:
    """Return what opening the larger study takes with both storages."""
    rdb = in_new_process(opened_rdb, databases.url(f"rdb{SIZES[-1]}"))
    ours = in_new_process(opened_ours, databases.url(f"ours{SIZES[-1]}"))
    both = f"{rdb.cpu_s:.2f} s to {ours.cpu_s:.2f} s"
    ratio = rdb.cpu_s / ours.cpu_s
    yield at_least(f"{databases.name}: opening {SIZES[-1]:,} trials", ratio, OPEN_GOAL, both)


def main() -> int:
    """Print the report; return the exit code."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    heading("A persisted ask and tell: processor time", "sqlalchemy", "psycopg")

    def report() -> Iterator[Row]:
        for kind in (sqlite_files, postgres_server):
            with kind() as databases:
                yield from rows(databases)
                yield from opening(databases)

    return conclude(report())


if __name__ == "__main__":
    sys.exit(main())
