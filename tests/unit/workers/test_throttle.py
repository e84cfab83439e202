"""Progress at most once a second."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cimsearch.evaluate.report import Report
from cimsearch.workers.throttle import INTERVAL_S, Throttle

# Eighths of a second: their sums are exact.
pauses = st.lists(st.integers(0, 24).map(lambda n: n / 8), min_size=1, max_size=50)


@given(pauses)
def test_the_first_is_sent_and_no_two_within_a_second(pauses_s: list[float]) -> None:
    now_s = [0.0]
    sent: list[tuple[float, Report]] = []
    throttle = Throttle(
        lambda payload: sent.append((now_s[0], Report.from_json(payload.decode()))),
        clock=lambda: now_s[0],
    )
    for epoch, pause_s in enumerate(pauses_s):
        throttle(Report("candidate", epoch, len(pauses_s)))
        now_s[0] += pause_s
    times = [time_s for time_s, _ in sent]
    assert sent[0][1].epoch == 0
    assert all(after - before >= INTERVAL_S for before, after in pairwise(times))
    # Whoever is slower than once a second is always heard.
    heard = {report.epoch for _, report in sent}
    assert all(
        epoch + 1 in heard for epoch, pause_s in enumerate(pauses_s[:-1]) if pause_s >= INTERVAL_S
    )
