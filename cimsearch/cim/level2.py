"""The exact forward product of a quantised layer: L2, every conversion there is."""

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimsearch.cim.accumulator import register_of
from cimsearch.cim.bitserial import Inputs, Packed, convolve, pack
from cimsearch.cim.chain import Chain, chain_of
from cimsearch.cim.columns import ConverterErrors
from cimsearch.cim.converter import Ranges
from cimsearch.cim.engine import Product
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.noise import Noise
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.slicing import weight_slice_values


@dataclass(frozen=True)
class Chip:
    """What a chip makes of one layer's weights.

    Attributes:
        cells: What is stored, in cell levels: (halves, slices, rows, outputs).
        read_power: Variance of its read noise for a unit of input squared, of that shape; None for
            none.
        converters: Errors of its converters; None for none.
        noise_scale: Factor on its converters' errors and on fresh noise.
        coarse: Whether errors of cells may be rounded a little, for speed.
    """

    cells: Tensor
    read_power: Tensor | None = None
    converters: ConverterErrors | None = None
    noise_scale: float = 1.0
    coarse: bool = False


def ideal_cells(codes: Tensor, numerics: LayerNumerics) -> Tensor:
    """Return what ideal cells store: (halves, slices, rows, outputs), in cell levels.

    Args:
        codes: Weight codes (outputs, c / groups, kh, kw).
        numerics: Of the layer.
    """
    return weight_slice_values(codes, numerics).flatten(3).transpose(2, 3)


def level2(product: Product, packed: tuple[Packed, ...], noise: Noise) -> Tensor:
    """Return the product as the arrays make it, plane by plane and slice by slice.

    Args:
        product: Of the layer.
        packed: Its weights, from ``pack_layer``.
        noise: Of the images.

    Returns:
        The output (n, outputs, h', w'), in the type of the inputs.
    """
    y = convolve(product.x, packed, product.geometry, noise=noise)
    return (y * product.by_channel).to(product.x.dtype)


def pack_layer(
    chip: Chip, numerics: LayerNumerics, geometry: Geometry, ranges: Ranges
) -> tuple[Packed, ...]:
    """Return the weights of a layer ready to multiply, those of each of its groups.

    Args:
        chip: What is stored.
        numerics: Of the layer.
        geometry: Of the layer.
        ranges: Of the layer's converters.
    """
    outputs = chip.cells.shape[3] // geometry.groups
    firsts = range(0, chip.cells.shape[3], outputs)
    return tuple(
        _pack(chip, numerics, geometry, ranges, slice(first, first + outputs)) for first in firsts
    )


def _pack(
    chip: Chip, numerics: LayerNumerics, geometry: Geometry, ranges: Ranges, columns: slice
) -> Packed:
    """Return the weights of some outputs."""
    chains = tuple(
        _chain(chip, numerics, geometry, group, columns)
        for group in range(len(geometry.row_groups))
    )
    disturbed = any(chain is not None for chain in chains)
    return pack(
        chip.cells[..., columns],
        inputs=Inputs(numerics.x_bits, numerics.dac_bits, numerics.plane_weights),
        slice_weights=numerics.slice_weights,
        row_groups=geometry.row_groups,
        adc_bits=numerics.adc_bits,
        adc_lo=_of_columns(ranges.lo, columns),
        adc_lsb=_of_columns(ranges.lsb, columns),
        kernel_area=prod(geometry.kernel),
        fixed_range=numerics.range_policy == "full_scale",
        offset=numerics.correction,
        skip_lossless=not disturbed,
        chains=chains,
        register=register_of(numerics.accumulator, ranges.lsb),
        coarse=chip.coarse,
    )


def _chain(
    chip: Chip, numerics: LayerNumerics, geometry: Geometry, group: int, columns: slice
) -> Chain | None:
    """Return what happens to the partial sums of a row group of some outputs."""
    read = chip.read_power
    if read is not None:
        rows = slice(*geometry.row_groups[group])
        read = read[..., rows, columns].flatten(0, 1).permute(1, 0, 2).flatten(1)
    errors = chip.converters.of(columns) if chip.converters else None
    return chain_of(numerics, errors, group, read, chip.noise_scale)


def _of_columns(values: NDArray[np.float64], columns: slice) -> Tensor:
    """Return converter settings (row groups, slices, outputs) of some outputs."""
    return torch.from_numpy(values if values.shape[2] == 1 else values[:, :, columns])
