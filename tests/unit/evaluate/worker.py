"""A worker in a process of its own: ``python -m ... [CHECKPOINT_S]``, a job on stdin.

It prints each report as a line of JSON, then the score.
"""

import sys

from cimsearch.evaluate import train
from cimsearch.evaluate.report import Report
from cimsearch.evaluate.run import evaluate_json


def tell(report: Report) -> None:
    """Print a report."""
    print(report.to_json(), flush=True)  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train.CHECKPOINT_S = float(sys.argv[1])
    print("ready", flush=True)  # noqa: T201
    print(evaluate_json(sys.stdin.read(), tell), flush=True)  # noqa: T201
