"""What a step of partial sums for each column gains over one a layer, without any training.

ResNet-8 with the widths of MLPerf Tiny on CIFAR-10: weights and activations of 4 bits, first and
last layer in the digital unit, arrays of 256 rows that are all active. Inputs are applied and
weights stored whole, so that a partial sum is that of the products themselves; no noise.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cimsearch.errors import DataError
from cimsearch.evaluate.machine import one_thread, training_dtype
from cimsearch.evaluate.train import CALIBRATION_IMAGES
from cimsearch.networks import Network, build
from cimsearch.seeds import torch_seed
from cimsearch.space import Candidate, Space
from cimsearch.spec import load_hardware, load_space_spec, load_study
from cimsearch.spec.hardware import Macro, RangePolicy
from cimsearch.spec.study import Recipe
from cimsearch.training.accuracy import accuracy
from cimsearch.training.checkpoint import Course
from cimsearch.training.data import Images, load_part, resolve_path
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData, train_float

BITS, ADC_BITS, ROWS = 4, 3, 256
TEST_IMAGES = 2000
RECIPE = Recipe(batch=256, parent_epochs=3, parent_lr=0.3, qat_lr=0.05)

OnEpoch = Callable[[int, int], None]
"""Called with the epochs of float training that are done, and all of them."""


@dataclass(frozen=True, slots=True)
class StepAccuracies:
    """Accuracy on the same test images, shares.

    Attributes:
        images: How many.
        parent: Of the float network.
        ideal: Quantised, with converters that tell every partial sum.
        column: With a step of its own for each column and row tile.
        layer: With one step a layer.
    """

    images: int
    parent: float
    ideal: float
    column: float
    layer: float


def step_accuracies(data: str | None, parent: Path | None, *, on_epoch: OnEpoch) -> StepAccuracies:
    """Return the accuracies with steps of partial sums a column and a layer, of 3 bits.

    Args:
        data: Directory of CIFAR-10 as Parquet files, or None for ``CIMSEARCH_DATA``.
        parent: Safetensors file of the trained float network; trained for three epochs, and put
            there, if there is none yet. None trains it and keeps it nowhere.
        on_epoch: Hears of the training.

    Raises:
        DataError: The data is missing or not CIFAR-10, or the file is not of this network.
    """
    spec = load_study("cifar10_resnet8").spec.data
    path = resolve_path(spec, data, beside=None)
    training = TrainingData(load_part(spec, path, "train"), spec)
    test = _spread(load_part(spec, path, "test"))
    with one_thread():
        network = _parent(training, parent, on_epoch)

        def quantised(adc_bits: int, policy: RangePolicy, *, ideal: bool = False) -> float:
            made = _quantised(network, training, adc_bits, policy)
            made.set_mode("L1", ideal=ideal)
            return accuracy(made, test, spec)

        return StepAccuracies(
            images=len(test.y),
            parent=accuracy(network, test, spec),
            ideal=quantised(ADC_BITS, "column", ideal=True),
            column=quantised(ADC_BITS, "column"),
            layer=quantised(ADC_BITS, "layer"),
        )


def resnet8() -> Candidate:
    """Return ResNet-8 of widths 16, 32 and 64 with nothing pruned."""
    space = Space(load_space_spec("resnet8"))
    values: dict[str, int | float | str] = {
        gene.name: 0.0 if gene.name.endswith("prune_ratio") else BITS for gene in space.genes
    }
    widths = {"stage0.width": 16, "stage1.width": 32, "stage2.width": 64}
    return space.decode(space.encode(values | widths))


def macro() -> Macro:
    """Return a macro without noise: 256 rows, inputs and magnitudes of weights in one piece."""
    stated = load_hardware("macros/yu_cicc_2020").macro
    shape = {"rows": ROWS, "active_rows": ROWS, "cell_bits": BITS - 1}
    return stated.model_copy(
        update={
            "array": stated.array.model_copy(update=shape),
            "input": stated.input.model_copy(update={"dac_bits": BITS}),
            "weights": stated.weights.model_copy(update={"encoding": "differential"}),
            "noise": type(stated.noise)(),
        }
    )


def _spread(images: Images) -> Images:
    """Return ``TEST_IMAGES`` of the images, evenly spread."""
    count = min(TEST_IMAGES, len(images.y))
    chosen = np.linspace(0, len(images.y) - 1, count).astype(np.int64)
    return Images(images.x[chosen], images.y[chosen])


def _parent(training: TrainingData, file: Path | None, on_epoch: OnEpoch) -> Network:
    """Return the float network: from ``file``, or trained and put there."""
    generator = _generator("float")
    network = build(resnet8().parent, None, generator=generator)
    if file is not None and file.exists():
        _read(network, file)
        return network

    def report(epoch: int, _accuracy: float, _state: object) -> None:
        on_epoch(epoch, RECIPE.parent_epochs)

    network.dtype = training_dtype(network.blueprint.macs)
    course = Course(begin=None, after_epoch=report)
    train_float(network, training, RECIPE, generator=generator, course=course)
    network.dtype = torch.float32
    if file is not None:
        save_file({name: v.contiguous() for name, v in network.state_dict().items()}, file)
    return network


def _read(network: Network, file: Path) -> None:
    """Load the weights of ``network`` from a safetensors file."""
    try:
        network.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{file}: found no weights of ResNet-8 with the widths 16, 32 and 64 "
            f"({str(error).splitlines()[0]})",
            "name a file that does not exist yet: it is then made",
        ) from error
    network.check_finite()
    network.eval()


def _quantised(
    parent: Network, training: TrainingData, adc_bits: int, policy: RangePolicy
) -> Network:
    """Return the quantised network with the filters of ``parent``, steps fitted to images."""
    generator, blueprint = _generator("quantised"), resnet8().blueprint
    nodes = tuple(
        replace(node, adc_bits=adc_bits, range_policy=policy) if node.placement == "cim" else node
        for node in blueprint.nodes
    )
    network = build(replace(blueprint, nodes=nodes), macro(), generator=generator)
    inherit(network, parent)
    network.calibrate(training.sample(CALIBRATION_IMAGES, generator))
    return network


def _generator(what: str) -> torch.Generator:
    return torch.Generator().manual_seed(torch_seed("partial_sum_steps", what))
