"""Tiles: the parts of layers that arrays hold, the lines they are read by, and their sums.

A line is what one conversion reads: a column of the array, or two of them side by side where a
differential pair is read as one; it is named by the first. Columns and rows are those of the
mapping plan.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimsearch.cim.converter import Ranges
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.slicing import input_plane_values, weight_slice_values
from cimsearch.cost.plan import Placement

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """A layer that is in arrays, as integers.

    Attributes:
        name: Of the node.
        codes: Weight codes (outputs, c / groups, kh, kw), float32.
        numerics: Of the layer.
        geometry: Of the layer.
        ranges: Of its converters; None in a digital macro.
    """

    name: str
    codes: Tensor
    numerics: LayerNumerics
    geometry: Geometry
    ranges: Ranges | None

    @property
    def rows(self) -> int:
        """Rows of the weight matrix of one group."""
        return self.codes[0].numel()

    @property
    def outputs(self) -> int:
        """Outputs of one group."""
        return len(self.codes) // self.geometry.groups


@dataclass(frozen=True)
class Lines:
    """The lines of a tile, in order of their columns; arrays are (lines,).

    Attributes:
        columns: First column of the array that is read.
        groups: Group of the convolution.
        outputs: Output within the group.
        slices: Bit slice.
        halves: 0, or 1 for the negative one of two halves that are converted on their own.
    """

    columns: Ints
    groups: Ints
    outputs: Ints
    slices: Ints
    halves: Ints


def lines_of(place: Placement, numerics: LayerNumerics) -> Lines:
    """Return the lines of a tile."""
    pair = 2 if numerics.encoding.startswith("differential") else 1
    slices, halves = len(numerics.slice_weights), numerics.conversions
    group, output, part, half = np.meshgrid(
        np.arange(*place.group),
        np.arange(*place.outputs),
        np.arange(slices),
        np.arange(halves),
        indexing="ij",
    )
    blocks = (group - place.group[0]) * (place.outputs[1] - place.outputs[0])
    columns = (blocks + output - place.outputs[0]) * (slices * pair) + part * pair + half
    return Lines(
        *(
            each.reshape(-1).astype(np.int64)
            for each in (place.columns[0] + columns, group, output, part, half)
        )
    )


def cells_of(place: Placement, layer: Layer) -> Ints:
    """Return the levels of a tile's cells, (rows, columns) of the array that the tile uses."""
    codes, numerics = layer.codes, layer.numerics
    values = weight_slice_values(codes, numerics)
    if numerics.encoding == "differential":
        values = torch.cat([values.clamp_min(0), (-values).clamp_min(0)])
    sides = values.reshape(*values.shape[:2], layer.geometry.groups, layer.outputs, layer.rows)
    own = sides[:, :, slice(*place.group), slice(*place.outputs), slice(*place.weight_rows)]
    blocks = own.permute(2, 4, 3, 1, 0).flatten(2).numpy().astype(np.int64)
    # Groups of a convolution lie on the array's diagonal.
    count, rows, columns = blocks.shape
    cells = np.zeros((count, rows, count, columns), dtype=np.int64)
    cells[np.arange(count), :, np.arange(count)] = blocks
    return cells.reshape(count * rows, count * columns)


def partial_sums(place: Placement, layer: Layer, vectors: Tensor) -> Floats:
    """Return what ideal cells make of some input vectors: (vectors, row groups, planes, lines).

    In units of one cell level times one input step, without any error; what cells add at level 0
    is in them where it is taken off digitally.

    Args:
        place: The tile.
        layer: Its layer.
        vectors: Input codes of whole windows, (vectors, groups, rows).
    """
    planes = input_plane_values(vectors, layer.numerics).double()
    stored = weight_slice_values(layer.codes, layer.numerics).double() + layer.numerics.leakage
    shape = (*stored.shape[:2], layer.geometry.groups, layer.outputs, layer.rows)
    chosen = slice(*place.group), slice(*place.outputs)
    weights = stored.reshape(shape)[:, :, chosen[0], chosen[1]]
    sums = [
        torch.einsum(
            "pvgk,hsgok->vpgosh", planes[:, :, chosen[0], start:stop], weights[..., start:stop]
        ).flatten(2)
        for start, stop in place.row_groups
    ]
    if not sums:
        # All row groups of the tile are skipped.
        lines = lines_of(place, layer.numerics).columns
        return np.zeros((len(vectors), 0, len(planes), len(lines)))
    found: Floats = torch.stack(sums, dim=1).numpy()
    return found


def codes_of_sums(place: Placement, layer: Layer, sums: Floats) -> Ints:
    """Return the converters' codes for partial sums (..., row groups, planes, lines).

    ``clip(rint((P - lo) / lsb), 0, 2**adc_bits - 1)``, ties to even.
    """
    lo, lsb = line_ranges(place, layer)
    codes = np.rint((sums - lo[:, None]) / lsb[:, None])
    clipped: Ints = np.clip(codes, 0, 2**layer.numerics.adc_bits - 1).astype(np.int64)
    return clipped


def line_ranges(place: Placement, layer: Layer) -> tuple[Floats, Floats]:
    """Return ``lo`` and ``lsb`` of a tile's lines, (row groups, lines) each."""
    if layer.ranges is None:
        raise ValueError(f"{layer.name}: has no converters")
    lines = lines_of(place, layer.numerics)
    groups = [layer.geometry.row_groups.index(part) for part in place.row_groups]
    outputs = lines.groups * layer.outputs + lines.outputs
    shape = (len(layer.geometry.row_groups), len(layer.numerics.slice_weights), len(layer.codes))

    def of_lines(values: Floats) -> Floats:
        whole = np.broadcast_to(values, shape)
        chosen: Floats = whole[np.array(groups, np.intp)[:, None], lines.slices, outputs]
        return chosen

    return of_lines(layer.ranges.lo), of_lines(layer.ranges.lsb)


def vector_geometry(geometry: Geometry) -> Geometry:
    """Return the geometry of windows as vectors: a convolution's rows are channels of 1 x 1."""
    return replace(geometry, kernel=(1, 1), stride=(1, 1), padding=(0, 0))
