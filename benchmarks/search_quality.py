"""How many trainings the search saves, beside Optuna's samplers in the same run.

Four parts, each over several seeds, medians with the least and the most. Seeds are from 100 on:
the settings of the search were chosen on seeds below.

- ``table``: a whole space is evaluated (``benchmarks/tables/digits.npz``), and searches on it are
  replayed: how many candidates are trained until the front has 99 % of the exact hypervolume;
- ``problems``: mixed DTLZ2 and mixed ZDT1 with nothing known before an evaluation;
- ``rungs``: on the table, training epochs until the front has a share of the exact hypervolume,
  with successive halving and with every candidate trained in full;
- ``scale``: what a proposal takes while a study grows to 10,000 trials, and memory. One seed.

What the searches may know, and from which reference points hypervolumes are measured, is told in
``search_replay.py`` and ``search_problems.py``.

Run: ``python benchmarks/search_quality.py``; see ``--help`` for parts of it. Exit code 1 if a goal
is missed.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from goals import Row, conclude, heading
from search_problem_rows import problem_rows
from search_scale_rows import scale_rows
from search_table_rows import rung_rows, table_rows

from cimsearch.errors import CimsearchError

TABLE = Path(__file__).parent / "tables" / "digits.npz"
FIRST_SEED = 100
PARTS = ("table", "problems", "rungs", "scale")


def rows(parts: Sequence[str], table: Path, seeds: range, processes: int) -> Iterator[Row]:
    """Return the table of the parts that are wanted."""
    if "table" in parts:
        yield from table_rows(table, seeds, processes)
    if "problems" in parts:
        yield from problem_rows(seeds, processes)
    if "rungs" in parts:
        yield from rung_rows(table, seeds, processes)
    if "scale" in parts:
        yield from scale_rows(processes)


def main() -> int:
    """Print the report; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seeds", type=int, default=7, help="how many; default: 7")
    parser.add_argument(
        "--first-seed",
        type=int,
        default=FIRST_SEED,
        help=f"default: {FIRST_SEED}; settings were chosen on seeds below",
    )
    parser.add_argument("--processes", type=int, default=1, help="searches at a time; default: 1")
    parser.add_argument(
        "--table", type=Path, default=TABLE, help="from: cimsearch bench build-table"
    )
    given = parser.parse_args()
    # Searches run in processes of their own, each on one thread.
    os.environ["OMP_NUM_THREADS"] = "1"
    which = f"{given.seeds} seeds from {given.first_seed} on"
    heading(f"Search quality, {which}: median (least to most)", "pymoo", "moocore")
    try:
        seeds = range(given.first_seed, given.first_seed + given.seeds)
        return conclude(rows(given.parts, given.table, seeds, given.processes))
    except CimsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
