"""What morphing gains over a uniform width: the quarter VGG9 on CIFAR-10 in a budget of bitlines.

Arrays of 256 rows, whole kernels, a whole weight in a cell. Four networks a budget, trained for
equally many epochs in float: all widths times one ratio; widths filled up to the budget before any
training; widths morphed from the full network (whose short probing runs come on top); and those
widths again, from initial weights. Stages are scored on the validation split, test images once, at
the end.

Run: ``CIMSEARCH_DATA=DIR python benchmarks/morph.py``; hours. ``--reduced`` trains on 10,000
images for 10 epochs: minutes. A morphed network that is over its budget or uses under 90 % of it
is a goal missed (exit code 1). Accuracy has no goal: the table tells which is ahead.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev
from time import process_time

import torch
from goals import Row, conclude, heading

from cimsearch.blueprint import Blueprint
from cimsearch.cost.budget import ArrayBudget
from cimsearch.errors import CimsearchError
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread, training_dtype
from cimsearch.networks import Network, build
from cimsearch.seeds import torch_seed
from cimsearch.space import Space
from cimsearch.space.fill import USAGE_GOAL, Grid, expand, scaled
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import load_hardware, load_space_spec, load_study
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Recipe
from cimsearch.training.accuracy import accuracy
from cimsearch.training.data import Images, load_part, resolve_path
from cimsearch.training.morph import Bench, Morphing, morph
from cimsearch.training.recipe import TrainingData, train_float

GRID = Grid(step=7, least=14)
FULL = Morphing(rounds=2, shrink_epochs=3, tune_epochs=15, grid=GRID)
REDUCED = Morphing(rounds=1, shrink_epochs=3, tune_epochs=7, probe_steps=40, grid=GRID)
REDUCED_IMAGES = 10_000
PEAK_LR, BATCH = 0.2, 128


@dataclass(frozen=True)
class Data:
    """Images to train on, to choose with, and to score in the end."""

    training: TrainingData
    validation: Images
    test: Images


@dataclass(frozen=True)
class Found:
    """A trained network."""

    blueprint: Blueprint
    accuracy: float
    cpu_s: float


def chip() -> Hardware:
    """Return arrays of 256 x 256 whose cells hold a whole weight of up to 8 bits."""
    hardware = load_hardware("macros/yu_cicc_2020")
    shape = {"rows": 256, "cols": 256, "active_rows": 256, "cell_bits": 8}
    changes = {
        "array": hardware.macro.array.model_copy(update=shape),
        "packing": "whole_kernel",
    }
    return hardware.model_copy(update={"macro": hardware.macro.model_copy(update=changes)})


def quarter_vgg9() -> tuple[Blueprint, Blueprint]:
    """Return the widest network of the space, as it is priced and as it is trained."""
    space = Space(load_space_spec("vgg9_quarter"))
    chosen = {
        gene.name: 0.0 if gene.name.endswith("prune_ratio") else gene.choices[-1]
        for gene in space.genes
    }
    candidate = space.decode(space.encode(chosen))
    return candidate.blueprint, candidate.parent


def load(images: int) -> Data:
    """Return CIFAR-10, with ``images`` to train on (0: all)."""
    spec = load_study("cifar10_resnet8").spec.data
    path = resolve_path(spec, None, beside=None)
    train, validation, test = (load_part(spec, path, p) for p in ("train", "validation", "test"))
    if images:
        train = Images(train.x[:images], train.y[:images])
    return Data(TrainingData(train, spec), validation, test)


def network_of(blueprint: Blueprint, seed: int, what: str) -> tuple[Network, torch.Generator]:
    """Return an untrained float network and its random stream."""
    generator = torch.Generator().manual_seed(torch_seed("morph", what, seed))
    network = build(blueprint, None, generator=generator)
    network.dtype = training_dtype(blueprint.macs)
    return network, generator


def scored(network: Network, data: Data, blueprint: Blueprint, started: float) -> Found:
    """Return a trained network with its accuracy on the test images."""
    cpu_s = process_time() - started
    network.dtype = torch.float32
    return Found(blueprint, accuracy(network, data.test, data.training.data), cpu_s)


def from_scratch(blueprint: Blueprint, data: Data, plan: Morphing, seed: int) -> Found:
    """Return a network of fixed widths, trained as long as a morphed one is."""
    started = process_time()
    float_network = with_widths(quarter_vgg9()[1], widths_of(blueprint))
    network, generator = network_of(float_network, seed, "scratch")
    epochs = round(plan.rounds * (plan.shrink_epochs + plan.tune_epochs))
    train_float(network, data.training, recipe(epochs), generator=generator)
    return scored(network, data, blueprint, started)


def morphed(budget: ArrayBudget, data: Data, plan: Morphing, seed: int) -> Found:
    """Return the morphed network; its stages are printed."""
    started = process_time()
    priced, float_network = quarter_vgg9()
    network, generator = network_of(float_network, seed, "morph")
    bench = Bench(data.training, recipe(1), plan, budget, data.validation, generator)
    result = morph(network, priced, bench)
    for stage in result.history:
        print(
            f"  seed {seed}, round {stage.round} {stage.kind:8} {stage.units:5} bitlines, usage "
            f"{100 * stage.usage_frac:5.1f} %, validation {100 * stage.accuracy:4.1f} %, "
            f"{[*stage.widths.values()]}",
            flush=True,
        )
    return scored(result.network, data, result.blueprint, started)


def recipe(epochs: int) -> Recipe:
    """Return the recipe of all trainings, of ``epochs`` epochs."""
    return Recipe(batch=BATCH, parent_epochs=epochs, parent_lr=PEAK_LR, qat_lr=0.05)


def rows_of(budget: ArrayBudget, data: Data, plan: Morphing, seeds: range) -> Iterator[Row]:
    """Yield the lines of one budget."""
    priced, _ = quarter_vgg9()
    fixed = {
        "uniform width": scaled(priced, budget).blueprint,
        "filled, no training": expand(priced, budget, GRID).blueprint,
    }
    for name, blueprint in fixed.items():
        trained = [from_scratch(blueprint, data, plan, seed) for seed in seeds]
        yield row(f"{budget}, {name}", trained, budget)
    found = [morphed(budget, data, plan, seed) for seed in seeds]
    yield row(f"{budget}, morphed", found, budget, goal=True)
    again = [
        from_scratch(each.blueprint, data, plan, seed)
        for seed, each in zip(seeds, found, strict=True)
    ]
    yield row(f"{budget}, morphed widths from scratch", again, budget)


def row(name: str, found: list[Found], budget: ArrayBudget, *, goal: bool = False) -> Row:
    """Return the line of one method: mean over seeds, and their standard deviation."""
    scores = [100 * each.accuracy for each in found]
    spread = f" +- {stdev(scores):.1f}" if len(scores) > 1 else ""
    usage = min(budget.usage_frac(each.blueprint) for each in found)
    weights = fmean(each.blueprint.weights for each in found)
    cpu_min = fmean(each.cpu_s for each in found) / 60
    text = (
        f"{fmean(scores):.1f}{spread} %, usage {100 * usage:.1f} %, {weights:.0f} weights, "
        f"{cpu_min:.1f} CPU min"
    )
    if not goal:
        return Row(name, text)
    fits = all(budget.units(each.blueprint) <= budget.limit for each in found)
    wanted = f"usage >= {100 * USAGE_GOAL:.0f} %"
    return Row(name, text, wanted, fits and usage >= USAGE_GOAL)


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reduced", action="store_true", help="few images and epochs")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budgets", type=int, nargs="+", default=[512, 1024], metavar="BITLINES")
    asked = parser.parse_args()
    plan, images = (REDUCED, REDUCED_IMAGES) if asked.reduced else (FULL, 0)
    keep_freed_memory()
    try:
        data = load(images)
        heading("Quarter VGG9, CIFAR-10 (JPEG), float: accuracy on the test images", "torch")
        epochs = plan.rounds * (plan.shrink_epochs + plan.tune_epochs)
        print(f"{fingerprint()}; {len(data.training.images.y)} images, {epochs:g} epochs each")
        with one_thread():
            return conclude(
                line
                for limit in asked.budgets
                for line in rows_of(ArrayBudget(limit, chip()), data, plan, range(asked.seeds))
            )
    except CimsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
