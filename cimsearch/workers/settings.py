"""How dask is set up where it is ours: the local scheduler, its nannies and workers."""

import logging
import os
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker

import dask
import psutil

_SETTINGS = {
    # A worker that dies takes its attempt with it; whether to try again is not dask's to say.
    "distributed.scheduler.allowed-failures": 0,
    # A worker that is deep in C code cannot say that it lives.
    "distributed.scheduler.worker-ttl": None,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.admin.low-level-log-length": 100,
}

_IMPORTED_ONCE = ("cimsearch.workers.mortal_parent", "distributed")

_NOISY = ("distributed", "tornado")


def set_up_dask() -> None:
    """Set dask up in a process that holds a scheduler of ours, and may have nannies."""
    dask.config.set(_SETTINGS)


def start_forkserver(path: Sequence[str], imports: Sequence[str]) -> psutil.Process:
    """Start the process that workers are forked from, and return it.

    It has imported what they need, and does nothing else: it has no other threads. Importing takes
    as long as many trials, and memory is shared. To be called in the main thread, before dask
    starts a worker: it dies with the thread that started it.

    Args:
        path: Where modules are found.
        imports: Modules that workers need, besides dask.
    """
    from distributed.utils import get_mp_context

    # That process finds modules as any other does, but not in its working directory.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    os.environ["PYTHONSAFEPATH"] = "1"
    # After the first call, in which dask names modules of its own.
    get_mp_context().set_forkserver_preload([*_IMPORTED_ONCE, *imports])
    # It starts one beside it unless that is there: the child that comes then is the one.
    resource_tracker.ensure_running()
    before = set(psutil.Process().children())
    forkserver.ensure_running()
    (forks,) = set(psutil.Process().children()) - before
    return forks


def quiet() -> None:
    """Silence dask's log in this process: what happens to workers comes back as events."""
    import distributed  # noqa: F401 - importing it sets its loggers up

    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] in _NOISY and isinstance(logger, logging.Logger):
            logger.setLevel(logging.CRITICAL + 1)
