"""Whether the numerics hold on CIFAR-10: a float gate, and what training through converters gains.

ResNet-8 with the widths of MLPerf Tiny: trained in float, then with 4 bit weights and activations
(first and last layer digital, 8 bit) on arrays of 256 rows, all active. Training images alone are
trained on and calibrated with; the test file is only scored on, at L2. One thread. Needs
``CIMSEARCH_DATA``, a directory with the Parquet files; fails clearly without it.

Run: ``python benchmarks/cifar10_gates.py``, or with ``--parent FILE`` to keep the float network in
a safetensors file and take it from there the next time. About two hours, of which float takes one.
The exit code is 1 if a goal is missed.
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
from step_time import macro_256, resnet8

from cimsearch.blueprint import Blueprint
from cimsearch.errors import CimsearchError, ExitCode
from cimsearch.evaluate.distribution import percentile_5
from cimsearch.evaluate.machine import (
    fingerprint,
    keep_freed_memory,
    one_thread,
    training_dtype,
)
from cimsearch.evaluate.run import CALIBRATION_IMAGES, NORM_BATCH, NORM_IMAGES
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.seeds import torch_seed
from cimsearch.spec import load_study
from cimsearch.spec.hardware import Macro, RangePolicy
from cimsearch.spec.study import DataSpec, Level, Recipe
from cimsearch.training.accuracy import accuracy, accuracy_of_chips
from cimsearch.training.data import Images, load_part, resolve_path
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData, train_candidate, train_float

FLOAT_GOAL, FLOAT_FLOOR = 0.85, 0.83
MOST_LOST, LEAST_GAINED = 0.02, 0.05
NEAR_CHANCE = 0.20
CHIPS, CHIP_IMAGES = 25, 2000
COLUMN_BITS, LAYER_BITS, FULL_SCALE_BITS = 5, 3, 5
# Two cells of 3 bits make a signed weight of 4, which so errs by sqrt(2) times this.
NOISY_CELL_BITS, CELL_SIGMA_FRAC = 3, 0.05

FLOAT_RECIPE = {"batch": 128, "parent_epochs": 90, "parent_lr": 0.3, "weight_decay": 2e-4}
QAT_RECIPE = {"qat_lr": 0.05}
QAT_EPOCHS = 10
QAT_LEVEL: Level = "L1"


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, its goal, and whether that is met."""

    name: str
    found: str
    goal: str
    met: bool

    def __str__(self) -> str:
        return f"{self.name:46} {self.found:42} {self.goal:22} {'met' if self.met else 'MISSED'}"


@dataclass(frozen=True)
class Bench:
    """What the gates share: the images, the recipe, the trained float network, its accuracy."""

    training: TrainingData
    test: Images
    recipe: Recipe
    parent: Network
    parent_accuracy: float

    def network(
        self, macro: Macro, adc_bits: int, policy: RangePolicy, *, noise_scale: float | None
    ) -> Network:
        """Return the 4 bit network with converters and batch norms fitted to training images.

        Args:
            macro: What it runs on.
            adc_bits: Of its converters.
            policy: Of their ranges.
            noise_scale: Of training through the hardware; None: not trained.
        """
        generator = _generator("candidate")
        network = build(_blueprint(adc_bits, policy), macro, generator=generator)
        inherit(network, self.parent)
        network.calibrate(self.training.sample(CALIBRATION_IMAGES, generator))
        if noise_scale is not None:
            network.dtype = training_dtype(network.blueprint.macs)
            train_candidate(
                network,
                self.training,
                self.recipe.model_copy(update={"noise_scale": noise_scale}),
                epochs=QAT_EPOCHS,
                level=QAT_LEVEL,
                generator=generator,
            )
            network.dtype = torch.float32
            network.calibrate(self.training.sample(CALIBRATION_IMAGES, generator))
        network.set_mode("L2")
        self.fit_norms(network)
        return network

    def fit_norms(self, network: Network) -> None:
        """Fit batch norms to a network's present mode."""
        sample = self.training.sample(NORM_IMAGES, _generator("norms"))
        recalibrate_norms(network, torch.split(sample, NORM_BATCH))

    def score(self, network: Network) -> float:
        """Return the accuracy on the whole test file."""
        return accuracy(network, self.test, self.training.data)


def _blueprint(adc_bits: int, policy: RangePolicy) -> Blueprint:
    blueprint = resnet8().blueprint
    nodes = tuple(
        replace(node, adc_bits=adc_bits, range_policy=policy) if node.placement == "cim" else node
        for node in blueprint.nodes
    )
    return replace(blueprint, nodes=nodes)


def _generator(what: str) -> torch.Generator:
    return torch.Generator().manual_seed(torch_seed("cifar10_gates", what))


def clean_macro() -> Macro:
    """Return a macro of 256 rows, all active, with 1 bit cells and no noise."""
    macro = macro_256()
    noise = macro.noise.model_copy(update={"cell_sigma_frac": 0.0, "adc_sigma_frac": 0.0})
    return macro.model_copy(update={"noise": noise})


def noisy_macro() -> Macro:
    """Return that macro with differential pairs of multi-level cells, which err."""
    macro = clean_macro()
    changes = {
        "array": macro.array.model_copy(update={"cell_bits": NOISY_CELL_BITS}),
        "weights": macro.weights.model_copy(update={"encoding": "differential"}),
        "noise": macro.noise.model_copy(update={"cell_sigma_frac": CELL_SIGMA_FRAC}),
    }
    return macro.model_copy(update=changes)


