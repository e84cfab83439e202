"""Whether the numerics hold on CIFAR-10: a float gate, and what training through converters gains.

ResNet-8 with the widths of MLPerf Tiny: trained in float, then with 4 bit weights and activations
(first and last layer digital, 8 bit) on arrays of 256 rows, all active. Only training images are
trained on and calibrated with; the test file is only scored on, at L2. The float network trains
with two threads, all else, as in a worker, with one. Needs ``CIMSEARCH_DATA``, a directory with
the Parquet files; fails clearly without it.

Run: ``python benchmarks/cifar10_gates.py``; with ``--parent FILE`` the float network is kept in a
safetensors file for the next time. About two hours. Exit code 1 if a goal is missed.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from time import perf_counter

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from step_time import macro_256, quiet, resnet8

from cimsearch.errors import CimsearchError, ExitCode
from cimsearch.evaluate.calibration import NORM_BATCH
from cimsearch.evaluate.distribution import percentile_5
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread, training_dtype
from cimsearch.evaluate.train import CALIBRATION_IMAGES, NORM_IMAGES
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.seeds import torch_seed
from cimsearch.spec import load_study
from cimsearch.spec.hardware import Macro, RangePolicy
from cimsearch.spec.study import Recipe
from cimsearch.training.accuracy import accuracy, accuracy_of_chips
from cimsearch.training.data import Images, load_part, resolve_path
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData, train_candidate, train_float

FLOAT_GOAL, FLOAT_FLOOR = 0.85, 0.83
MOST_LOST, LEAST_GAINED, NEAR_CHANCE = 0.02, 0.05, 0.20
CHIPS, CHIP_IMAGES = 25, 2000
COLUMN_BITS, LAYER_BITS, FULL_SCALE_BITS = 5, 3, 5
# Two cells of 3 bits make a signed weight of 4, which so errs by sqrt(2) times this: 7.1 %.
NOISY_CELL_BITS, CELL_SIGMA_FRAC = 3, 0.05

FLOAT_THREADS = 2
RECIPE = {"parent_epochs": 200, "parent_lr": 0.3, "qat_lr": 0.05, "weight_decay": 2e-4}
QAT_EPOCHS = 6
# A gate on what is lost to float needs the training to have ended: 6 epochs of 4 bits have not,
# with an ideal converter either.
COLUMN_EPOCHS = 24


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, its goal, and whether that is met."""

    name: str
    found: str
    goal: str
    met: bool

    def __str__(self) -> str:
        return f"{self.name:47} {self.found:48} {self.goal:24} {'met' if self.met else 'MISSED'}"


@dataclass(frozen=True)
class Bench:
    """What the gates share: the images, the recipe, the trained float network, its accuracy."""

    training: TrainingData
    test: Images
    recipe: Recipe
    parent: Network
    parent_accuracy: float

    def untrained(self, macro: Macro, adc_bits: int, policy: RangePolicy) -> Network:
        """Return the 4 bit network at L2, steps and ranges fitted; batch norms know no ADC."""
        generator, blueprint = _generator("untrained"), resnet8().blueprint
        nodes = (replace(n, adc_bits=adc_bits, range_policy=policy) for n in blueprint.nodes)
        network = build(replace(blueprint, nodes=tuple(nodes)), macro, generator=generator)
        inherit(network, self.parent)
        network.calibrate(self.training.sample(CALIBRATION_IMAGES, generator))
        network.set_mode("L2")
        return network

    def trained(
        self, network: Network, *, epochs: int = QAT_EPOCHS, noise_scale: float = 1.0
    ) -> Network:
        """Return ``network``, trained through its hardware, all that is fitted fitted again."""
        generator = _generator("trained")
        network.dtype = training_dtype(network.blueprint.macs)
        recipe = self.recipe.model_copy(update={"noise_scale": noise_scale})
        train_candidate(
            network, self.training, recipe, epochs=epochs, level="L1", generator=generator
        )
        network.dtype = torch.float32
        network.calibrate(self.training.sample(CALIBRATION_IMAGES, generator))
        network.set_mode("L2")
        return self.fit_norms(network)

    def fit_norms(self, network: Network) -> Network:
        """Return ``network`` with batch norms fitted to its present mode."""
        sample = self.training.sample(NORM_IMAGES, _generator("norms"))
        recalibrate_norms(network, torch.split(sample, NORM_BATCH))
        return network

    def score(self, network: Network) -> float:
        """Return the accuracy on the whole test file."""
        return accuracy(network, self.test, self.training.data)


def noisy_macro() -> Macro:
    """Return the macro of 256 rows with noisy pairs of multi-level cells."""
    macro = quiet(macro_256())
    array = macro.array.model_copy(update={"cell_bits": NOISY_CELL_BITS})
    weights = macro.weights.model_copy(update={"encoding": "differential"})
    noise = macro.noise.model_copy(update={"cell_sigma_frac": CELL_SIGMA_FRAC})
    return macro.model_copy(update={"array": array, "weights": weights, "noise": noise})


def control(bench: Bench) -> Iterator[Row]:
    """A full-scale converter without training fails: the other gates are no matter of course."""
    network = bench.untrained(quiet(macro_256()), FULL_SCALE_BITS, "full_scale")
    found, fitted = bench.score(network), bench.score(bench.fit_norms(network))
    yield Row(
        f"{FULL_SCALE_BITS} bit full-scale ADC, untrained (control)",
        f"{_percent(found)} (batch norms fitted to it: {_percent(fitted)})",
        f"<= {_percent(NEAR_CHANCE)}",
        found <= NEAR_CHANCE,
    )


