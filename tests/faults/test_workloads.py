"""A study of two workloads with real training: the same with two workers, killed and resumed."""

import random

import pytest

from tests.faults.studies import STUDY, TRIALS, Disturbed, Table
from tests.faults.test_kill import run_and_kill_orchestrator
from tests.workloads import ALSO, RECIPE

pytestmark = pytest.mark.slow

FEW, KILLS = 4, 2
OF_TWO_WORKLOADS = STUDY.replace("genes:", f"{ALSO}{RECIPE}genes:")
OF_TWO_WORKLOADS = OF_TWO_WORKLOADS.replace(f"{{trials: {TRIALS}}}", f"{{trials: {FEW}}}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Return the trial table of a run with one worker that nobody disturbs."""
    study = Disturbed.at(tmp_path_factory.mktemp("workloads"), text=OF_TWO_WORKLOADS)
    study.run(workers=1)
    rows = study.table()
    assert len(rows) == FEW
    study.check_sound(rows)
    return rows


def test_two_workers_find_what_one_does(
    tmp_path_factory: pytest.TempPathFactory, undisturbed: Table
) -> None:
    study = Disturbed.at(tmp_path_factory.mktemp("two"), text=OF_TWO_WORKLOADS)
    study.run(workers=2)
    study.check_sound(undisturbed)


def test_killed_between_its_workloads_it_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, undisturbed: Table
) -> None:
    study = Disturbed.at(tmp_path_factory.mktemp("killed"), text=OF_TWO_WORKLOADS)
    moments = random.Random("workloads")
    for n in range(KILLS):
        run_and_kill_orchestrator(study, moments, after=3 * n)
    study.run()
    study.check_sound(undisturbed)
