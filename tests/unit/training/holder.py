"""A process that holds a lock until it is told otherwise: ``python -m ... PATH``."""

import sys
from pathlib import Path

from cimsearch.training.holding import holding

if __name__ == "__main__":
    with holding(Path(sys.argv[1]), wait=True):
        print("held", flush=True)  # noqa: T201
        sys.stdin.readline()
