"""Where a dask scheduler and its workers come from: our own on this machine, or others'."""

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Protocol

from cimsearch.errors import WorkerError
from cimsearch.workers.connection import Connection, Heard
from cimsearch.workers.executor import Demands
from cimsearch.workers.gone import scheduler_gone, wardens_die
from cimsearch.workers.local import Warden

_WARDENS = 5


class StartedCluster(Protocol):
    """A cluster that was started for an executor, which closes it."""

    @property
    def scheduler_address(self) -> str:
        """Where its scheduler listens."""
        ...

    def check(self) -> None:
        """Raise a ``WorkerError`` if no workers can come any more."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Local:
    """Workers on this machine. They are started again when they are gone with their scheduler.

    Args:
        workers: How many.
        demands: What each job takes; they declare its resources.
        heard: Where what is heard is put.
        imports: Modules that every job needs, which they import once for all.
    """

    jobs_end_with_it = True
    restarts = True
    """A job could end every scheduler that is started for it, so what one takes along is lost."""

    def __init__(
        self,
        workers: int,
        demands: Demands,
        heard: SimpleQueue[Heard],
        imports: Sequence[str],
    ) -> None:
        self._workers = workers
        self._imports = imports
        self._demands = demands
        self._heard = heard
        self._deaths = 0
        self._warden: Warden | None = None

    def connect(self) -> Connection:
        """Start the workers and connect to their scheduler.

        Raises:
            WorkerError: They cannot be started.
        """
        self._warden = Warden(self._workers, self._demands.resources, self._imports)
        try:
            return Connection(self._warden.address, self._demands, self._heard)
        except WorkerError:
            self._warden.stop()
            raise

    def reconnect(self) -> Connection:
        """Start workers in place of those that are gone.

        Raises:
            WorkerError: They cannot be started, or went too often before any job ended.
        """
        self.close()
        self._deaths += 1
        if self._deaths >= _WARDENS:
            raise wardens_die(self._deaths)
        return self.connect()

    def job_ended(self) -> None:
        """Take note that workers are of use."""
        self._deaths = 0

    def check(self) -> None:
        """Do nothing: workers that do not come end their scheduler."""

    def close(self) -> None:
        """End the workers."""
        if self._warden is not None:
            self._warden.stop()


class Lent:
    """The workers of a scheduler that others have started.

    Args:
        address: The scheduler's.
        demands: What each job takes.
        heard: Where what is heard is put.
        cluster: What is there, to be closed at the end, if it was started for this.
    """

    restarts = False

    def __init__(
        self,
        address: str,
        demands: Demands,
        heard: SimpleQueue[Heard],
        cluster: StartedCluster | None,
    ) -> None:
        self._address = address
        self._demands = demands
        self._heard = heard
        self._cluster = cluster
        self.jobs_end_with_it = cluster is not None

    def connect(self) -> Connection:
        """Connect to the scheduler.

        Raises:
            WorkerError: None answers.
        """
        return Connection(self._address, self._demands, self._heard)

    def reconnect(self) -> Connection:
        """Tell that the scheduler is gone.

        Raises:
            WorkerError: Always: what it knew of jobs is lost.
        """
        raise scheduler_gone(self._address)

    def job_ended(self) -> None:
        """Do nothing: whether workers stay is others' to see to."""

    def check(self) -> None:
        """Check that workers can come.

        Raises:
            WorkerError: None will any more.
        """
        if self._cluster is not None:
            self._cluster.check()

    def close(self) -> None:
        """End the cluster if it was started for this."""
        if self._cluster is not None:
            self._cluster.close()
