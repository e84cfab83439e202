"""How a study is run, no part of what it is: limits of a trial, what a worker must have."""

from typing import Annotated

from pydantic import Field

from cimsearch.spec.base import NonNegative, Positive, Spec


class Limits(Spec):
    """What one trial may use, and how long a study that is told to stop waits.

    A trial that runs longer than ``time_s`` or holds more than ``memory_gb`` (of 1e9 bytes,
    resident) is stopped and fails; one whose worker dies is tried again until ``losses`` workers
    have died. A study that is told to stop waits up to ``drain_s`` for the trials that run.
    """

    time_s: Positive | None = None
    memory_gb: Positive | None = None
    losses: Annotated[int, Field(ge=1, le=20)] = 3
    drain_s: NonNegative = 30.0


class Cluster(Spec):
    """What a worker must have to be given a trial, and what workers share.

    ``resources`` are those that dask workers declare (``--resources GPU=1``): a trial takes these
    of its worker. ``cache`` is where float parents and checkpoints are kept: a folder, or a URL
    that fsspec reads, that all workers reach; without it each machine keeps its own.
    """

    resources: dict[str, Positive] = Field(default_factory=dict)
    cache: Annotated[str, Field(min_length=1)] | None = None
