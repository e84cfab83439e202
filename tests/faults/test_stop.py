"""Telling a study to stop: once to let running trials end, twice to stop without them."""

import os
import signal
from pathlib import Path

import pytest

from tests.faults.studies import STUDY, TRIALS, Disturbed, Table

pytestmark = pytest.mark.slow


@pytest.fixture
def study(tmp_path: Path) -> Disturbed:
    return Disturbed.at(tmp_path)


def test_one_signal_lets_running_trials_end(study: Disturbed, undisturbed: Table) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        before = study.ended()
        running = study.start()
        running.wait_until(study.has_ended(before + 1, at_work=True))
        os.killpg(running.process.pid, number)
        assert running.finish() == 130, running.text()
        assert "cimsearch resume tiny" in running.text()
        assert "Traceback" not in running.text()
        ended = [attempt.state for attempts in study.attempts() for attempt in attempts]
        assert set(ended) == {"done"}, "what ran was to be waited for"
        assert len(study.done()) < TRIALS
    study.run()
    study.check_sound(undisturbed)


def test_two_signals_stop_at_once(tmp_path: Path) -> None:
    """Trials train longer, and a stop waits for them longer, than this test would."""
    study = Disturbed.at(tmp_path)
    text = STUDY.replace("parent_epochs: 6", "parent_epochs: 100000")
    text = text.replace("drain_s: 60", "drain_s: 100000")
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    running = study.start()
    running.wait_until(lambda: study.at_work() > 0)
    os.killpg(running.process.pid, signal.SIGINT)
    running.wait_until(lambda: "stopping when what runs has ended" in running.text())
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.finish() == 130, running.text()
    assert "Traceback" not in running.text()
    ended = [attempt.state for attempts in study.attempts() for attempt in attempts]
    assert set(ended) == {"interrupted"}
