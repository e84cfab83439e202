"""Workers that are killed, and workers that want the same at the same time: real processes."""

import json
import os
import signal
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cimsearch.evaluate import Job
from cimsearch.spec.study import Rung
from tests.unit.evaluate import worker
from tests.unit.evaluate.robust import uniform_job
from tests.unit.evaluate.test_cache import LEARNED, a_job, run, undisturbed
from tests.unit.evaluate.test_run import without_times

pytestmark = pytest.mark.slow

# Importing takes as long as training: one process does it, and workers are forked from it.
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload([worker.__name__])

STAGES = ["parent", "candidate", "chips"]
LONG = LEARNED.model_copy(update={"parent_epochs": 6})
RUNG = Rung(epochs=6, train_level="L1", score_level="L2", chips=4, images=100)


class Worker:
    """A process that is ready to evaluate a job.

    Args:
        checkpoint_s: How often a training is written down.
    """

    def __init__(self, checkpoint_s: float = 0.0) -> None:
        taken, self.jobs = _FORKS.Pipe(duplex=False)
        self.told, told = _FORKS.Pipe(duplex=False)
        # What workers are forked from knows nothing of the test's environment.
        arguments = (taken, told, dict(os.environ), checkpoint_s)
        self.process = _FORKS.Process(target=worker.work, args=arguments)
        self.process.start()
        # Of what it reads and writes it has the only end: what it says ends with it.
        taken.close()
        told.close()
        assert self.told.recv() == worker.READY
        self.reports: list[tuple[str, int]] = []
        self.score: dict[str, Any] | None = None

    def begin(self, job: Job) -> "Worker":
        """Give it the job."""
        self.jobs.send(job.to_json())
        self.jobs.close()
        return self

    def listen(self, reports: int | None = None) -> None:
        """Take so many more reports, or (None) all and the score."""
        while reports is None or reports > 0:
            try:
                text = self.told.recv()
            except EOFError:
                return
            found = json.loads(text)
            if "stage" not in found:
                self.score = without_times(text)
                continue
            self.reports.append((found["stage"], found["epoch"]))
            reports = None if reports is None else reports - 1

    def kill(self) -> None:
        """Kill it -9, and take what it reported before."""
        self.process.kill()
        self.listen()
        self.process.join()
        # It may have ended just before.
        assert self.process.exitcode == -signal.SIGKILL or self.score is not None
        self.told.close()

    def end(self) -> dict[str, Any]:
        """Wait until it has ended; return its score."""
        self.listen()
        self.process.join()
        assert self.process.exitcode == 0
        self.told.close()
        assert self.score is not None
        return self.score


def place(report: tuple[str, int]) -> tuple[int, int]:
    """Return where in an evaluation a report is, to compare."""
    return STAGES.index(report[0]), report[1]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the score of the long job that nobody disturbs."""
    cache = tmp_path_factory.mktemp("undisturbed")
    return run(a_job(recipe=LONG, rung=RUNG, cache=str(cache)))[0]


@pytest.mark.parametrize("seed", range(2))
def test_an_evaluation_that_is_killed_again_and_again_goes_on(
    seed: int, wanted: dict[str, Any], tmp_path: Path
) -> None:
    some, random = a_job(recipe=LONG, rung=RUNG, cache=str(tmp_path)), Random(seed)
    reported: list[tuple[str, int]] = []
    for _ in range(5):
        one = Worker().begin(some)
        one.listen(random.randrange(1, 4))
        # At any moment of an epoch: in its steps, while its state is written, after it.
        if random.random() < 0.7:
            one.process.join(random.uniform(0.0, 0.1))
        one.kill()
        went_on(reported, one.reports)
        reported += one.reports
    last = Worker().begin(some)
    assert last.end() == wanted
    went_on(reported, last.reports)
    assert not list((tmp_path / "networks" / "unfinished").glob("[!.]*"))


def went_on(before: list[tuple[str, int]], after: list[tuple[str, int]]) -> None:
    """Check that nothing that was reported was trained again, but what is not written down.

    That is a stage's last epoch until what follows it is kept, and chips, which are scored anew.
    """
    trained = [report for report in before if report[0] != "chips" and report[1] < 6]
    if trained and after:
        assert place(after[0]) > max(map(place, trained))


def test_a_worker_that_is_killed_while_scoring_goes_on_with_scoring(tmp_path: Path) -> None:
    some = uniform_job(
        rung=Rung(epochs=1, train_level="L0", score_level="L1", chips=3, images=100),
        cache=str(tmp_path),
    )
    one = Worker().begin(some)
    while ("chips", 1) not in one.reports:
        one.listen(1)
    one.kill()
    again = Worker().begin(some)
    score = again.end()
    assert again.reports == [("chips", 1), ("chips", 2), ("chips", 3)]
    assert score == run(uniform_job(rung=some.rung, cache=str(tmp_path / "other")))[0]


def test_processes_that_want_the_same_parent_train_it_once() -> None:
    others = [a_job(candidate_hash=name) for name in ("one", "two", "three")]
    workers = [Worker(60.0) for _ in others]
    for one, other in zip(workers, others, strict=True):
        one.begin(other)
    scores = [one.end() for one in workers]
    trained = [report for one in workers for report in one.reports if report[0] == "parent"]
    assert trained == [("parent", 1), ("parent", 2), ("parent", 3)]
    assert [score["float_accuracy"] for score in scores] == [undisturbed()["float_accuracy"]] * 3


def test_a_parent_whose_trainer_is_killed_is_trained_on_by_who_waits() -> None:
    long = LEARNED.model_copy(update={"parent_epochs": 150})
    first, second = Worker(), Worker()
    first.begin(a_job(recipe=long, candidate_hash="one")).listen(1)
    second.begin(a_job(recipe=long, candidate_hash="two"))
    first.kill()
    second.end()
    parents = [epoch for stage, epoch in second.reports if stage == "parent"]
    assert parents == list(range(parents[0], 151))
    # An epoch may have been written down and not been reported any more.
    _, last = first.reports[-1]
    assert parents[0] in (last + 1, last + 2)


def test_a_score_is_the_same_in_another_process_with_and_without_what_is_kept() -> None:
    for _ in range(2):
        assert Worker(60.0).begin(a_job()).end() == undisturbed()
