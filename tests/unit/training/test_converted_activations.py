"""Networks whose activations few-bit converters compute, trained through them."""

import torch

from cimsearch.cim import CimLayer
from cimsearch.networks import build, recalibrate_norms
from cimsearch.spec.data import DigitsData
from cimsearch.spec.recipe import Recipe
from cimsearch.training.accuracy import accuracy
from cimsearch.training.data import load_part
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData, train_candidate, train_float
from tests.unit.cim.activating import EVERY, candidate, machine, with_adc_bits

DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
RECIPE = Recipe(batch=64, parent_epochs=3, parent_lr=0.1, qat_lr=0.02)


def test_a_network_of_2_bit_converters_learns() -> None:
    """Its ranges follow the batch norms as they are trained."""
    on, of = machine(*EVERY), candidate("relu")
    training, generator = TrainingData(load_part(DIGITS, None, "train"), DIGITS), _stream(0)
    parent = build(of.parent, None, generator=generator)
    train_float(parent, training, RECIPE, generator=generator)
    network = build(with_adc_bits(of.blueprint, 2), on.macro, generator=_stream(5))
    inherit(network, parent)
    sample = training.sample(256, _stream(1))
    network.calibrate(sample)
    network.set_mode("L1")
    recalibrate_norms(network, [sample])
    held, accuracies = load_part(DIGITS, None, "validation"), []
    accuracies.append(accuracy(network, held, DIGITS))
    before = {layer.name: ranges_of(layer) for layer in network.cim_layers()}
    train_candidate(network, training, RECIPE, epochs=2, level="L1", generator=_stream(2))
    network.set_mode("L1")
    accuracies.append(accuracy(network, held, DIGITS))
    assert accuracies[1] > max(0.75, accuracies[0] + 0.2)
    moved = [not torch.equal(ranges_of(la), before[la.name]) for la in network.cim_layers()]
    assert moved == [layer.activation_ranges is not None for layer in network.cim_layers()]


def _stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ranges_of(layer: CimLayer) -> torch.Tensor:
    return torch.zeros(1) if layer._ranges is None else torch.from_numpy(layer._ranges.lo)
