"""Starting and ending the warden, which holds the local workers."""

import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, cast

from cimsearch.errors import WorkerError
from cimsearch.workers.environment import worker_environment
from cimsearch.workers.order import Order

# A module run with -m would be imported again by every worker; and where modules are found must be
# known before the first import.
_PROGRAM = """
import json, sys
order = sys.stdin.readline()
sys.path[:] = json.loads(order)["path"]
from cimsearch.workers.warden import main
main(order)
"""
# Workers are killed, never asked to leave: what they shared is cleaned up behind them.
_EXPECTED = "ignore::UserWarning:multiprocessing.resource_tracker"
_START_S = 60.0
_END_S = 10.0


class Warden:
    """A scheduler with workers on this machine, in processes of their own.

    Args:
        workers: How many worker processes.
        resources: What each declares.
        imports: Modules that they need.

    Raises:
        WorkerError: They cannot be started.
    """

    def __init__(
        self, workers: int, resources: Mapping[str, float], imports: Sequence[str]
    ) -> None:
        self._directory = tempfile.mkdtemp(prefix="cimsearch-workers-")
        order = Order(
            os.getpid(), workers, dict(resources), self._directory, tuple(sys.path), tuple(imports)
        )
        self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-W", _EXPECTED, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=worker_environment(os.environ),
            start_new_session=True,
        )
        self._given = cast("IO[bytes]", self._process.stdin)
        self._told = cast("IO[bytes]", self._process.stdout)
        self.address = self._begin(order)

    def _begin(self, order: Order) -> str:
        """Give the order and return the scheduler's address."""
        try:
            self._given.write(f"{order.to_json()}\n".encode())
            self._given.flush()
            ready, _, _ = select.select([self._told], [], [], _START_S)
            address = self._told.readline().decode().strip() if ready else ""
        except BrokenPipeError:
            address = ""
        if not address:
            self.stop()
            raise WorkerError(
                f"{order.workers} local workers could not be started",
                "what their process printed says why",
            )
        return address

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the workers and wait until they have."""
        # What could not be written to a dead process need not be.
        with suppress(BrokenPipeError):
            self._given.close()
        self._told.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
