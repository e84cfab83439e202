"""A study of two workloads with real training: the same with two workers, killed and resumed."""

import random

import pytest

from tests.faults.studies import STUDY, TRIALS, Disturbed, left_alone
from tests.faults.test_kill import run_and_kill_orchestrator
from tests.workloads import ALSO, RECIPE

pytestmark = pytest.mark.slow

FEW, KILLS = 4, 1
OF_TWO_WORKLOADS = STUDY.replace("genes:", f"{ALSO}{RECIPE}genes:")
OF_TWO_WORKLOADS = OF_TWO_WORKLOADS.replace(f"{{trials: {TRIALS}}}", f"{{trials: {FEW}}}")


def test_killed_between_its_workloads_it_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    undisturbed = left_alone(tmp_path_factory.mktemp("workloads"), OF_TWO_WORKLOADS, trials=FEW)
    study = Disturbed.at(tmp_path_factory.mktemp("killed"), text=OF_TWO_WORKLOADS)
    moments = random.Random("workloads")
    for n in range(KILLS):
        run_and_kill_orchestrator(study, moments, after=2 * n + 2)
    study.run(workers=2)
    study.check_sound(undisturbed)
