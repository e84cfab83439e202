"""Jobs that are run once in a process, however many studies ask for them."""

import os

from cimsearch.evaluate.report import OnReport
from cimsearch.workers.shim import run_job

_RESULTS: dict[tuple[bytes, str], bytes] = {}


def run_once(payload: bytes, on_report: OnReport) -> bytes:
    """Return what a job finds. That follows from the job alone, so each is run once.

    Trained and pruned weights are in the cache of the first time: it is run once in each cache.
    """
    asked = payload, os.environ["CIMSEARCH_CACHE"]
    if asked not in _RESULTS:
        _RESULTS[asked] = run_job(payload, on_report)
    return _RESULTS[asked]
