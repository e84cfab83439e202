"""Which workers can be given a job."""

from typing import Any

import pytest

from cimsearch.workers.slots import Slot, slots_of

ADDRESS = "tcp://127.0.0.1:1"


def a_worker(**changes: Any) -> dict[str, Any]:
    return {
        "status": "running",
        "nanny": "tcp://127.0.0.1:2",
        "resources": {},
        "local_directory": "/tmp/worker-1",
        "nthreads": 4,
    } | changes


def usable(wanted: dict[str, float], *busy: str, **changes: Any) -> bool:
    slots = slots_of({ADDRESS: a_worker(**changes)}, wanted, busy)
    assert list(slots) == [Slot(ADDRESS, "/tmp/worker-1")]
    return slots[Slot(ADDRESS, "/tmp/worker-1")]


def test_a_worker_is_one_slot_whatever_its_threads() -> None:
    assert usable({})


@pytest.mark.parametrize("status", ["paused", "closing_gracefully", "closing", "init"])
def test_a_worker_that_does_not_run_is_known_and_not_used(status: str) -> None:
    assert not usable({}, status=status)


def test_a_worker_that_nobody_can_stop_is_not_used() -> None:
    assert not usable({}, nanny=None)


def test_a_worker_that_works_for_others_is_not_used() -> None:
    assert not usable({}, ADDRESS)
    assert usable({}, "tcp://127.0.0.1:3")


@pytest.mark.parametrize(
    ("wanted", "declared", "fits"),
    [
        ({"GPU": 1.0}, {}, False),
        ({"GPU": 1.0}, {"GPU": 1.0}, True),
        ({"GPU": 1.0}, {"GPU": 2.0, "MEMORY": 1.0}, True),
        ({"GPU": 2.0}, {"GPU": 1.0}, False),
        ({"GPU": 1.0, "MEMORY": 1.0}, {"GPU": 1.0}, False),
        ({}, {"GPU": 1.0}, True),
    ],
)
def test_what_is_wanted_must_be_declared(
    wanted: dict[str, float], declared: dict[str, float], fits: bool
) -> None:
    assert usable(wanted, resources=declared) is fits


def test_one_that_took_the_place_of_another_is_another() -> None:
    before = slots_of({ADDRESS: a_worker()}, {}, ())
    after = slots_of({ADDRESS: a_worker(local_directory="/tmp/worker-2")}, {}, ())
    assert before.keys().isdisjoint(after.keys())