def float_network(
    training: TrainingData, recipe: Recipe, file: Path | None
) -> tuple[Network, str]:
    """Return the float network and the time it took: from ``file``, or trained and put there."""
    generator = _generator("float")
    network = build(resnet8().parent, None, generator=generator)
    if file is not None and file.exists():
        with safe_open(file, framework="pt") as kept:
            state = {name: kept.get_tensor(name) for name in network.state_dict()}
            seconds = kept.metadata()["seconds"]
        network.load_state_dict(state)
        return network.eval(), f"{seconds} s, kept from an earlier run"
    started = perf_counter()
    network.dtype = training_dtype(network.blueprint.macs)
    train_float(network, training, recipe, generator=generator)
    network.dtype = torch.float32
    seconds = f"{perf_counter() - started:.0f}"
    if file is not None:
        state = {name: values.contiguous() for name, values in network.state_dict().items()}
        save_file(state, file, metadata={"seconds": seconds})
    return network, f"{seconds} s"


def column_gate(bench: Bench) -> Iterator[Row]:
    """4 bit training with a converter range of each column loses little against float."""
    network = bench.network(clean_macro(), COLUMN_BITS, "column", noise_scale=1.0)
    found = bench.score(network)
    # Batch norms that were fitted through a converter do not fit an ideal one.
    network.set_mode("L2", ideal=True)
    bench.fit_norms(network)
    ideal = bench.score(network)
    lost = bench.parent_accuracy - found
    yield Row(
        f"{COLUMN_BITS} bit column ADC, trained through it",
        f"{_percent(found)}, {_points(-lost)} to float (ideal ADC {_percent(ideal)})",
        f"loses <= {_points(MOST_LOST)}",
        lost <= MOST_LOST,
    )


def layer_gate(bench: Bench) -> Iterator[Row]:
    """Training through a coarse converter beats fitting ranges and batch norms alone."""
    scores = [
        bench.score(bench.network(clean_macro(), LAYER_BITS, "layer", noise_scale=noise_scale))
        for noise_scale in (None, 1.0)
    ]
    untrained, trained = scores
    yield Row(
        f"{LAYER_BITS} bit layer ADC, trained through it",
        f"{_percent(trained)}, untrained {_percent(untrained)}: {_points(trained - untrained)}",
        f"gains >= {_points(LEAST_GAINED)}",
        trained - untrained >= LEAST_GAINED,
    )


def control(bench: Bench) -> Iterator[Row]:
    """A full-scale converter without training fails: the other gates are no matter of course."""
    network = bench.network(clean_macro(), FULL_SCALE_BITS, "full_scale", noise_scale=None)
    found = bench.score(network)
    yield Row(
        f"{FULL_SCALE_BITS} bit full-scale ADC, untrained (control)",
        f"{_percent(found)}, chance {_percent(1 / network.blueprint.classes)}",
        f"<= {_percent(NEAR_CHANCE)}",
        found <= NEAR_CHANCE,
    )


def noise_gate(bench: Bench) -> Iterator[Row]:
    """Training with the cells' noise beats training without it, on chips that have it."""
    count = len(bench.test.y)
    chosen = np.linspace(0, count - 1, min(CHIP_IMAGES, count)).astype(np.int64)
    images = Images(bench.test.x[chosen], bench.test.y[chosen])
    scores = []
    for noise_scale in (0.0, 1.0):
        network = bench.network(noisy_macro(), COLUMN_BITS, "column", noise_scale=noise_scale)
        scores.append(
            accuracy_of_chips(network, images, bench.training.data, level="L2", chips=range(CHIPS))
        )
    for name, statistic in (("mean", fmean), ("5th percentile", percentile_5)):
        clean, noisy = (statistic(values) or 0.0 for values in scores)
        yield Row(
            f"noisy cells, trained with noise: {name} of {CHIPS} chips",
            f"{_percent(noisy)}, trained without {_percent(clean)}: {_points(noisy - clean)}",
            "more than without",
            noisy > clean,
        )


def float_gate(bench: Bench, took: str) -> Row:
    """Return the row of the float network, which the others start from."""
    return Row(
        f"float, {bench.recipe.parent_epochs} epochs",
        f"{_percent(bench.parent_accuracy)} in {took}",
        f">= {_percent(FLOAT_GOAL)} (floor {_percent(FLOAT_FLOOR)})",
        bench.parent_accuracy >= FLOAT_GOAL,
    )


def prepare(file: Path | None) -> tuple[Bench, str]:
    """Return what the gates need, and how long the float network was trained."""
    study = load_study("cifar10_resnet8")
    data: DataSpec = study.spec.data
    path = resolve_path(data, None, beside=None)
    parts = [load_part(data, path, part) for part in ("train", "validation")]
    images = Images(
        np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
    )
    recipe = study.spec.recipe.model_copy(update=FLOAT_RECIPE | QAT_RECIPE)
    training = TrainingData(images, data)
    parent, took = float_network(training, recipe, file)
    test = load_part(data, path, "test")
    return Bench(training, test, recipe, parent, accuracy(parent, test, data)), took


def report(file: Path | None) -> bool:
    """Print the table and return whether all goals are met."""
    bench, took = prepare(file)
    print(f"ResNet-8 (16, 32, 64), CIFAR-10 (JPEG), one thread; {fingerprint()}")
    print(
        f"trained on {len(bench.training.images.y)} images; scored at L2 on {len(bench.test.y)} test"
    )
    print(f"images, chips on {CHIP_IMAGES} of them; {QAT_EPOCHS} epochs at {QAT_LEVEL}")
    rows = [float_gate(bench, took)]
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
    keep_freed_memory()
    try:
        with one_thread():
            return ExitCode.OK if report(parser.parse_args().parent) else ExitCode.FAILED
    except CimsearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.1f} points"


if __name__ == "__main__":
    sys.exit(main())
