"""Telling a study to stop: once to let running trials end, twice to stop without them."""

import os
import signal
from pathlib import Path

import pytest

from tests.faults.studies import TRIALS, Disturbed, Table

pytestmark = pytest.mark.slow


@pytest.fixture
def study(tmp_path: Path) -> Disturbed:
    return Disturbed.at(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_lets_running_trials_end(
    study: Disturbed, undisturbed: Table, number: signal.Signals
) -> None:
    running = study.start()
    running.wait_until(study.has_ended(2, at_work=True))
    os.killpg(running.process.pid, number)
    assert running.finish() == 130, running.text()
    assert "cimsearch resume tiny" in running.text()
    assert "Traceback" not in running.text()
    ended = [attempt.state for attempts in study.attempts() for attempt in attempts]
    assert set(ended) == {"done"}, "what ran was to be waited for"
    assert len(study.done()) < TRIALS
    study.run()
    study.check_sound(undisturbed)


def test_two_signals_stop_at_once(study: Disturbed, undisturbed: Table) -> None:
    running = study.start()
    running.wait_until(study.has_ended(1, at_work=True))
    os.killpg(running.process.pid, signal.SIGINT)
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.finish() == 130, running.text()
    ended = [attempt.state for attempts in study.attempts() for attempt in attempts]
    assert "running" not in ended
    study.run()
    study.check_sound(undisturbed)
