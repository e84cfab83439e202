"""Pruning before, after, or in turns with quantisation: accuracy at equal cost.

The network, data, options and training of ``gain_pruning``; every order begins with the float
network of a seed and ends with a quantised one of at most the cost asked for. All train through
the hardware for as many epochs, and tune as long after each round of pruning: float networks,
but quantised ones where quantisation comes first. Accuracy is that of test images at L1 with all
noise.

Run: ``python benchmarks/gain_orders.py``, ``--parent FILE`` for a float network that exists. No
order is meant to win: the exit code is 1 only if one misses the cost.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gain_pruning import Task, add_options, generator_of, images_of, parent_of
from goals import Row, conclude, heading
from several import interval, spread
from step_time import resnet8

from cimsearch.errors import CimsearchError
from cimsearch.evaluate.machine import keep_freed_memory, one_thread
from cimsearch.spec import load_hardware
from cimsearch.training.accuracy import accuracy
from cimsearch.training.gain import Target
from cimsearch.training.gain.orders import (
    Joined,
    Joint,
    alternating,
    prune_then_quantise,
    quantise_then_prune,
)

ORDERS: dict[str, Callable[..., Joined]] = {
    "prune, then quantise": prune_then_quantise,
    "quantise, then prune": quantise_then_prune,
    "in two turns": alternating,
}

ROUNDING = 1e-9


@dataclass(frozen=True)
class Ended:
    """How an order ended: accuracy on test images, energy as a share of the whole network's."""

    accuracy: float
    energy_frac: float


def orders(task: Task) -> dict[str, Ended]:
    """Return what each order gives for a seed."""
    keep_freed_memory()
    found = {}
    with one_thread():
        tuning, test = images_of(task)
        hardware, target = load_hardware(task.hardware), Target(task.cost_frac)
        joint = Joint(resnet8(), hardware, target, tuning, task.quantised_epochs)
        parent = parent_of(task, tuning)
        for name, order in ORDERS.items():
            joined = order(parent, joint, generator=generator_of(task.seed, "orders"))
            right = accuracy(joined.network, test, tuning.training.data)
            share = joined.energy_pj / joined.pruned[0].history[0].energy_pj
            found[name] = Ended(right, share)
            print(f"seed {task.seed}, {name}: {100 * right:.1f} % at {share:.3f}", flush=True)
    return found


def rows(found: Mapping[int, Mapping[str, Ended]], cost_frac: float) -> Iterator[Row]:
    """Yield the accuracy of each order, and whether it kept the cost."""
    for name in ORDERS:
        ended = [of[name] for of in found.values()]
        low, mean, high = interval([100 * one.accuracy for one in ended])
        yield Row(f"{name}: accuracy", f"{mean:.1f} % ({low:.1f} to {high:.1f} %)")
        most = max(one.energy_frac for one in ended)
        yield Row(
            f"{name}: share of the energy",
            f"{most:.3f}",
            f"<= {cost_frac:g}",
            most <= cost_frac + ROUNDING,
        )


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    options = vars(parser.parse_args())
    seeds, processes = options.pop("seeds"), options.pop("processes")
    heading(__doc__.splitlines()[0], "torch")
    print(f"{seeds} seeds; " + ", ".join(f"{name} {value}" for name, value in options.items()))
    tasks = [Task(seed, ("cim",), **options) for seed in range(seeds)]
    try:
        found = spread(orders, tasks, processes)
    except CimsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return conclude(rows({task.seed: of for task, of in found.items()}, options["cost_frac"]))


if __name__ == "__main__":
    sys.exit(main())
