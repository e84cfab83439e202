"""Networks as integers: what of a trained one is written, and the network that is made of it.

Tensors are named after layers. Of each quantised layer::

    LAYER/codes        weight codes (outputs, c / groups, kh, kw), int16
    LAYER/slices/I     levels of bit slice I in the cells, (sides, outputs, rows), uint8 or uint16
    LAYER/w_step       what a weight code stands for, (outputs,), float32
    LAYER/x_step       what an input code stands for, (), float32
    LAYER/adc_lo       partial sum of converter code 0, (row groups, slices, outputs) or ones
    LAYER/adc_lsb      partial sums of one converter code, likewise
    LAYER/clip_power   mean square of what the range cut off in calibration, likewise
    LAYER/l0/PART      what level L0 makes of a product: sigma, gain, bias; only where it was
    LAYER/l1/PART      fitted, and l1 where L1 was too

Of a layer that skips row groups ``LAYER/skipped`` says which of all of its row groups, in order,
hold no weights: (all row groups,), bool. What is said of each row group is of the others.

Where groups of channels of a layer have different bits, ``JOINED/order`` says which channel of its
parts, one after the other, each channel of the layer is: (channels,), int64. Where what waits for
an addition is kept in few bits, ``ADDITION/x_step`` is what a code of it stands for, (), float32.

Sides are two where a weight is the difference of two cells, positive and negative. Everything
else that the network computes with (batch norms, biases, float layers) is ``digital/NAME``, and
the batch norms' statistics for an ideal converter are ``ideal/NAME``.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cim import CimLayer, FloatLayer, QuantisedOperand, numerics_of
from cimsearch.cim.converter import Ranges
from cimsearch.cim.engine import Equivalent
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.skipping import read_rows
from cimsearch.export.cells import slices_of
from cimsearch.export.files import ExportError
from cimsearch.networks import Network
from cimsearch.spec.hardware import Macro

Tensors = Mapping[str, Tensor]

INTEGERS = "integers.safetensors"
"""The file that all of this is in."""

_RANGES = {"adc_lo": "lo", "adc_lsb": "lsb", "clip_power": "clip_power"}
_EQUIVALENT = ("sigma", "gain", "bias")
_STATISTICS = ("running_mean", "running_var")


def network_tensors(network: Network) -> dict[str, Tensor]:
    """Return what is written of a calibrated network, all but the ``ideal/`` statistics."""
    tensors: dict[str, Tensor] = {}
    for node in network.blueprint.nodes:
        layer = network.module(node.name) if node.has_weights else None
        if isinstance(layer, CimLayer):
            named = _layer_tensors(layer, in_cells=node.placement == "cim")
            tensors |= {f"{node.name}/{name}": values for name, values in named.items()}
    tensors |= {f"{o.name}/x_step": torch.tensor(o.x_scale) for o in network.operands()}
    tensors |= {name: order.clone() for name, order in _orders(network).items()}
    rest = _digital(network)
    return tensors | {f"digital/{name}": values.clone() for name, values in rest.items()}


def ideal_tensors(network: Network) -> dict[str, Tensor]:
    """Return the statistics of the batch norms, which were fitted for an ideal converter."""
    return {f"ideal/{name}": v.clone() for name, v in _statistics(network).items()}


def rebuilt(blueprint: Blueprint, macro: Macro, tensors: Tensors) -> Network:
    """Return the network that the integers describe; nothing is trained or calibrated.

    Args:
        blueprint: The network's.
        macro: What it runs on.
        tensors: As they were written.

    Raises:
        ExportError: A tensor is missing, or of another shape or type.
    """
    network = _StoredNetwork(blueprint, macro, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in network.cim_layers():
            if isinstance(layer, _StoredLayer):
                layer.take(tensors)
        for operand in network.operands():
            operand.x_scale = float(tensor(tensors, f"{operand.name}/x_step", ()))
        for name, values in _digital(network).items():
            values.copy_(tensor(tensors, f"digital/{name}", values.shape))
        for name, order in _orders(network).items():
            order.copy_(_permutation(tensors, name, len(order)))
    return network.eval()


@torch.no_grad()
def use_ideal_statistics(network: Network, tensors: Tensors) -> None:
    """Give the batch norms the statistics that were fitted for an ideal converter.

    Raises:
        ExportError: One is missing, or of another shape or type.
    """
    for name, values in _statistics(network).items():
        values.copy_(tensor(tensors, f"ideal/{name}", values.shape))


def tensor(
    tensors: Tensors, name: str, shape: Iterable[int], dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return a tensor of a file.

    Raises:
        ExportError: It is missing, of another shape or type, or not finite.
    """
    found, wanted = tensors.get(name), tuple(shape)
    if found is None:
        raise ExportError(f"{INTEGERS}: {name}: missing")
    if (tuple(found.shape), found.dtype) != (wanted, dtype):
        raise ExportError(
            f"{INTEGERS}: {name}: found {found.dtype} {tuple(found.shape)}; allowed is {dtype} "
            f"{wanted}"
        )
    if not bool(torch.isfinite(found).all()):
        raise ExportError(f"{INTEGERS}: {name}: found NaN or infinity")
    return found


def _layer_tensors(layer: CimLayer, *, in_cells: bool) -> dict[str, Tensor]:
    codes, _, steps = layer.codes_of(layer.weight.detach())
    tensors = {
        "codes": codes.to(torch.int16).contiguous(),
        "w_step": steps.flatten().clone(),
        "x_step": torch.tensor(layer.x_scale),
    }
    if in_cells:
        found = slices_of(codes, layer.numerics)
        tensors |= {f"slices/{index}": levels for index, levels in enumerate(found)}
    if layer.skipped is not None:
        tensors["skipped"] = layer.skipped.clone()
    if layer.numerics.analog:
        tensors |= {
            name: torch.from_numpy(np.array(getattr(layer._ranges, part), dtype=np.float64))
            for name, part in _RANGES.items()
        }
        tensors |= _fitted_tensors(layer)
    return tensors


