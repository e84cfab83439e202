"""L0's equivalent of a layer's conversions, fitted to L2 where no closed form holds."""

from collections.abc import Iterable

import torch
from torch import Tensor

from cimsearch.cim.bitserial import convolve
from cimsearch.cim.calibrate import partial_sums
from cimsearch.cim.chip import errors_of
from cimsearch.cim.converter import Ranges
from cimsearch.cim.engine import Equivalent, Product
from cimsearch.cim.level2 import Chip, pack_layer
from cimsearch.cim.noise import NoiseStream
from cimsearch.cim.numerics import LayerNumerics

VECTORS = 512
LEAST_IMAGES = 4
LEAST_VARIANCE = 1e-12


def closed_form_holds(product: Product, numerics: LayerNumerics, ranges: Ranges) -> bool:
    """Return whether conversions add noise of the closed form's variance.

    They do while the step is below the standard deviation of partial sums, both root mean squares
    over planes and slices with the weights that errors have in the output, and as long as there is
    nothing but rounding, clipping and noise of cells and conversions, in a register that is wide
    enough.
    """
    if numerics.macro is not None or numerics.accumulator is not None:
        return False
    sums = partial_sums(product.x, product.w, numerics, product.geometry)
    cb = torch.tensor(numerics.plane_weights, dtype=torch.float64).square()
    cs = torch.tensor(numerics.slice_weights, dtype=torch.float64).square()
    weights = cb[:, None] * cs / (cb.sum() * cs.sum())
    variance = torch.stack([part.double().var(dim=(0, 2, 4), correction=0) for part in sums])
    shape = (len(sums), len(cs), 1)
    steps = torch.from_numpy(ranges.lsb).square().broadcast_to(*shape[:2], ranges.lsb.shape[2])
    step = (steps.mean(dim=2)[:, None] * weights).sum(dim=(1, 2)).mean()
    return bool(step <= (variance * weights).sum(dim=(1, 2)).mean())


@torch.no_grad()
def fitted_equivalent(
    product: Product,
    chips: Iterable[Chip],
    numerics: LayerNumerics,
    ranges: Ranges,
    generator: torch.Generator,
) -> Equivalent:
    """Return the least squares fit of L2's outputs over the product with the same cells.

    Args:
        product: Codes of a sample, without errors.
        chips: Chips of the layer; what differs between them beside their cells is noise here.
        numerics: Of the layer.
        ranges: Of the layer's converters.
        generator: Draws the noise of conversions.
    """
    x, noise, found = _some(product), NoiseStream(generator), []
    for chip in chips:
        packed = pack_layer(chip, numerics, product.geometry, ranges)
        converted = convolve(x, packed, product.geometry, noise=noise.next(len(x)))
        leakage = numerics.correction - numerics.offset
        w = product.w + errors_of(chip, product.w, numerics) - leakage
        ideal = product.convolve(x.double(), w.double())
        found.append(torch.stack((ideal, converted.double())).transpose(1, 2).flatten(2))
    p, y = torch.cat(found, dim=2)
    p_mean, y_mean = p.mean(dim=1), y.mean(dim=1)
    spread = p.var(dim=1, correction=0)
    together = (p * y).mean(dim=1) - p_mean * y_mean
    # An output that is always the same has no slope to fit.
    gain = torch.where(spread > 0, together / spread.clamp_min(LEAST_VARIANCE), 1.0)
    bias = y_mean - gain * p_mean
    sigma = (y - gain[:, None] * p - bias[:, None]).square().mean(dim=1).sqrt()
    return Equivalent(sigma.float(), gain.float(), bias.float())


def _some(product: Product) -> Tensor:
    """Return codes of evenly spread images, enough for ``VECTORS`` outputs of a channel."""
    x = product.x
    height, width = product.geometry.out_size(x.shape[2], x.shape[3])
    images = min(len(x), max(LEAST_IMAGES, -(-VECTORS // (height * width))))
    return x[torch.linspace(0, len(x) - 1, images).long()].float()
