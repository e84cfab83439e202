"""How a study is run, no part of what it is: limits of a trial, workers and their cluster."""

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from cimsearch.spec.base import Count, NonNegative, Positive, Spec
from cimsearch.spec.document import FieldError

SHORTEST_JOB_S = 1200
"""Seconds of the shortest job: its worker has to start, run trials, and stop in time."""

_WALL_TIME = re.compile(r"(?:(\d{1,3})-)?([0-9]{1,3}):([0-5][0-9]):([0-5][0-9])")
_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]*@")
_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")

Text = Annotated[str, Field(min_length=1)]
SlurmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.,:@+\-]*$")]
"""A partition, an account: one word that needs no quotes."""
Directive = Annotated[str, Field(pattern=r"^--?[A-Za-z][^\n\r]*$")]


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


class Slurm(Spec):
    """The job that Slurm is asked for, once a worker; ``cimsearch launch --cluster slurm``.

    A job has ``cores``, ``memory_gb`` (of 1e9 bytes) and ``gpus`` and ends at ``wall_time``
    (``HH:MM:SS`` or ``D-HH:MM:SS``), at least 20 minutes. Its worker takes trials during the
    first three quarters of it and then ends the one that it has: make it at least four times as
    long as the longest trial.

    ``scratch`` is a folder on the node's own disk, ``$NAME`` in it is of the node; without it
    ``$SLURM_TMPDIR``, ``$TMPDIR`` or ``/tmp``. ``interface`` is the network that nodes and the
    orchestrator share (``ib0``), if it is not the default. The shell runs the lines of ``setup``
    before a worker starts (``module load python``), and ``directives`` are further ``#SBATCH``
    ones (``--constraint=avx2``).
    """

    memory_gb: Positive
    wall_time: Text
    cores: Count = 1
    gpus: Count | None = None
    partition: SlurmName | None = None
    account: SlurmName | None = None
    qos: SlurmName | None = None
    interface: SlurmName | None = None
    scratch: Annotated[str, Field(pattern=r"^[$/{}A-Za-z0-9_.\- ]+$")] | None = None
    setup: tuple[Text, ...] = ()
    directives: tuple[Directive, ...] = ()

    @field_validator("wall_time")
    @classmethod
    def _long_enough(cls, value: str) -> str:
        if not _WALL_TIME.fullmatch(value) or seconds_of(value) < SHORTEST_JOB_S:
            raise ValueError("HH:MM:SS or D-HH:MM:SS, at least 00:20:00")
        return value

    @property
    def wall_time_s(self) -> int:
        """Seconds after which Slurm ends a job."""
        return seconds_of(self.wall_time)


class Cluster(Spec):
    """What a worker must have to be given a trial, and what workers share.

    ``resources`` are those that dask workers declare (``--resources GPU=1``): a trial takes these
    of its worker. ``cache`` is where float parents and checkpoints are kept: a folder, or a URL
    that fsspec reads, that all workers reach; without it each machine keeps its own. ``slurm``
    says what jobs ``--cluster slurm`` asks for.
    """

    resources: dict[str, Positive] = Field(default_factory=dict)
    cache: Annotated[str, Field(min_length=1)] | None = None
    slurm: Slurm | None = None

    @field_validator("cache")
    @classmethod
    def _found_by_all_workers(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("/", "~")) and "://" not in value:
            raise ValueError("an absolute folder or a URL: workers have directories of their own")
        if value is not None and _PASSWORD.search(value):
            raise ValueError("a URL without a password, as it is stored with every trial")
        return value

    @model_validator(mode="after")
    def _names_can_be_declared(self) -> Self:
        for name in self.resources:
            if not _RESOURCE.fullmatch(name):
                raise FieldError(
                    f"resources.{name}",
                    f"found {name!r}; allowed are letters, digits, '_', '.' and '-', "
                    "a letter first",
                )
        return self


def seconds_of(wall_time: str) -> int:
    """Return the seconds of ``HH:MM:SS`` or ``D-HH:MM:SS``."""
    match = _WALL_TIME.fullmatch(wall_time)
    if match is None:
        raise ValueError(f"not a wall time: {wall_time!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
