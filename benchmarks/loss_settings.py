"""What the ablation of extra losses compares: hardware, bits, losses, and what they are for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from cifar10_gates import noisy_macro
from step_time import quiet, resnet8

from cimsearch.blueprint import Blueprint
from cimsearch.networks import Network
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware, Macro
from cimsearch.training.losses.clean import clean_logits, divergence
from cimsearch.training.losses.overflow import Inputs, overflow
from cimsearch.training.losses.weights import binarisation, kurtosis, peak

CONVERTER_BITS = 5
COARSE_BITS = 3
"""Of one range a layer, for the loss that keeps sums within it."""


Measure = Callable[[Network, torch.Tensor], float]
"""A trained network in training mode, and images, to what a loss is for."""


@dataclass(frozen=True)
class Setting:
    """Hardware and bits on which losses are compared with none.

    Attributes:
        name: What it is called.
        hardware: What it is trained through and priced on.
        blueprint: The quantised network.
        losses: The entries to compare, by name.
        measures: What they are for, by name.
    """

    name: str
    hardware: Hardware
    blueprint: Blueprint
    losses: dict[str, dict[str, Any]]
    measures: dict[str, Measure]


def mean_kurtosis(network: Network, _images: torch.Tensor) -> float:
    """Return the mean over layers of the kurtosis of their weights."""
    return fmean(float(kurtosis(layer.weight.detach())) for layer in network.cim_layers())


def mean_peak(network: Network, _images: torch.Tensor) -> float:
    """Return the mean over layers of the peak of their columns over the rms value."""
    return fmean(float(peak(layer.weight.detach()).mean()) for layer in network.cim_layers())


def moved_nats(network: Network, images: torch.Tensor) -> float:
    """Return how far noise moves the logits: a divergence in nats."""
    with torch.no_grad():
        return float(divergence(network(images), clean_logits(network, images)))


def spread_of_sizes(network: Network, _images: torch.Tensor) -> float:
    """Return the mean over layers of 2 bits of what binarisation lowers."""
    narrow = [layer for layer in network.cim_layers() if layer.numerics.w_bits == 2]
    return fmean(float(binarisation(layer.weight.detach())) for layer in narrow)


def zeros_frac(network: Network, _images: torch.Tensor) -> float:
    """Return the share of the weights of 2 bits that are 0."""
    narrow = [layer for layer in network.cim_layers() if layer.numerics.w_bits == 2]
    codes = [layer.codes_of(layer.weight.detach())[0].flatten() for layer in narrow]
    return float((torch.cat(codes) == 0).float().mean())


def beyond_range(network: Network, images: torch.Tensor) -> float:
    """Return how far sums are beyond the converters' range on the mean, of half the range."""
    inputs = Inputs([layer for layer in network.cim_layers() if layer.converters.row_groups])
    network(images)
    found = [
        float(overflow(layer, x.detach(), 1.0).detach()) for layer, x in inputs.take().items()
    ]
    inputs.close()
    return fmean(found)


def settings() -> Iterator[Setting]:
    """Yield what is compared."""
    digital = load_hardware("macros/chih_isscc_2021")
    analog = load_hardware("macros/yu_cicc_2020")
    sparse = {
        f"bit_sparsity {weight:g}": {"bit_sparsity": {"weight": weight}}
        for weight in (10.0, 100.0)
    }
    yield Setting("two's complement, digital", digital, _blueprint(4, 0, ""), sparse, {})
    yield Setting(
        "pairs of conducting cells",
        load_hardware("macros/yin_ted_2020"),
        _blueprint(4, 0, ""),
        sparse,
        {},
    )
    yield Setting(
        "noisy cells",
        _on(analog, noisy_macro()),
        _blueprint(4, CONVERTER_BITS, "layer"),
        {
            "range_shaping 0.3 kurtosis": {"range_shaping": {"weight": 0.3}},
            "range_shaping 3 peak": {"range_shaping": {"weight": 3.0, "shape": "peak"}},
            "noise_insensitivity 1": {"noise_insensitivity": {"weight": 1.0}},
            "noise_insensitivity 5": {"noise_insensitivity": {"weight": 5.0}},
        },
        {"kurtosis": mean_kurtosis, "peak": mean_peak, "moved, nats": moved_nats},
    )
    yield Setting(
        "weights of 2 bits",
        _on(analog, _with(noisy_macro(), cell_bits=1)),
        _blueprint(2, CONVERTER_BITS, "layer"),
        {
            f"binarisation {weight:g}": {"binarisation": {"weight": weight}}
            for weight in (1.0, 10.0)
        },
        {"spread of sizes": spread_of_sizes, "zeros": zeros_frac},
    )
    yield Setting(
        "coarse converter",
        _on(analog, _with(quiet(noisy_macro()), dac_bits=4)),
        _blueprint(4, COARSE_BITS, "layer"),
        {"adc_overflow 10": {"adc_overflow": {"weight": 10.0}}},
        {"beyond range": beyond_range},
    )


def _on(hardware: Hardware, macro: Macro) -> Hardware:
    return hardware.model_copy(update={"macro": macro})


def _with(macro: Macro, *, cell_bits: int | None = None, dac_bits: int | None = None) -> Macro:
    array, given = macro.array, macro.input
    if cell_bits is not None:
        array = array.model_copy(update={"cell_bits": cell_bits})
    if dac_bits is not None:
        given = given.model_copy(update={"dac_bits": dac_bits, "drive": "pulses"})
    return macro.model_copy(update={"array": array, "input": given})


def _blueprint(w_bits: int, adc_bits: int, policy: str) -> Blueprint:
    """Return ResNet-8 with settings on the layers that are on the macro."""
    blueprint = resnet8().blueprint
    nodes = (
        replace(node, w_bits=w_bits, adc_bits=adc_bits, range_policy=policy)
        if node.placement == "cim"
        else node
        for node in blueprint.nodes
    )
    return replace(blueprint, nodes=tuple(nodes))
