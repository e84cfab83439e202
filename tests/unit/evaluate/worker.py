"""A worker in a process of its own, forked from one that has only imported what it needs."""

import os
from collections.abc import Mapping
from multiprocessing.connection import Connection

import cimsearch.evaluate.imports  # noqa: F401 - what it would import as it trains
from cimsearch.evaluate import train
from cimsearch.evaluate.report import Report
from cimsearch.evaluate.run import evaluate_json

READY = "ready"


def work(
    jobs: "Connection[str, str]",
    told: "Connection[str, str]",
    environment: Mapping[str, str],
    checkpoint_s: float,
) -> None:
    """Say that it is ready, and evaluate the job that comes: tell each report, then the score."""
    os.environ.update(environment)
    train.CHECKPOINT_S = checkpoint_s

    def tell(report: Report) -> None:
        told.send(report.to_json())

    told.send(READY)
    told.send(evaluate_json(jobs.recv(), tell))
