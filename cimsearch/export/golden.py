"""Golden vectors: real inputs of every tile, and what it makes of them without any error.

Of the first copy of every tile T (its number in the mapping plan)::

    T/inputs        input codes (vectors, groups, rows) of the tile's rows, int32
    T/cells         levels of its cells, (rows, columns) of the array that it uses, uint8 or uint16
    T/columns       column of the array of each line, (lines,), int32
    T/partial_sums  ideal sums (vectors, row groups, planes, lines), int32, or float64 where level
                    0 of a cell counts
    T/codes         expected converter codes, of that shape, int32; none in a digital macro

Row groups are those of the mapping plan: of those without weights there are no sums and no codes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.cim import CimLayer
from cimsearch.cim.accumulator import accumulated, register_of
from cimsearch.cim.bitserial import convolve
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.level2 import Chip, ideal_cells, pack_layer
from cimsearch.cim.quantise import activation_codes
from cimsearch.cost.plan import Placement
from cimsearch.export.tiles import (
    Floats,
    Ints,
    Layer,
    cells_of,
    codes_of_sums,
    line_ranges,
    lines_of,
    partial_sums,
    vector_geometry,
)
from cimsearch.networks import Network

GOLDEN = "golden.safetensors"
VECTORS = 4
"""Input vectors of a tile, each of an image of its own."""

_BYTE = 255

DESCRIPTION = {
    "inputs": "input codes (vectors, groups, rows): the tile's weight rows of windows of training "
    "images, as the layer gets them on a chip without noise",
    "cells": "levels of the tile's cells (rows, columns), from the array's row rows[0] and column "
    "columns[0] of the mapping plan",
    "columns": "the array's column of each line (lines); with encoding differential a line reads "
    "two columns, this one and the next, and subtracts",
    "partial_sums": "ideal sums (vectors, row groups, planes, lines), in units of one cell level "
    "times one input step; planes from the least significant",
    "codes": "expected converter codes of that shape: clip(rint((sum - lo) / lsb), 0, "
    "2**adc_bits - 1), ties to even; none in a digital macro",
}
"""What each tensor of a tile is."""


def input_vectors(network: Network, images: Tensor) -> dict[str, Tensor]:
    """Return input codes of windows, by layer: (vectors, groups, rows), float32.

    Of every second image the window with the largest sum of codes, of the others the middle one,
    as they reach the layer on a chip without noise.

    Args:
        network: Calibrated; its mode and chip are changed.
        images: Training images (n, c, h, w), normalised; the first ``VECTORS`` are used.
    """
    found: dict[str, Tensor] = {}

    def keep(layer: CimLayer, inputs: tuple[Tensor]) -> None:
        codes = activation_codes(inputs[0], layer.x_scale, layer.numerics.x_limits)
        found[layer.name] = _windows(codes, layer.geometry)

    hooks = [layer.register_forward_pre_hook(keep) for layer in network.cim_layers()]
    network.eval()
    network.set_mode("L2", noise_scale=0.0)
    network.set_chip(0)
    try:
        with torch.no_grad():
            network(images[:VECTORS])
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _windows(codes: Tensor, geometry: Geometry) -> Tensor:
    """Return a window of each image: (images, groups, rows)."""
    windows = functional.unfold(
        codes.float(), geometry.kernel, padding=geometry.padding, stride=geometry.stride
    )
    middle, fullest = windows.shape[2] // 2, windows.sum(dim=1).argmax(dim=1).tolist()
    chosen = [middle if image % 2 else place for image, place in enumerate(fullest)]
    picked = torch.stack([each[:, place] for each, place in zip(windows, chosen, strict=True)])
    return picked.view(len(codes), geometry.groups, -1)


def golden_tensors(
    plan: Sequence[Placement], layers: Mapping[str, Layer], vectors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the golden vectors of the first copy of every tile; see the module.

    Args:
        plan: The mapping plan: a tile's number is its place there.
        layers: Those that are in arrays, by name.
        vectors: Input codes of their windows, by name.
    """
    tensors: dict[str, Tensor] = {}
    for tile, place in enumerate(plan):
        if place.copy == 0:
            made = _of_tile(place, layers[place.layer], vectors[place.layer])
            tensors |= {f"{tile}/{name}": values for name, values in made.items()}
    return tensors