def _fitted_tensors(layer: CimLayer) -> dict[str, Tensor]:
    """Return what L0 and L1 were fitted to; nothing where a closed form follows from the rest."""
    if not layer._fitted:
        return {}
    return {
        f"{level}/{part}": getattr(fitted, part).clone()
        for level, fitted in (("l0", layer._equivalent), ("l1", layer._beyond))
        if fitted is not None
        for part in _EQUIVALENT
    }


def _digital(network: Network) -> dict[str, Tensor]:
    """Return parameters and statistics that are not of quantised weights, by name."""
    quantisers = (CimLayer, QuantisedOperand)
    found = [name for name, module in network.named_modules() if isinstance(module, quantisers)]
    quantised = tuple(f"{name}.{part}" for name in found for part in ("weight", "learned_"))
    return {
        name: values
        for name, values in network.state_dict().items()
        if values.is_floating_point() and not name.startswith(quantised)
    }


def _orders(network: Network) -> dict[str, Tensor]:
    """Return the order of channels of every join of parts, by the name of its tensor."""
    joins = [node.name for node in network.blueprint.nodes if node.op == "concat"]
    return {f"{name}/order": network.module(name).get_buffer("order") for name in joins}


def _permutation(tensors: Tensors, name: str, channels: int) -> Tensor:
    """Return an order of channels of a file.

    Raises:
        ExportError: It is missing, or does not have each channel once.
    """
    found = tensor(tensors, name, (channels,), torch.int64)
    if not torch.equal(found.sort().values, torch.arange(channels)):
        raise ExportError(f"{INTEGERS}: {name}: allowed is each of {channels} channels once")
    return found


def _statistics(network: Network) -> dict[str, Tensor]:
    return {
        f"{name}.{part}": getattr(norm, part)
        for name, norm in network.named_modules()
        if isinstance(norm, nn.BatchNorm2d)
        for part in _STATISTICS
    }


class _StoredLayer(CimLayer):
    """A quantised layer of integer codes and steps instead of float weights."""

    def take(self, tensors: Tensors) -> None:
        """Take the layer's tensors; see the module."""
        outputs = self.weight.shape[0]
        codes = tensor(tensors, f"{self.name}/codes", self.weight.shape, torch.int16)
        largest, limit = int(codes.int().abs().max()), self.numerics.w_limit
        if largest > limit:
            raise ExportError(
                f"{INTEGERS}: {self.name}/codes: found a magnitude of {largest}; allowed is up to "
                f"{limit}"
            )
        if self.skipped is not None:
            self._take_skipped(tensors, codes)
        self._stored_codes = codes.float().contiguous(memory_format=torch.channels_last)
        steps = tensor(tensors, f"{self.name}/w_step", (outputs,))
        self._stored_steps = steps.view(-1, 1, 1, 1)
        self.weight.copy_(self._stored_codes * self._stored_steps)
        self.x_scale = float(tensor(tensors, f"{self.name}/x_step", ()))
        if self.numerics.analog:
            self._take_ranges(tensors)

    def _take_skipped(self, tensors: Tensors, codes: Tensor) -> None:
        chosen = tensor(tensors, f"{self.name}/skipped", (len(self.geometry.spans),), torch.bool)
        wanted = len(self.geometry.skipped)
        if int(chosen.sum()) != wanted:
            raise ExportError(
                f"{INTEGERS}: {self.name}/skipped: found {int(chosen.sum())} row groups; allowed "
                f"are {wanted}"
            )
        self.skip(chosen)
        read = read_rows(self.geometry, codes.shape[1])
        if read is not None and bool((codes * (read == 0)).any()):
            raise ExportError(
                f"{INTEGERS}: {self.name}/codes: found weights in a row group that is skipped"
            )

    def _take_ranges(self, tensors: Tensors) -> None:
        shape = _range_shape(self.numerics, self.geometry, self.weight.shape[0])
        parts = {
            part: tensor(tensors, f"{self.name}/{name}", shape, torch.float64).numpy()
            for name, part in _RANGES.items()
        }
        self.set_ranges(Ranges(**parts))
        l0, l1 = (self._equivalent_of(tensors, level) for level in ("l0", "l1"))
        if l0 is not None:
            self._equivalent, self._beyond, self._fitted = l0, l1, True

    def _equivalent_of(self, tensors: Tensors, level: str) -> Equivalent | None:
        if f"{self.name}/{level}/sigma" not in tensors:
            return None
        shape = (self.weight.shape[0],)
        return Equivalent(
            *(tensor(tensors, f"{self.name}/{level}/{part}", shape) for part in _EQUIVALENT)
        )

    def codes_of(self, _weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        codes = self._stored_codes
        return codes, torch.ones_like(codes, dtype=torch.bool), self._stored_steps


class _StoredNetwork(Network):
    """A network whose quantised layers are stored ones."""

    def _layer(self, node: Node, macro: Macro | None, generator: torch.Generator) -> FloatLayer:
        numerics = numerics_of(node, macro)
        if numerics is None:
            return super()._layer(node, macro, generator)
        return _StoredLayer(node, numerics, generator=generator)


def _range_shape(
    numerics: LayerNumerics, geometry: Geometry, outputs: int
) -> tuple[int, int, int]:
    """Return the shape of a layer's converter ranges: one, or one a row group, slice, output."""
    if numerics.range_policy != "column":
        return (1, 1, 1)
    return (len(geometry.row_groups), len(numerics.slice_weights), outputs)
