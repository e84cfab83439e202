"""What the studies that are disturbed are compared with."""

import pytest

from tests.faults.studies import TRIALS, Disturbed, Table


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Return the trial table of a run with one worker that nobody disturbs."""
    study = Disturbed.at(tmp_path_factory.mktemp("undisturbed"))
    study.run(workers=1)
    rows = study.table()
    assert len(rows) == TRIALS
    study.check_sound(rows)
    return rows
