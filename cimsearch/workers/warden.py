"""The warden: the process that holds the scheduler and the nannies of local workers.

It is started in a session of its own, so that what a terminal sends to the orchestrator does not
reach workers, and it ends everything when the orchestrator is gone, however that came about. Its
first line of output is the scheduler's address.
"""

import asyncio
import os
import shutil
import signal
import threading
from contextlib import suppress

import psutil

from cimsearch.workers.mortal import kill_tree, watch_parent
from cimsearch.workers.nannies import keep_workers, start_scheduler
from cimsearch.workers.order import Order
from cimsearch.workers.settings import quiet, set_up_dask, start_forkserver


def main(text: str) -> None:
    """Start scheduler and workers as ordered, and end with the orchestrator."""
    order = Order.from_json(text)
    # Workers inherit this. A batch system sends SIGTERM to every process of a job; which trials
    # are to be drained then, the orchestrator decides.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pipe, answer = _take_pipes()
    end = threading.Event()
    watch_parent(pipe, order.parent, end)
    threading.Thread(target=_end_all, args=(end, order.directory), daemon=True).start()
    set_up_dask()
    quiet()
    forks = start_forkserver(order.path, order.imports)
    threading.Thread(target=_end_with, args=(forks, end), daemon=True).start()
    asyncio.run(_serve(order, answer))
    end.set()
    threading.Event().wait()


def _take_pipes() -> tuple[int, int]:
    """Return the pipes from and to the orchestrator, out of reach of what workers run.

    A job that prints would fill the pipe that nobody reads any more, and wait for ever.
    """
    pipe, answer = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return pipe, answer


async def _serve(order: Order, answer: int) -> None:
    scheduler = await start_scheduler()
    os.write(answer, f"{scheduler.address}\n".encode())
    os.close(answer)
    await keep_workers(scheduler, order)


def _end_with(forks: psutil.Process, end: threading.Event) -> None:
    """Set ``end`` when the process that workers are forked from is gone: they are, too."""
    forks.wait()
    end.set()


def _end_all(end: threading.Event, directory: str) -> None:
    """Wait for the end, then kill the workers and all they started, and leave."""
    end.wait()
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            # What cleans up behind the others goes by itself, after them.
            if "resource_tracker import" not in " ".join(child.cmdline()):
                kill_tree(child.pid)
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)
