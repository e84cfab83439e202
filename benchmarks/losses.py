"""What each extra loss of a recipe does, one at a time, on CIFAR-10: an ablation.

ResNet-8 with the widths of MLPerf Tiny, from one trained float network: each setting is trained
for one epoch on a part of the training images, with and without one loss, from the same seeds, and
scored at L2 on test images over several chips. Each loss is on the macro that it is for: noisy
cells, weights of 2 bits, a coarse converter. Needs ``CIMSEARCH_DATA``, a directory with the
Parquet files; fails clearly without it.

Run: ``python benchmarks/losses.py --parent FILE``; FILE is a safetensors file with the float
network, which is trained and put there if it is missing. ``--only TEXT`` takes what has TEXT in
"setting: loss".
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter
from typing import Any

import numpy as np
import torch
from cifar10_gates import RECIPE as GATES_RECIPE
from cifar10_gates import float_parent
from loss_settings import Setting, settings

from cimsearch.cost.report import estimate, node_statistics
from cimsearch.errors import CimsearchError, ExitCode
from cimsearch.evaluate.calibration import NORM_BATCH
from cimsearch.evaluate.distribution import percentile_5
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread, training_dtype
from cimsearch.evaluate.train import CALIBRATION_IMAGES, NORM_IMAGES
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.seeds import torch_seed
from cimsearch.spec import load_study
from cimsearch.spec.study import Recipe
from cimsearch.training.accuracy import accuracy_of_chips
from cimsearch.training.data import Images, load_part, resolve_path
from cimsearch.training.losses.bits import on_macro
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData, train_candidate

CHIPS = 20
MEASURED_IMAGES = 256
"""Training images that what a loss is for is measured on."""


@dataclass(frozen=True)
class Found:
    """What one training gave: accuracies of chips, energy in pJ, ones, and what is measured."""

    accuracies: tuple[float, ...]
    energy_pj: float
    cells_pj: float
    density_frac: float
    measured: dict[str, float]


@dataclass(frozen=True)
class Bench:
    """What all trainings share; ``test`` are the images that chips are scored on."""

    training: TrainingData
    test: Images
    recipe: Recipe
    parent: Network

    def run(self, setting: Setting, losses: dict[str, Any], seed: int) -> Found:
        """Train a network with losses for an epoch, and measure it.

        Order, augmentation and noise are those of the seed alone, whatever the losses.
        """
        generator = torch.Generator().manual_seed(torch_seed("losses", setting.name, seed))
        network = build(setting.blueprint, setting.hardware.macro, generator=generator)
        inherit(network, self.parent)
        network.calibrate(self.training.sample(CALIBRATION_IMAGES, generator))
        network.dtype = training_dtype(network.blueprint.macs)
        recipe = Recipe.model_validate(dict(self.recipe) | {"losses": losses})
        train_candidate(network, self.training, recipe, epochs=1, level="L1", generator=generator)
        network.dtype = torch.float32
        measured = _measured(setting, network, self.training.sample(MEASURED_IMAGES, generator))
        network.calibrate(self.training.sample(CALIBRATION_IMAGES, generator))
        network.set_mode("L2")
        sample = self.training.sample(NORM_IMAGES, generator)
        recalibrate_norms(network, torch.split(sample, NORM_BATCH))
        noise = setting.hardware.macro.noise
        chips = range(CHIPS if noise.cell_sigma_frac or noise.adc_sigma_frac else 1)
        accuracies = accuracy_of_chips(
            network, self.test, self.training.data, level="L2", chips=chips
        )
        return _priced(setting, network, accuracies, measured)


def _measured(setting: Setting, network: Network, images: torch.Tensor) -> dict[str, float]:
    network.set_mode("L1")
    network.train()
    found = {name: measure(network, images) for name, measure in setting.measures.items()}
    network.eval()
    return found


def _priced(
    setting: Setting,
    network: Network,
    accuracies: tuple[float, ...],
    measured: dict[str, float],
) -> Found:
    """Return a result with the energy at measured activity and density."""
    activity, density = network.statistics()
    statistics = node_statistics(setting.blueprint, activity, density)
    cost = estimate(setting.blueprint, setting.hardware, statistics)
    layers = on_macro(network)
    weights = [layer.weight.numel() for layer in layers]
    ones = [density[layer.name] * n for layer, n in zip(layers, weights, strict=True)]
    by_ones = ("cells", "adder_tree")
    cells_pj = sum(cost.components.get(name, 0.0) for name in by_ones)
    return Found(accuracies, cost.energy_pj, cells_pj, sum(ones) / sum(weights), measured)


def report(bench: Bench, seeds: int, only: str) -> None:
    """Print a table of every setting: what each loss changes against none, seed by seed."""
    for setting in settings():
        wanted = {
            name: entry
            for name, entry in setting.losses.items()
            if only in f"{setting.name}: {name}"
        }
        if not wanted:
            continue
        print(f"\n{setting.name}\n", flush=True)
        columns = ["loss", "accuracy", "change", "5th percentile", "change", "ones", "uJ"]
        columns += ["of ones, uJ", *setting.measures, "s"]
        print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
        plain: list[Found] = []
        none: dict[str, dict[str, Any]] = {"none": {}}
        for name, losses in (none | wanted).items():
            started = perf_counter()
            found = [bench.run(setting, losses, seed) for seed in range(seeds)]
            plain = plain or found
            cells = [name, *_cells(found, plain, setting), f"{perf_counter() - started:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


def _cells(found: list[Found], plain: list[Found], setting: Setting) -> Iterator[str]:
    for statistic in (fmean, percentile_5):
        # Several chips have a 5th percentile, one has none.
        ours, theirs = ([statistic(f.accuracies) or 0.0 for f in some] for some in (found, plain))
        yield f"{100 * fmean(ours):.1f} %" if any(ours) else ""
        changes = [a - b for a, b in zip(ours, theirs, strict=True)]
        yield _change(changes) if any(changes) else ""
    yield f"{fmean(f.density_frac for f in found):.3f}"
    yield f"{fmean(f.energy_pj for f in found) / 1e6:.4g}"
    yield f"{fmean(f.cells_pj for f in found) / 1e6:.4g}"
    for name in setting.measures:
        yield f"{fmean(f.measured[name] for f in found):.3g}"


def _change(points: list[float]) -> str:
    """Return the mean change with its standard error over seeds, in points."""
    error = f" +- {100 * stdev(points) / len(points) ** 0.5:.1f}" if len(points) > 1 else ""
    return f"{100 * fmean(points):+.1f}{error}"


def bench_of(file: Path | None, images: int, test_images: int) -> Bench:
    """Return the data and the float network: from ``file``, or trained and put there."""
    study = load_study("cifar10_resnet8")
    data, path = study.spec.data, resolve_path(study.spec.data, None, beside=None)
    train, rest = (load_part(data, path, part) for part in ("train", "validation"))
    joined = Images(np.concatenate([train.x, rest.x]), np.concatenate([train.y, rest.y]))
    recipe = study.spec.recipe.model_copy(update=GATES_RECIPE)
    parent, took = float_parent(TrainingData(joined, data), recipe, file)
    parent.eval()
    print(f"float network: {took}; {fingerprint()}")
    few, test = _spread(joined, images), _spread(load_part(data, path, "test"), test_images)
    return Bench(TrainingData(few, data), test, recipe, parent)


def _spread(images: Images, count: int) -> Images:
    """Return ``count`` images, evenly spread."""
    chosen = np.linspace(0, len(images.y) - 1, count).astype(np.int64)
    return Images(images.x[chosen], images.y[chosen])


def main() -> int:
    """Print the report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parent", type=Path, help="safetensors file of the float network")
    parser.add_argument("--images", type=int, default=10_000, help="training images")
    parser.add_argument("--test-images", type=int, default=1000, help="that a chip is scored on")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each")
    parser.add_argument("--only", default="", help="part of 'setting: loss'")
    given = parser.parse_args()
    keep_freed_memory()
    try:
        with one_thread():
            bench = bench_of(given.parent, given.images, given.test_images)
            print(
                f"{given.images} training images, 1 epoch at L1, {given.seeds} seeds; scored at "
                f"L2 on {CHIPS} chips and {given.test_images} test images"
            )
            report(bench, given.seeds, given.only)
    except CimsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
