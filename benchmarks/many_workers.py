"""32 workers on SQLite with trials that take no time: what storing and handing out costs.

cimsearch's orchestrator with 32 local dask workers that answer at once, beside 32 processes that
ask and tell on Optuna's RDBStorage as its users do, in the same run: the same space, three
objectives, NSGA-II, as many trials each, a SQLite file each. Both sides are timed from the start
of the first trial to the end of the last, as their databases have it. Processor time is that of
all processes, once they are ready; cimsearch's holds the launch and the scoring of the front, too.

Run: ``python benchmarks/many_workers.py``; about eight minutes. Exit code 1 if a goal is missed.
"""

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import optuna
import psutil
from goals import Row, at_least, conclude, heading, none_of
from meter import Meter
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.samplers import NSGAIISampler
from sqlalchemy.exc import SQLAlchemyError
from trivial import trivial

from cimsearch import launch, load_study, open_storage
from cimsearch.evaluate import Score
from cimsearch.search.samplers import distributions
from cimsearch.space import Space
from cimsearch.spec import Study
from cimsearch.store import records as db
from cimsearch.workers.dask import DaskExecutor

WORKERS, TRIALS = 32, 640
# Twice the workers: with trials of one length a worker never waits for an older result.
LAG, POPULATION = 64, 50
GOAL = 20.0
NAME = "many-workers"
DIRECTIONS: list[Literal["maximize", "minimize"]] = ["maximize", "minimize", "minimize"]
STUDY = f"""
schema: cimsearch/study/1
name: {NAME}
summary: many workers whose trials take no time
source: made for this benchmark
space: vgg_tiny
hardware: macros/yu_cicc_2020
data: {{kind: digits, shape: [1, 8, 8], classes: 10}}
genes: {{adc_bits: [3, 4, 5]}}
objectives: [accuracy, energy_pj, latency_ns]
sampler: {{name: optuna_nsga2, population: {POPULATION}, lag: {LAG}}}
recipe: {{batch: 64, parent_epochs: 1, parent_lr: 0.2, qat_lr: 0.1}}
rungs:
  - {{epochs: 1, train_level: L0, score_level: L1, chips: 1}}
budget: {{trials: {TRIALS}}}
"""


@dataclass(frozen=True)
class Run:
    """What running all trials came to.

    Attributes:
        rate: Trials that ended well, a second of wall time.
        cpu_ms: Processor time of all processes a trial, in milliseconds.
        errors: Trials that ended with an error.
        running: Trials that the database has as running still.
    """

    rate: float
    cpu_ms: float
    errors: int
    running: int

    def __str__(self) -> str:
        return f"{self.rate:.1f} trials/s, {self.cpu_ms:.0f} ms CPU a trial"


def warm_up(executor: DaskExecutor) -> None:
    """Have every worker import what jobs need, as Optuna's processes have before they start."""
    for number in range(WORKERS):
        executor.submit(f"warm-up {number}", b"")
    ended = 0
    while ended < WORKERS:
        ended += len(executor.events(1.0))


def ours(study: Study, url: str) -> Run:
    """Run the study with cimsearch."""
    # Workers must find what they are to run.
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    score = Score("L1", "validation", 100, (0.5,), ideal_accuracy=0.9, float_accuracy=0.9)
    executor = DaskExecutor(workers=WORKERS, run=partial(trivial, score.to_json()))
    try:
        while executor.free_slots() < WORKERS:
            time.sleep(0.1)
        warm_up(executor)
        meter = Meter(psutil.Process().children())
        launch(study, storage=url, executor=executor)
        taken = meter.read()
    finally:
        executor.close()
    storage = open_storage(url, create=False)
    trials = db.trial_rows(storage, storage.get_study_id_from_name(NAME))
    states = Counter(trial.state for trial in trials)
    begin = min(trial.started for trial in trials if trial.started)
    end = max(trial.ended for trial in trials if trial.ended)
    storage.close()
    rate = states["complete"] / (end - begin).total_seconds()
    return Run(rate, 1e3 * taken.total_s / len(trials), states["fail"], states["running"])


def optuna_worker(
    url: str,
    dists: Mapping[str, BaseDistribution],
    seed: int,
    start: Barrier,
    told: "SimpleQueue[tuple[int, float]]",
) -> None:
    """Ask and tell a worker's part of the trials; put errors and processor seconds in a queue."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    sampler = NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.load_study(study_name=NAME, storage=url, sampler=sampler)
    start.wait()
    began_s, errors = time.process_time(), 0
    for n in range(TRIALS // WORKERS):
        try:
            trial = study.ask(dict(dists))
            digest = sha256(f"{seed} {n}".encode()).digest()
            study.tell(trial, [byte / 255 for byte in digest[: len(DIRECTIONS)]])
        except (StorageInternalError, SQLAlchemyError):
            errors += 1
    told.put((errors, time.process_time() - began_s))


def theirs(dists: Mapping[str, BaseDistribution], url: str) -> Run:
    """Run as many trials with processes on Optuna's storage."""
    study = optuna.create_study(storage=url, study_name=NAME, directions=DIRECTIONS)
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(WORKERS)
    told: SimpleQueue[tuple[int, float]] = spawn.SimpleQueue()
    processes = [
        spawn.Process(target=optuna_worker, args=(url, dists, seed, start, told))
        for seed in range(WORKERS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    results = []
    while not told.empty():
        results.append(told.get())
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state.name for trial in trials)
    begin = min(trial.datetime_start for trial in trials if trial.datetime_start)
    end = max(trial.datetime_complete for trial in trials if trial.datetime_complete)
    rate = states["COMPLETE"] / (end - begin).total_seconds()
    cpu_ms = 1e3 * sum(cpu_s for _, cpu_s in results) / len(trials)
    # A worker that ended without telling how is an error, too.
    errors = sum(count for count, _ in results) + WORKERS - len(results)
    return Run(rate, cpu_ms, errors, states["RUNNING"])


def rows(folder: Path) -> Iterator[Row]:
    """Return the table."""
    file = folder / "study.yaml"
    file.write_text(STUDY, encoding="utf-8")
    study = load_study(str(file))
    rdb = theirs(distributions(Space(study.space)), f"sqlite:///{folder / 'optuna.db'}")
    yield Row("Optuna's RDBStorage", str(rdb))
    yield Row("Optuna: errors, trials left RUNNING", f"{rdb.errors}, {rdb.running}")
    own = ours(study, f"sqlite:///{folder / 'ours.db'}")
    yield Row("cimsearch", str(own))
    yield none_of("cimsearch: trials that failed", own.errors)
    yield none_of("cimsearch: trials left running", own.running)
    yield at_least("trials a second", own.rate / rdb.rate, GOAL)
    yield Row("less processor time a trial", f"{rdb.cpu_ms / own.cpu_ms:.1f} x")


def main() -> int:
    """Print the report; return the exit code."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    heading(f"{WORKERS} workers, {TRIALS} trivial trials, SQLite", "distributed", "sqlalchemy")
    with TemporaryDirectory() as folder:
        return conclude(rows(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
