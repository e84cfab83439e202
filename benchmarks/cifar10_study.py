"""The CIFAR-10 study that ships: 6 trials of 2 epochs, beside chance and the uniform baselines.

Needs ``CIMSEARCH_DATA``, a directory with the Parquet files; fails clearly without it.
"""

import sys
import tempfile
import time
from pathlib import Path

import cimsearch
from cimsearch.cli.live import LiveProgress
from cimsearch.errors import CimsearchError
from cimsearch.orchestrate.read.baseline_results import BaselineResult
from cimsearch.orchestrate.read.results import TrialResult


def main() -> int:
    """Run the study in a database of its own; print accuracies and their ratio to chance."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as room:
        try:
            result = cimsearch.launch(
                cimsearch.load_study("cifar10_resnet8"),
                storage=f"sqlite:///{Path(room) / 'study.db'}",
                on_progress=LiveProgress(),
            )
        except CimsearchError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
    chance = 1 / result.study.space.classes
    rows: list[tuple[str, TrialResult | BaselineResult]] = [
        (f"trial {trial.number}", trial) for trial in result.front
    ]
    rows += [(baseline.name, baseline) for baseline in result.baselines]
    for name, item in rows:
        accuracy = item.objectives["accuracy"]
        print(
            f"{name:14} {100 * accuracy:5.1f} % ({accuracy / chance:.1f} x chance), "
            f"{item.objectives['energy_pj'] / 1e6:.1f} uJ modelled"
        )
    print(f"{time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
