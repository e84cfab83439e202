"""Slots: which workers of a cluster can be given a job."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Slot:
    """A worker process, whatever its threads: it runs one job at a time.

    Two evaluations in one process would disturb each other's thread settings and clocks.

    Attributes:
        address: Where it listens; one that takes its place may listen there too.
        home: Its own directory, which tells it from the one before.
    """

    address: str
    home: str


def slots_of(
    workers: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, float], busy: Container[str]
) -> dict[Slot, bool]:
    """Return the workers that there are, and whether each can be given a job.

    It can if it is not about to leave, declares what is wanted, works for nobody else, and has a
    nanny: without one nobody could stop a job.

    Args:
        workers: What the scheduler knows of each worker, by address.
        wanted: How much of which resource a job takes.
        busy: Addresses of those that work for others.
    """
    return {
        Slot(address, str(worker["local_directory"])): (
            worker["status"] == "running"
            and bool(worker["nanny"])
            and address not in busy
            and _has(worker, wanted)
        )
        for address, worker in workers.items()
    }


def _has(worker: Mapping[str, Any], wanted: Mapping[str, float]) -> bool:
    declared = worker["resources"]
    return all(declared.get(name, 0.0) >= amount for name, amount in wanted.items())
