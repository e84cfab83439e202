"""What the cheap levels make of a layer, fitted to L2 where no closed form holds."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from cimsearch.cim.bitserial import convolve
from cimsearch.cim.calibrate import partial_sums
from cimsearch.cim.chip import errors_of
from cimsearch.cim.converter import Ranges
from cimsearch.cim.engine import Converters, Equivalent, Product, level1
from cimsearch.cim.level2 import Chip, pack_layer
from cimsearch.cim.noise import NoiseStream
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.skipping import on_read_rows

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


@dataclass(frozen=True)
class Sample:
    """What equivalents are fitted to.

    Attributes:
        product: Codes, without errors.
        numerics: Of the layer.
        ranges: Of the layer's converters.
        converters: The same as L1 sees them.
    """

    product: Product
    numerics: LayerNumerics
    ranges: Ranges
    converters: Converters


@torch.no_grad()
def fitted_equivalents(
    sample: Sample, chips: Iterable[Chip], generator: torch.Generator
) -> tuple[Equivalent, Equivalent]:
    """Return the least squares fits of L2's outputs over the product, and over L1's output.

    Both have the same cells as L2. L1 is without its own noise of conversions.

    Args:
        sample: What to fit to.
        chips: Chips of the layer; what differs between them beside their cells is noise here.
        generator: Draws the noise of conversions.
    """
    product, numerics = sample.product, sample.numerics
    x, stream, found = _some(product), NoiseStream(generator), []
    ones, geometry = torch.ones_like(product.scale), product.geometry
    for chip in chips:
        noise = stream.next(len(x))
        packed = pack_layer(chip, numerics, geometry, sample.ranges)
        converted = convolve(x, packed, geometry, noise=noise)
        w = product.plus(errors_of(chip, product.w, numerics)).w
        leakage = on_read_rows(numerics.correction - numerics.offset, geometry, w.shape[1])
        ideal = product.convolve(x.double(), w.double() - leakage)
        cheap = level1(
            Product(x, w, ones, geometry), sample.converters, noise=noise, noise_scale=0.0
        )
        found.append(torch.stack((converted.double(), ideal, cheap.double())))
    y, *bases = torch.cat(found, dim=1).transpose(1, 2).flatten(2)
    return _fit(y, bases[0]), _fit(y, bases[1])


def _fit(y: Tensor, p: Tensor) -> Equivalent:
    """Return the fit of y over p, (outputs, values) each, for every output."""
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
