"""Runs over several seeds: spread over processes, and told as medians."""

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from math import sqrt
from statistics import fmean, stdev
from typing import TypeVar

import numpy as np
from scipy.stats import t as student

Task = TypeVar("Task")
Found = TypeVar("Found")

CONFIDENCE = 0.95


def spread(
    function: Callable[[Task], Found],
    tasks: Sequence[Task],
    processes: int,
    *,
    fresh: bool = False,
) -> dict[Task, Found]:
    """Return what a function finds for each task, in new processes.

    Args:
        function: Of a module.
        tasks: What to run; all differ.
        processes: How many run at a time.
        fresh: Whether each task has a process of its own.
    """
    spawn = multiprocessing.get_context("spawn")
    each = 1 if fresh else None
    with ProcessPoolExecutor(processes, mp_context=spawn, max_tasks_per_child=each) as pool:
        return dict(zip(tasks, pool.map(function, tasks), strict=True))


def median(values: Sequence[float]) -> float:
    """Return the median; infinite if more than half are."""
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float(np.inf) if np.isinf(high) else (low + high) / 2


def number(value: float, digits: int = 0) -> str:
    """Return a number as text: ``never`` if it is infinite."""
    return "never" if np.isinf(value) else f"{value:,.{digits}f}"


def told(values: Sequence[float], digits: int = 0) -> str:
    """Return a median with the least and the most as text."""
    low, middle, high = (number(v, digits) for v in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high})"


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean between the ends of its interval: Student's t, 95 %."""
    mean = fmean(values)
    if len(values) < 2:
        return mean, mean, mean
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    half *= stdev(values) / sqrt(len(values))
    return mean - half, mean, mean + half


def positive(text: str) -> int:
    """Return a whole number of the command line that is 1 or more: seeds, processes, epochs."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {text}; allowed is a whole number from 1")
    return value
