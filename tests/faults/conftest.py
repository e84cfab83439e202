"""What the studies that are disturbed are compared with."""

import pytest

from tests.faults.studies import STUDY, TRIALS, Table, left_alone


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Return the trial table of a run that nobody disturbs."""
    return left_alone(tmp_path_factory.mktemp("undisturbed"), STUDY, trials=TRIALS)
