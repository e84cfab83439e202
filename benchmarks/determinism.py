"""Whether a study is the same study however it is run: with 1, 2 or 4 workers, killed or not.

The quickstart by ``python -m cimsearch``, as its users run it. With 2 workers it is also killed
with SIGKILL, the orchestrator first, at 10 random points, one in each tenth of its evaluations,
and each time gone on with by ``resume``. Trial tables, which are states, parameters, values,
constraints and who is on the front, are compared byte for byte, without times.

Run: ``python benchmarks/determinism.py``; about eight minutes on 2 cores. Exit code 1 if a table
differs, a trial was scored twice, or a process or a running attempt is left behind.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from goals import Row, conclude, heading, none_of

from cimsearch import open_storage
from cimsearch.errors import StorageError
from cimsearch.store import CimStorage
from cimsearch.store import records as db

STUDY = "quickstart"
WORKERS, KILLED_WITH = (1, 2, 4), 2
KILLS, STUDIES, SEED = 10, 2, 0
LATE_S = 2.0
LOOK_S, END_S, PATIENCE_S = 0.05, 30.0, 1800.0


@dataclass(frozen=True)
class Place:
    """A folder in which a study runs, with its database."""

    folder: Path

    @property
    def url(self) -> str:
        """The database's URL."""
        return f"sqlite:///{self.folder / 'study.db'}"

    def start(self, verb: str, workers: int) -> subprocess.Popen[bytes]:
        """Start ``launch`` or ``resume`` in a session of its own; its output goes to a file."""
        arguments = [verb, STUDY, "--storage", self.url, "--workers", str(workers)]
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cimsearch", *arguments],
                cwd=self.folder,
                # A cache of its own: nothing that another run trained is taken over.
                env=os.environ
                | {"OMP_NUM_THREADS": "1", "CIMSEARCH_CACHE": str(self.folder / "cache")},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a run, which must be a good one."""
        if process.wait(timeout=PATIENCE_S) != 0:
            raise SystemExit((self.folder / "log.txt").read_text(encoding="utf-8"))

    def evaluations(self) -> list[db.EvaluationRow]:
        """Return the evaluations so far, none if there is no study yet."""
        try:
            storage = open_storage(self.url, create=False)
        except StorageError:
            return []
        row = db.find_study(storage, STUDY)
        found = [] if row is None else db.evaluations(storage, row.id)
        storage.close()
        return found

    def ended(self) -> int:
        """Return how many evaluations have ended."""
        return sum(evaluation.ended is not None for evaluation in self.evaluations())


@dataclass(frozen=True)
class Found:
    """What a run left.

    Attributes:
        table: The trial table as bytes.
        scored_twice: Evaluations that more than one attempt gave a score.
        running: Attempts that run still, as the database has it.
        evaluations: How many there are.
    """

    table: bytes
    scored_twice: int
    running: int
    evaluations: int

    @property
    def name(self) -> str:
        """A short hash of the table."""
        return sha256(self.table).hexdigest()[:12]


def found_in(place: Place) -> Found:
    """Read what a run left."""
    storage = open_storage(place.url, create=False)
    study_id = storage.get_study_id_from_name(STUDY)
    attempts = [
        [attempt.state for attempt in db.attempts(storage, evaluation.id)]
        for evaluation in db.evaluations(storage, study_id)
    ]
    found = Found(
        _table(storage, study_id),
        sum(states.count("done") > 1 for states in attempts),
        sum(states.count("running") for states in attempts),
        len(attempts),
    )
    storage.close()
    return found


def _table(storage: CimStorage, study_id: int) -> bytes:
    front: set[int] = set()
    for event in db.front_events(storage, study_id):
        (front.add if event.action == "add" else front.discard)(event.trial_id)
    rows = [
        [t.number, t.state, dict(t.params), t.values, t.constraints, t.trial_id in front]
        for t in db.trial_rows(storage, study_id)
    ]
    return json.dumps(rows).encode()


def undisturbed(folder: Path, workers: int) -> Found:
    """Run the study to its end."""
    place = Place(folder)
    place.finish(place.start("launch", workers))
    return found_in(place)


def killed(folder: Path, points: list[float], total: int, rng: random.Random) -> tuple[Found, int]:
    """Run the study, killing it at each of ``points`` (share of its ``total`` evaluations).

    Returns:
        What it left, and how many processes had to be killed one by one.
    """
    place, survivors, verb = Place(folder), 0, "launch"
    for point in points:
        process = place.start(verb, KILLED_WITH)
        while place.ended() < point * total:
            if process.poll() is not None:
                raise SystemExit((folder / "log.txt").read_text(encoding="utf-8"))
            time.sleep(LOOK_S)
        # Not at the end of an evaluation, but anywhere in one.
        time.sleep(rng.uniform(0, LATE_S))
        survivors += kill(process)
        verb = "resume" if place.evaluations() else "launch"
    place.finish(place.start(verb, KILLED_WITH))
    return found_in(place), survivors


def kill(process: subprocess.Popen[bytes]) -> int:
    """Kill an orchestrator; return how many of its workers did not end by themselves."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(below, timeout=END_S)
    for one in alive:
        one.kill()
    return len(alive)


def rows(folder: Path) -> Iterator[Row]:
    """Return the table, run by run."""
    found: list[Found] = []
    for workers in WORKERS:
        found.append(run := undisturbed(_new(folder, f"workers{workers}"), workers))
        yield _same(f"{workers} workers, undisturbed", run, found[0])
    rng = random.Random(SEED)
    points = [(tenth + rng.random()) / KILLS for tenth in range(KILLS)]
    survivors = 0
    for n in range(STUDIES):
        some = points[n::STUDIES]
        run, left = killed(_new(folder, f"killed{n}"), some, found[0].evaluations, rng)
        found.append(run)
        survivors += left
        at = ", ".join(f"{100 * point:.0f}" for point in some)
        yield _same(f"{KILLED_WITH} workers, killed at {at} %", run, found[0])
    yield none_of("evaluations scored twice", sum(run.scored_twice for run in found))
    yield none_of("attempts left running", sum(run.running for run in found))
    yield none_of(f"processes alive {END_S:.0f} s after a kill", survivors)


def _new(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _same(name: str, run: Found, first: Found) -> Row:
    return Row(
        name, f"{len(run.table)} bytes, {run.name}", "the first's", run.table == first.table
    )


def main() -> int:
    """Print the report; return the exit code."""
    heading("One study, however it is run", "torch")
    with TemporaryDirectory() as folder:
        return conclude(rows(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
