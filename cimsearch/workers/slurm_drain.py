"""What a dask worker in a Slurm job loads beside: it leaves well before Slurm ends the job.

dask's own ``--lifetime`` is not used: a worker that reaches it drops the trial that it runs, and
dask hands that trial to another worker that has one already.
"""

import asyncio
import time
from typing import Any

import click
from distributed.core import Status

_POLL_S = 0.2
_SETTLE_S = 1.0
"""How long a trial that was sent before the scheduler knew better may be on its way."""


@click.command()
@click.option("--drain-at-s", type=float, required=True)
def dask_setup(worker: Any, drain_at_s: float) -> None:
    """Let the worker take trials until ``drain_at_s`` (seconds of the Unix clock)."""
    worker.loop.call_later(max(0.0, drain_at_s - time.time()), drain, worker)


async def drain(worker: Any) -> None:
    """Take no further trial; when the present one has ended and was fetched, end the worker."""
    worker.status = Status.closing_gracefully
    await asyncio.sleep(_SETTLE_S)
    while worker.state.tasks:
        if worker.state.ready and not worker.state.executing:
            # It came in the last moment, and a worker that is to close starts nothing.
            worker.status = Status.running
            worker.status = Status.closing_gracefully
        await asyncio.sleep(_POLL_S)
    await worker.close(reason="the end of its Slurm job is near")
