"""What the levels below L2 make of a layer on arrays: converters as L1 sees them, L1 and L0."""

import torch
from torch import Tensor

from cimsearch.cim import engine
from cimsearch.cim.accumulator import register_of
from cimsearch.cim.converter import Ranges, conversion_of
from cimsearch.cim.engine import Converters, Equivalent, Product
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.learned import Conversions
from cimsearch.cim.mode import Mode
from cimsearch.cim.noise import Noise
from cimsearch.cim.numerics import LayerNumerics


def converted_at(
    ranges: Ranges, numerics: LayerNumerics, geometry: Geometry, weight_shape: torch.Size
) -> tuple[Converters, Equivalent]:
    """Return what L1 and L0 know of the converters of a layer at ranges, in closed form.

    Args:
        ranges: Of the converters.
        numerics: Of the layer.
        geometry: Of the layer.
        weight_shape: Of its weights, (outputs, c / groups, kh, kw).
    """
    conversion = conversion_of(numerics, ranges, len(geometry.row_groups))
    row_groups = engine.prepare(conversion, geometry, weight_shape)
    register = register_of(numerics.accumulator, ranges.lsb)
    converters = Converters(row_groups, numerics.offset, numerics.correction, register)
    return converters, Equivalent(torch.from_numpy(conversion.l0_sigma).float())


def at_level1(
    product: Product, mode: Mode, converters: Converters, beyond: Equivalent | None, noise: Noise
) -> tuple[Tensor, Conversions]:
    """Return the output of L1 and what was converted.

    Args:
        product: Codes, with the errors of cells.
        mode: Of the layer.
        converters: Of the layer.
        beyond: Of the effects that L1 does not know; None if there are none.
        noise: Of the images.
    """
    extra = beyond if mode.noise_scale > 0 else None
    scale = 0.0 if extra else mode.noise_scale
    y = engine.level1(product, converters, noise=noise, noise_scale=scale)
    if extra is not None:
        y = engine.beyond_level1(y, product, extra.scaled(mode.noise_scale), noise)
    return y, Conversions(product, converters, noise, scale)


def at_level0(
    product: Product, mode: Mode, numerics: LayerNumerics, equivalent: Equivalent, noise: Noise
) -> Tensor:
    """Return the output of L0; the exact product where the mode has no noise.

    Args:
        product: Codes, with the errors of cells.
        mode: Of the layer.
        numerics: Of the layer.
        equivalent: Of the layer.
        noise: Of the images.
    """
    if numerics.leakage:
        product = product.plus(-(numerics.correction - numerics.offset))
    if mode.noise_scale == 0:
        return engine.exact(product)
    return engine.level0(product, equivalent.scaled(mode.noise_scale), noise)
