"""The scheduler and the nannies of local workers: what the warden's process does."""

import asyncio
import sys
from typing import Any

from distributed import Nanny, Scheduler, Worker

from cimsearch.workers.mortal import die_with_parent
from cimsearch.workers.order import Order
from cimsearch.workers.settings import quiet

_HOST = "127.0.0.1"
_TRIES = 3
_PAUSE_S = 1.0


async def start_scheduler() -> Scheduler:
    """Return a scheduler that listens on this machine only."""
    scheduler = Scheduler(host=_HOST, port=0, dashboard=False, dashboard_address=f"{_HOST}:0")
    await scheduler.start()
    return scheduler


async def keep_workers(scheduler: Scheduler, order: Order) -> None:
    """Keep as many workers running as ordered; return when one of them never starts."""
    keepers = [
        asyncio.create_task(_keep_worker(scheduler.address, f"{number}", order))
        for number in range(order.workers)
    ]
    await asyncio.wait(keepers, return_when=asyncio.FIRST_COMPLETED)


async def _keep_worker(address: str, name: str, order: Order) -> None:
    """Keep a nanny; one that fails is started again, a few times in a row."""
    failed = 0
    while failed < _TRIES:
        nanny = Nanny(
            address,
            name=name,
            nthreads=1,
            memory_limit=0,
            host=_HOST,
            resources=dict(order.resources),
            local_directory=order.directory,
            worker_class=_worker,
        )
        starting = asyncio.ensure_future(nanny.start())
        await asyncio.wait([starting])
        if starting.exception() is None:
            failed = 0
            await nanny.finished()
        else:
            failed += 1
            sys.stderr.write(f"cimsearch: a worker did not start: {starting.exception()}\n")
        await asyncio.sleep(_PAUSE_S)


def _worker(*args: Any, **kwargs: Any) -> Worker:
    """Return the worker of a process that has just been started for it."""
    quiet()
    die_with_parent()
    return Worker(*args, **kwargs)
