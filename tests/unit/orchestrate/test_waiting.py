"""The queue of evaluations, and how long those wait that lost a worker."""

import pytest

from cimsearch.orchestrate.run.waiting import FIRST_DELAY_S, LONGEST_DELAY_S, Waiting, delay_s


def drained(waiting: Waiting, now_s: float) -> list[int]:
    taken = []
    while (each := waiting.ready(now_s)) is not None:
        waiting.remove(each)
        taken.append(each)
    return taken


def test_each_waits_once_and_in_order() -> None:
    waiting = Waiting()
    waiting.add([3, 1, 2])
    waiting.add([1, 4])
    assert len(waiting) == 4
    assert drained(waiting, 0.0) == [3, 1, 2, 4]
    assert len(waiting) == 0


def test_one_that_is_looked_at_stays_until_it_is_removed() -> None:
    waiting = Waiting()
    waiting.add([1, 2])
    assert waiting.ready(0.0) == waiting.ready(0.0) == 1
    assert 1 in waiting


def test_the_delayed_wait_and_then_go_first() -> None:
    waiting = Waiting()
    waiting.add([1, 2])
    waiting.delay(7, until_s=5.0)
    waiting.delay(8, until_s=4.0)
    waiting.add([7])
    assert len(waiting) == 4
    assert waiting.ready(3.9) == 1
    assert waiting.ready(4.0) == 8
    assert drained(waiting, 6.0) == [8, 7, 1, 2]


def test_only_the_delayed_are_left_and_nobody_is_ready() -> None:
    waiting = Waiting()
    waiting.delay(7, until_s=5.0)
    assert waiting.ready(4.0) is None
    assert len(waiting) == 1


@pytest.mark.parametrize(("losses", "factor"), [(1, 1), (2, 2), (3, 4), (4, 8)])
def test_each_loss_doubles_the_delay(losses: int, factor: int) -> None:
    assert delay_s(losses) == factor * FIRST_DELAY_S


def test_the_delay_has_an_end() -> None:
    assert delay_s(20) == LONGEST_DELAY_S