def column_gate(bench: Bench) -> Iterator[Row]:
    """4 bit training with a converter range of each column loses little against float."""
    network = bench.untrained(quiet(macro_256()), COLUMN_BITS, "column")
    bench.trained(network, epochs=COLUMN_EPOCHS)
    found = bench.score(network)
    # Batch norms that were fitted through a converter do not fit an ideal one.
    network.set_mode("L2", ideal=True)
    ideal = bench.score(bench.fit_norms(network))
    change = found - bench.parent_accuracy
    yield Row(
        f"{COLUMN_BITS} bit column ADC, trained through it",
        f"{_percent(found)}: {_points(change)} to float (ideal ADC {_percent(ideal)})",
        f">= {_points(-MOST_LOST)}",
        change >= -MOST_LOST,
    )


def layer_gate(bench: Bench) -> Iterator[Row]:
    """Training through a coarse converter beats fitting ranges and batch norms alone."""
    network = bench.fit_norms(bench.untrained(quiet(macro_256()), LAYER_BITS, "layer"))
    untrained = bench.score(network)
    gain = bench.score(bench.trained(network)) - untrained
    yield Row(
        f"{LAYER_BITS} bit layer ADC, trained through it",
        f"{_percent(untrained + gain)}: {_points(gain)} to untrained {_percent(untrained)}",
        f">= {_points(LEAST_GAINED)}",
        gain >= LEAST_GAINED,
    )


def noise_gate(bench: Bench) -> Iterator[Row]:
    """Training with the cells' noise beats training without it, on chips that have it."""
    chosen = np.linspace(0, len(bench.test.y) - 1, CHIP_IMAGES).astype(np.int64)
    images, data = Images(bench.test.x[chosen], bench.test.y[chosen]), bench.training.data
    scores = []
    for noise_scale in (0.0, 1.0):
        network = bench.untrained(noisy_macro(), COLUMN_BITS, "column")
        bench.trained(network, noise_scale=noise_scale)
        scores.append(accuracy_of_chips(network, images, data, level="L2", chips=range(CHIPS)))
    for name, statistic in (("mean", fmean), ("5th percentile", percentile_5)):
        clean, noisy = (statistic(values) or 0.0 for values in scores)
        yield Row(
            f"noisy cells, trained with noise: {name}",
            f"{_percent(noisy)}: {_points(noisy - clean)} to without noise {_percent(clean)}",
            "> without noise",
            noisy > clean,
        )


def float_parent(training: TrainingData, recipe: Recipe, file: Path | None) -> tuple[Network, str]:
    """Return the float network and what it took: from ``file``, or trained and put there."""
    generator = _generator("float")
    network = build(resnet8().parent, None, generator=generator)
    if file is not None and file.exists():
        with safe_open(file, framework="pt") as kept:
            network.load_state_dict({name: kept.get_tensor(name) for name in network.state_dict()})
            return network, kept.metadata()["took"]
    started = perf_counter()
    network.dtype = training_dtype(network.blueprint.macs)
    torch.set_num_threads(FLOAT_THREADS)
    train_float(network, training, recipe, generator=generator)
    torch.set_num_threads(1)
    network.dtype = torch.float32
    took = (
        f"{recipe.parent_epochs} epochs, {FLOAT_THREADS} threads, {perf_counter() - started:.0f} s"
    )
    if file is not None:
        state = {name: values.contiguous() for name, values in network.state_dict().items()}
        save_file(state, file, metadata={"took": took})
    return network, took


def report(file: Path | None) -> bool:
    """Print the table and return whether all goals are met."""
    study = load_study("cifar10_resnet8")
    data, path = study.spec.data, resolve_path(study.spec.data, None, beside=None)
    train, rest = (load_part(data, path, part) for part in ("train", "validation"))
    joined = Images(np.concatenate([train.x, rest.x]), np.concatenate([train.y, rest.y]))
    training, recipe = TrainingData(joined, data), study.spec.recipe.model_copy(update=RECIPE)
    parent, took = float_parent(training, recipe, file)
    test = load_part(data, path, "test")
    bench = Bench(training, test, recipe, parent, accuracy(parent, test, data))
    print(f"ResNet-8 (16, 32, 64), CIFAR-10 (JPEG); {fingerprint()}")
    epochs = f"{COLUMN_EPOCHS} epochs (column ADC, no noise) or {QAT_EPOCHS} (all else)"
    print(f"trained on {len(joined.y)} images, 4 bit for {epochs} at L1")
    print(f"scored at L2 on {len(test.y)} test images, {CHIPS} chips on {CHIP_IMAGES} of them")
    found = f"{_percent(bench.parent_accuracy)} ({took})"
    goal = f">= {_percent(FLOAT_GOAL)} (floor {_percent(FLOAT_FLOOR)})"
    rows = [Row("float", found, goal, bench.parent_accuracy >= FLOAT_GOAL)]
    print(rows[0], flush=True)
    for gate in (control, column_gate, layer_gate, noise_gate):
        started = perf_counter()
        for row in gate(bench):
            rows.append(row)
            print(row, flush=True)
        print(f"  ({perf_counter() - started:.0f} s)", flush=True)
    return all(row.met for row in rows)


def main() -> int:
    """Print the report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parent", type=Path, help="safetensors file of the float network")
    file = parser.parse_args().parent
    keep_freed_memory()
    try:
        with one_thread():
            return ExitCode.OK if report(file) else ExitCode.FAILED
    except CimsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _generator(what: str) -> torch.Generator:
    return torch.Generator().manual_seed(torch_seed("cifar10_gates", what))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.1f} points"


if __name__ == "__main__":
    sys.exit(main())
