"""Calibrating one chip: its converters' ranges and its batch norms, on training images.

A chip tells its codes and nothing else, so a range is judged by its output. Layer after layer, on
the chip's own inputs, the range that was learned, or that fits ideal cells, is scaled by each of
``GAINS``; kept is the one whose output, after the best gain and offset of each channel (those are
the batch norm's to find), is nearest to the exact product. Where every column has a range of its
own, each keeps its own. Steps of inputs and weights stay: the chip was programmed with them.
Not fitted are ranges that end where an activation does, nor the batch norms behind them: their
statistics are those of ideal cells.
"""

from copy import deepcopy
from math import ceil

import numpy as np
import torch
from torch import Tensor, nn

from cimsearch.cim import CimLayer
from cimsearch.cim.calibrate import measure_ranges
from cimsearch.cim.converter import STEPS_PER_UNIT, Floats, Ranges
from cimsearch.cim.engine import Product, exact
from cimsearch.networks import Network, recalibrate_norms
from cimsearch.spec.study import Level

# The first counts where several are equally good.
GAINS = (1.0, *(2 ** (step / 8) for step in range(-8, 5) if step))
RANGE_IMAGES = 64
NORM_BATCH = 256


@torch.no_grad()
def calibrated(network: Network, chip: int, *, level: Level, sample: Tensor) -> Network:
    """Return a copy of ``network`` that is calibrated to a chip, as the macro's file states it.

    At L0 there are no converters: its batch norms alone are fitted.

    Args:
        network: With what was fitted once for all chips; it is left as it is.
        chip: Index of the chip.
        level: Fidelity at which the chip is simulated.
        sample: Training images (n, c, h, w). Ranges are fitted to the first of them, norms to all.
    """
    own = deepcopy(network)
    own.set_mode(level)
    own.set_chip(chip)
    if level != "L0":
        _fit_ranges(own, chip, sample[:RANGE_IMAGES])
    # Noise is that of the first images again, however many the ranges took.
    own.set_chip(chip)
    recalibrate_norms(own, torch.split(sample, NORM_BATCH))
    return own


def _fit_ranges(network: Network, chip: int, images: Tensor) -> None:
    """Fit the ranges of all layers that have some; norms follow the statistics of ``images``."""

    def fit(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        if isinstance(layer, CimLayer):
            _fit_layer(layer, chip, inputs[0])

    fitted = [
        layer
        for layer in network.cim_layers()
        if layer.numerics.analog
        and layer.numerics.range_policy != "full_scale"
        and layer.activation_ranges is None
    ]
    hooks = [layer.register_forward_pre_hook(fit) for layer in fitted]
    try:
        network.train()
        network(images)
    finally:
        for hook in hooks:
            hook.remove()


def _fit_layer(layer: CimLayer, chip: int, x: Tensor) -> None:
    """Set the layer's ranges to those that read its products best."""
    product, _, _ = layer.quantised(x, layer.weight)
    if layer.learned_ranges is not None:
        start = layer.learned_ranges.ranges()
    else:
        start = measure_ranges(product.x, product.w, layer.numerics, layer.geometry)
    wanted = exact(product)
    errors = np.stack(
        [_errors(layer, chip, product, wanted, _scaled(start, gain, layer)) for gain in GAINS]
    )
    if start.lsb.shape[2] == 1:
        errors = errors.sum(axis=1, keepdims=True)
    best = np.array(GAINS)[errors.argmin(axis=0)]
    layer.set_ranges(_scaled(start, best, layer))
    layer.set_chip(chip)


def _errors(
    layer: CimLayer, chip: int, product: Product, wanted: Tensor, ranges: Ranges
) -> Floats:
    """Return the mean squared error of each channel's output with ``ranges``, (outputs,).

    What a gain and an offset of the channel take off is left out.
    """
    layer.set_ranges(ranges)
    # The same noise whatever the ranges.
    layer.set_chip(chip)
    y, p = (
        values.transpose(0, 1).flatten(1).double() for values in (layer.convert(product), wanted)
    )
    y, p = y - y.mean(dim=1, keepdim=True), p - p.mean(dim=1, keepdim=True)
    power = y.square().mean(dim=1)
    common = (y * p).mean(dim=1).square() / power.where(power > 0, torch.ones(()).double())
    errors: Floats = (p.square().mean(dim=1) - common).numpy()
    return errors


def _scaled(ranges: Ranges, gain: float | Floats, layer: CimLayer) -> Ranges:
    """Return ranges times ``gain``, one or one an output, on the grid that ranges lie on."""
    least = ceil(layer.numerics.least_lsb * STEPS_PER_UNIT)
    lsb = np.maximum(np.rint(ranges.lsb * gain * STEPS_PER_UNIT), least) / STEPS_PER_UNIT
    lo = np.rint(ranges.lo * gain / lsb) * lsb
    return Ranges(lo, lsb, ranges.clip_power * np.square(gain))
