"""The exact forward product of a quantised layer: L2, every conversion there is."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimsearch.cim.bitserial import Inputs, Packed, convolve, pack
from cimsearch.cim.converter import Ranges
from cimsearch.cim.engine import Product
from cimsearch.cim.noise import NoisePool
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.slicing import weight_slice_values


@dataclass(frozen=True)
class Converters:
    """What the converters of a layer add to its product.

    Attributes:
        ranges: Their settings.
        sigma: Standard deviation of the noise of a conversion, in units of a partial sum.
        pool: Where that noise comes from.
    """

    ranges: Ranges
    sigma: float
    pool: NoisePool


def level2(
    product: Product, numerics: LayerNumerics, converters: Converters, cells: Tensor | None
) -> Tensor:
    """Return the product as the arrays make it, plane by plane and slice by slice.

    Args:
        product: Of the layer; its weights are codes without errors.
        numerics: Of the layer.
        converters: Of the layer.
        cells: Errors of stored slices in cell levels, (halves, slices, outputs, c / groups, kh,
            kw); None if there are none.

    Returns:
        The output (n, outputs, h', w'), in the type of the inputs.
    """
    packed = pack_layer(product, numerics, converters, cells)
    sigma, pool = converters.sigma, converters.pool
    y = convolve(product.x, packed, product.geometry, adc_sigma=sigma, pool=pool)
    return (y * product.by_channel).to(product.x.dtype)


def pack_layer(
    product: Product, numerics: LayerNumerics, converters: Converters, cells: Tensor | None
) -> tuple[Packed, ...]:
    """Return the weights of a layer ready to multiply, those of each of its groups.

    Arguments are those of ``level2``.
    """
    geometry, stored = product.geometry, weight_slice_values(product.w, numerics)
    if cells is not None:
        stored = stored + cells
    stored = stored.flatten(3).transpose(2, 3)
    outputs = stored.shape[3] // geometry.groups
    return tuple(
        pack(
            stored[..., columns],
            inputs=Inputs(numerics.x_bits, numerics.dac_bits, numerics.plane_weights),
            slice_weights=numerics.slice_weights,
            row_groups=geometry.row_groups,
            adc_bits=numerics.adc_bits,
            adc_lo=_of_columns(converters.ranges.lo, columns),
            adc_lsb=_of_columns(converters.ranges.lsb, columns),
            offset=numerics.offset,
            skip_lossless=converters.sigma == 0,
        )
        for columns in (
            slice(first, first + outputs) for first in range(0, stored.shape[3], outputs)
        )
    )


def _of_columns(values: NDArray[np.float64], columns: slice) -> Tensor:
    """Return converter settings (row groups, slices, outputs) of some outputs."""
    return torch.from_numpy(values if values.shape[2] == 1 else values[:, :, columns])
