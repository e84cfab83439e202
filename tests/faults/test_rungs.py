"""Killing processes of a study of two rungs: what is promoted is the same."""

import random

import pytest

from tests.faults.studies import OF_TWO_RUNGS, Disturbed, left_alone
from tests.faults.test_kill import kill, run_and_kill_orchestrator, workers_at_work

pytestmark = pytest.mark.slow

# Of 6 candidates a cohort of 4 promotes 2, one of the other 2 is promoted at the end.
TRIALS = 6 + 2 + 1
ORCHESTRATOR_KILLS, WORKER_KILLS = 2, 3


def test_processes_killed_at_any_moment_change_no_promotion(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    undisturbed = left_alone(tmp_path_factory.mktemp("rungs"), OF_TWO_RUNGS, trials=TRIALS)
    study = Disturbed.at(tmp_path_factory.mktemp("disturbed"), text=OF_TWO_RUNGS)
    moments = random.Random("rungs")
    for n in range(ORCHESTRATOR_KILLS):
        run_and_kill_orchestrator(study, moments, after=3 * n)
    running = study.start()
    for _ in range(WORKER_KILLS):
        kill(moments.choice(workers_at_work(running, study, moments)))
    assert running.finish() == 0, running.text()
    study.check_sound(undisturbed)
