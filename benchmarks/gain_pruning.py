"""Whether pruning by the hardware cost it saves beats pruning by MACs, at equal accuracy.

ResNet-8 with the widths of MLPerf Tiny on CIFAR-10, 4 bit weights and activations on a macro of
the catalogue (first and last layer digital, 8 bit). Of each seed one quantised network is trained
through the hardware; from there it is pruned by every rule, tuned through the hardware after each
round. Rules differ in what importance is divided by, and in nothing else. Accuracy is that of test
images at L1 with all noise, a new chip every 256 images; no test image decides anything, and
nothing is exchanged at the end. Energy at equal accuracy is read off each rule's curve, its points
joined by lines; intervals are Student's t over seeds. Needs ``CIMSEARCH_DATA``, a directory with
the Parquet files; fails clearly without it.

Run: ``python benchmarks/gain_pruning.py``; with ``--parent FILE`` (safetensors) all seeds begin
with one float network, else each trains its own. Some hours; less with fewer ``--images``. Exit
code 1 if pruning by cost does not save more.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import get_args

import torch
from goals import Row, conclude, heading
from safetensors.torch import load_file
from several import interval, spread
from step_time import resnet8

from cimsearch.errors import CimsearchError
from cimsearch.evaluate.machine import keep_freed_memory, one_thread, training_dtype
from cimsearch.networks import Network, build
from cimsearch.seeds import torch_seed
from cimsearch.spec import load_hardware, load_study
from cimsearch.training.accuracy import accuracy
from cimsearch.training.data import Images, load_part, resolve_path
from cimsearch.training.gain import Step, Target, Tuning, prune
from cimsearch.training.gain.orders import Joint, quantised
from cimsearch.training.gain.target import Per
from cimsearch.training.recipe import TrainingData, train_float

LOST = (0.01, 0.02, 0.03, 0.05, 0.1)
"""Accuracy below that of the network that pruning begins with, at which energies are compared."""

HELD_OUT_IMAGES = 1000
RECIPE = {"parent_lr": 0.3, "qat_lr": 0.05, "weight_decay": 2e-4}


@dataclass(frozen=True)
class Point:
    """A network on a curve: accuracy on test images, costs as shares of those of the whole."""

    accuracy: float
    energy_frac: float
    macs_frac: float


@dataclass(frozen=True)
class Task:
    """What one process does: all rules of one seed; see the options of the command line."""

    seed: int
    rules: tuple[Per, ...]
    parent: Path | None
    images: int
    test_images: int
    parent_epochs: int
    quantised_epochs: int
    tuning_epochs: float
    cost_frac: float
    hardware: str


Curves = Mapping[Per, Sequence[Point]]


def curves(task: Task) -> Curves:
    """Return the curve of every rule of a seed."""
    keep_freed_memory()
    with one_thread():
        tuning, test = images_of(task)
        candidate, hardware = resnet8(), load_hardware(task.hardware)
        target = Target(task.cost_frac, exchange=False)
        joint = Joint(candidate, hardware, target, tuning, task.quantised_epochs)
        parent = parent_of(task, tuning)
        generator = generator_of(task.seed, "quantised")
        whole = quantised(parent, candidate, joint, generator, task.quantised_epochs)
        noise, found = generator.get_state(), {}
        for rule in task.rules:
            # Every rule begins with the same network on the same chips.
            generator.set_state(noise)
            found[rule] = _curve(task, rule, joint, whole, test)
        return found


def images_of(task: Task) -> tuple[Tuning, Images]:
    """Return what is trained with, and the images of the test."""
    spec = load_study("cifar10_resnet8").spec
    path = resolve_path(spec.data, None, beside=None)
    train, held_out, test = (
        load_part(spec.data, path, p) for p in ("train", "validation", "test")
    )
    recipe = spec.recipe.model_copy(update=RECIPE | {"parent_epochs": task.parent_epochs})
    tuning = Tuning(
        TrainingData(_first(train, task.images), spec.data),
        _first(held_out, HELD_OUT_IMAGES),
        recipe,
        epochs=task.tuning_epochs,
        dtype=training_dtype(resnet8().parent.macs),
    )
    return tuning, _first(test, task.test_images)


def parent_of(task: Task, tuning: Tuning) -> Network:
    """Return the float network: from the file, or trained."""
    generator = generator_of(task.seed, "parent")
    parent = build(resnet8().parent, None, generator=generator)
    if task.parent is not None:
        parent.load_state_dict(load_file(task.parent))
        return parent.eval()
    parent.dtype = tuning.dtype
    train_float(parent, tuning.training, tuning.recipe, generator=generator)
    parent.dtype = torch.float32
    return parent


def _curve(task: Task, rule: Per, joint: Joint, whole: Network, test: Images) -> list[Point]:
    """Return the whole network and what it is after each round of pruning by a rule."""
    found: list[tuple[Step, float]] = []

    def note(step: Step, network: Network) -> None:
        found.append((step, accuracy(network, test, joint.tuning.training.data)))

    prune(
        whole,
        joint.candidate,
        joint.hardware,
        Target(task.cost_frac, per=rule, exchange=False),
        joint.tuning,
        generator=generator_of(task.seed, "pruned"),
        after_round=note,
    )
    first = found[0][0]
    points = [
        Point(right, step.energy_pj / first.energy_pj, step.macs / first.macs)
        for step, right in found
    ]
    told = "  ".join(f"{p.energy_frac:.2f}: {100 * p.accuracy:.1f}" for p in points)
    print(f"seed {task.seed}, {rule:10} share of energy: accuracy in %  {told}", flush=True)
    return points


def energy_at(curve: Sequence[Point], wanted: float) -> float:
    """Return the least share of the energy at which a curve has an accuracy.

    Points are joined by lines. A curve that ends above the accuracy gives its last point.
    """
    if curve[-1].accuracy >= wanted:
        return curve[-1].energy_frac
    crossings = [curve[0].energy_frac]
    for before, after in pairwise(curve):
        if before.accuracy >= wanted > after.accuracy:
            part = (before.accuracy - wanted) / (before.accuracy - after.accuracy)
            crossings.append(before.energy_frac + part * (after.energy_frac - before.energy_frac))
    return min(crossings)


def rows(found: Mapping[int, Curves], rules: Sequence[Per]) -> Iterator[Row]:
    """Yield what each rule costs at equal accuracy, and whether cost beats MACs."""
    for lost in LOST:
        energies = {
            rule: [energy_at(of[rule], of[rule][0].accuracy - lost) for of in found.values()]
            for rule in rules
        }
        for rule, shares in energies.items():
            low, mean, high = interval(shares)
            name = f"{100 * lost:.0f} points lost, by {rule}: share of the energy"
            yield Row(name, f"{mean:.3f} ({low:.3f} to {high:.3f})")
        saved = [
            1 - cim / macs for cim, macs in zip(energies["cim"], energies["macs"], strict=True)
        ]
        low, mean, high = interval(saved)
        name = f"{100 * lost:.0f} points lost: cim saves more than macs"
        text = f"{100 * mean:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"
        yield Row(name, text, "above 0 %", low > 0)


def verdict(found: Sequence[Row]) -> str:
    """Return in words whether pruning by cost saves more."""
    goals = [row for row in found if row.goal != "-"]
    met = sum(row.met for row in goals)
    if met == len(goals):
        return "pruning by cost saves more energy at equal accuracy than pruning by MACs"
    if met:
        return f"pruning by cost saves more than by MACs at {met} of {len(goals)} accuracies only"
    return "pruning by cost does NOT save more energy at equal accuracy than pruning by MACs"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a task, and how many, can be told."""
    parser.add_argument("--parent", type=Path, help="safetensors file of a float network")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=0, help="training images; 0 for all")
    parser.add_argument("--test-images", type=int, default=0, help="0 for all")
    parser.add_argument("--parent-epochs", type=int, default=60)
    parser.add_argument("--quantised-epochs", type=int, default=10)
    parser.add_argument("--tuning-epochs", type=float, default=0.5, help="after each round")
    parser.add_argument("--cost-frac", type=float, default=0.3, help="of energy: where to stop")
    parser.add_argument("--hardware", default="macros/yu_cicc_2020")
    parser.add_argument("--processes", type=int, default=2)


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", nargs="+", default=list(get_args(Per)), choices=get_args(Per))
    add_options(parser)
    options = vars(parser.parse_args())
    seeds, processes = options.pop("seeds"), options.pop("processes")
    options["rules"] = tuple(dict.fromkeys(("cim", "macs", *options["rules"])))
    heading(__doc__.splitlines()[0], "torch")
    print(f"{seeds} seeds; " + ", ".join(f"{name} {value}" for name, value in options.items()))
    try:
        found = spread(curves, [Task(seed, **options) for seed in range(seeds)], processes)
    except CimsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    table = list(rows({task.seed: of for task, of in found.items()}, options["rules"]))
    code = conclude(table)
    print(f"\n{verdict(table)}")
    return code


def _first(images: Images, count: int) -> Images:
    return Images(images.x[:count], images.y[:count]) if count else images


def generator_of(seed: int, what: str) -> torch.Generator:
    """Return the random stream of what one seed does."""
    return torch.Generator().manual_seed(torch_seed("gain_pruning", seed, what))


if __name__ == "__main__":
    sys.exit(main())
