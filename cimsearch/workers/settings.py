"""How dask is set up where it is ours: the local scheduler, its nannies and workers."""

import logging
from multiprocessing import forkserver

import dask

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

_IMPORTED_ONCE = ("distributed", "cimsearch.workers.preloaded")

_NOISY = ("distributed", "tornado")


def set_up_dask() -> None:
    """Set dask up in a process that holds a scheduler of ours and its nannies.

    Workers are forked from a process that has imported what they need, and does nothing else: it
    has no other threads. Importing takes as long as many trials, and memory is shared.

    To be called in the main thread: the process that is started here dies with its thread.
    """
    from distributed.utils import get_mp_context

    dask.config.set(_SETTINGS)
    # After the first call, in which dask names modules of its own.
    get_mp_context().set_forkserver_preload(list(_IMPORTED_ONCE))
    forkserver.ensure_running()


def quiet() -> None:
    """Silence dask's log in this process: what happens to workers comes back as events."""
    import distributed  # noqa: F401 - importing it sets its loggers up

    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] in _NOISY and isinstance(logger, logging.Logger):
            logger.setLevel(logging.CRITICAL + 1)
