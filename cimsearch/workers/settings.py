"""How dask is set up where it is ours: the local scheduler, its nannies and workers."""

import logging

import dask

_SETTINGS = {
    # A worker that dies takes its attempt with it; whether to try again is not dask's to say.
    "distributed.scheduler.allowed-failures": 0,
    # A worker that is deep in C code cannot say that it lives.
    "distributed.scheduler.worker-ttl": None,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.admin.low-level-log-length": 100,
}

_NOISY = ("distributed", "tornado")


def set_up_dask() -> None:
    """Set dask up in a process that holds a scheduler of ours and its nannies."""
    dask.config.set(_SETTINGS)


def quiet() -> None:
    """Silence dask's log in this process: what happens to workers comes back as events."""
    import distributed  # noqa: F401 - importing it sets its loggers up

    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] in _NOISY and isinstance(logger, logging.Logger):
            logger.setLevel(logging.CRITICAL + 1)