def _of_tile(place: Placement, layer: Layer, vectors: Tensor) -> dict[str, Tensor]:
    cells = cells_of(place, layer)
    sums = partial_sums(place, layer, vectors)
    inputs = vectors[:, slice(*place.group), slice(*place.weight_rows)]
    level = np.uint8 if cells.max(initial=0) <= _BYTE else np.uint16
    whole = layer.numerics.leakage == 0
    found = {
        "inputs": inputs.to(torch.int32).contiguous(),
        "cells": torch.from_numpy(cells.astype(level)),
        "columns": _int32(lines_of(place, layer.numerics).columns),
        "partial_sums": _int32(sums) if whole else torch.from_numpy(sums),
    }
    if layer.ranges is not None:
        found["codes"] = _int32(codes_of_sums(place, layer, sums))
    return found


def _int32(values: Ints | Floats) -> Tensor:
    return torch.from_numpy(values.astype(np.int32))


def product_of_codes(
    plan: Iterable[Placement], layer: Layer, vectors: Tensor, codes: Iterable[Ints]
) -> Tensor:
    """Return a layer's product that follows from its tiles' codes: (vectors, outputs), float64.

    Args:
        plan: The layer's tiles, of one copy.
        layer: The layer, on an analog macro.
        vectors: Input codes of whole windows, (vectors, groups, rows).
        codes: Converter codes of each tile, (vectors, row groups, planes, lines).
    """
    numerics = layer.numerics
    total = torch.zeros(len(vectors), len(layer.codes), dtype=torch.float64)
    planes = np.array(numerics.plane_weights, dtype=np.float64)
    weights = np.array(numerics.slice_weights, dtype=np.float64)
    for place, of_tile in zip(plan, codes, strict=True):
        lines = lines_of(place, numerics)
        lo, lsb = line_ranges(place, layer)
        values = (of_tile * lsb[:, None] + lo[:, None]).sum(axis=1)
        signed = weights[lines.slices] * np.where(lines.halves, -1.0, 1.0)
        of_lines = torch.from_numpy((values * planes[:, None]).sum(axis=1) * signed)
        outputs = torch.from_numpy(lines.groups * layer.outputs + lines.outputs)
        total.index_add_(1, outputs, of_lines)
    if layer.ranges is not None:
        register = register_of(numerics.accumulator, layer.ranges.lsb)
        total = total if register is None else accumulated(total, register)
    rows = vectors.double()
    for start, stop in layer.geometry.skipped:
        rows[:, :, start:stop] = 0
    inputs = rows.sum(dim=2).repeat_interleave(layer.outputs, dim=1)
    return total - numerics.correction * inputs


def engine_product(layer: Layer, vectors: Tensor) -> Tensor:
    """Return what the exact engine makes of the same without any error, in float64."""
    if layer.ranges is None:
        raise ValueError(f"{layer.name}: has no converters")
    ideal = ideal_cells(layer.codes, layer.numerics) + layer.numerics.leakage
    geometry = vector_geometry(layer.geometry)
    packed = pack_layer(Chip(ideal, noise_scale=0.0), layer.numerics, geometry, layer.ranges)
    return convolve(vectors.flatten(1)[:, :, None, None], packed, geometry)[:, :, 0, 0].double()


def description(plan: Sequence[Placement], layers: Mapping[str, Layer]) -> dict[str, Any]:
    """Return what the golden vectors are, as plain data."""
    return {
        "schema": "cimsearch/export_golden/1",
        "file": GOLDEN,
        "tensors": DESCRIPTION,
        "order": "tensors are named TILE/NAME, TILE being the tile's number in mapping.json; "
        "lines are in order of group, output, bit slice (the least significant first), side",
        "tiles": [
            {
                "tile": tile,
                "layer": place.layer,
                "planes": list(layers[place.layer].numerics.plane_weights),
                "slices": list(layers[place.layer].numerics.slice_weights),
                "adc_bits": layers[place.layer].numerics.adc_bits,
            }
            for tile, place in enumerate(plan)
            if place.copy == 0
        ],
    }
