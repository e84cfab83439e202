"""Killing the database's server under a running study."""

import random
import time
from pathlib import Path

import pytest

from tests.faults.studies import Disturbed, Table
from tests.postgres import Server

pytestmark = pytest.mark.slow

SERVER_KILLS = 3


def test_a_killed_server_is_waited_for(
    tmp_path: Path,
    mortal_postgres: Server,
    undisturbed: Table,
    request: pytest.FixtureRequest,
) -> None:
    moments = random.Random(request.node.name)
    study = Disturbed.at(tmp_path, url=mortal_postgres.url())
    running = study.start()
    for n in range(SERVER_KILLS):
        running.wait_until(study.has_ended(2 * n + 1))
        time.sleep(moments.uniform(0.0, 0.7))
        mortal_postgres.kill()
        time.sleep(moments.uniform(0.0, 2.0))
        assert running.process.poll() is None, running.text()
        mortal_postgres.start()
    assert running.finish() == 0, running.text()
    study.check_sound(undisturbed)
    assert "Traceback" not in running.text()
