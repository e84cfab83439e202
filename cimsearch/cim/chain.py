"""What happens between driven rows and codes, in one row group of one chip.

Each effect is None or 0 where it is off. In order, for planes x, cells g and partial sums P::

    input level x
      |  I-V curve            x <- xmax (u - c u**3) / (1 - c),  u = x / xmax,  c = kappa V**2
      |  pulse jitter         x <- x (1 + sigma N)               a draw a row and vector
    product                   P  = sum_k x_k g_k
      |  read noise           P <- P + sqrt(sum_k x_k**2 v_k) N  a draw a conversion
      |  saturation           P <- S tanh(P / S), P / (1 + |P| / S), or P cut off at -S and S
      |  measured transfer    P <- mean(P) + sigma(P) N          a draw a conversion
      |  gain, offset         P <- (1 + gain) P + offset         static: of the converter
      |  fresh noise          P <- P + sigma N                   a draw a conversion
    converter                 c  = (P - lo) / step
      |  nonlinearity         c <- c + inl(code nearest c) / step  static: of the converter
      |  rounding             c <- rint(c), half to even, cut off at 0 and top
      |  impulse              c <- c with one bit flipped, or c +- codes, cut off at 0 and top
    code

N is standard normal, and the draws of an image depend on that image alone.
"""

from dataclasses import dataclass, replace
from math import frexp

import numpy as np
import torch
from torch import Tensor

from cimsearch.cim import gemm
from cimsearch.cim.columns import ConverterErrors
from cimsearch.cim.epilogue import Settings
from cimsearch.cim.noise import Noise
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.spec.column_noise import Impulse, Transfer
from cimsearch.spec.hardware import Macro, ResistiveCell

EFFECTS = 8
"""Parts of the noise that a row group takes: more than there are fresh effects."""
INPUT_STEPS = 1 << 20
"""Steps of an input unit that disturbed inputs are rounded to."""
JITTER, READ, TRANSFER, CONVERSION, IMPULSE = range(5)


@dataclass(frozen=True)
class Chain:
    """The effects on one row group, a column being a slice's of an output.

    Attributes:
        levels: Value of each of the 2**dac_bits input levels, in input units.
        jitter_frac: Standard deviation of a wordline pulse, as a fraction of its width.
        saturation: Shape, and S in units of a partial sum.
        transfer: Points in units of a partial sum: the ideal sum, its mean and its standard
            deviation as measured. Outside of them the last deviations hold.
        read_power: Variance of read noise for a unit of input squared, (rows, columns).
        gain: Error of the gain, (columns,).
        offset: In units of a partial sum, (columns,).
        sigma: Standard deviation of a conversion's fresh noise, in units of a partial sum.
        inl: Nonlinearity at each code in units of a partial sum, (converters, codes).
        index: Row of ``inl`` of each column, (columns,).
        impulse: Rare errors of codes.
        unit: Of the cells that are multiplied, in cell levels.
    """

    levels: Tensor | None = None
    jitter_frac: float = 0.0
    saturation: tuple[str, float] | None = None
    transfer: tuple[Tensor, Tensor, Tensor] | None = None
    read_power: Tensor | None = None
    gain: Tensor | None = None
    offset: Tensor | None = None
    sigma: float = 0.0
    inl: Tensor | None = None
    index: Tensor | None = None
    impulse: Impulse | None = None
    unit: float = 1.0


def chain_of(
    numerics: LayerNumerics,
    errors: ConverterErrors | None,
    group: int,
    read_power: Tensor | None,
    noise_scale: float,
) -> Chain | None:
    """Return the effects on a row group; None if there are none.

    Args:
        numerics: Of the layer.
        errors: Of its converters; None for none.
        group: Which row group.
        read_power: Variance of read noise for a unit of input squared, (rows, columns).
        noise_scale: Factor on every error but saturation and the I-V curve, which are there
            unless it is 0.
    """
    sigma, macro = numerics.adc_sigma * noise_scale, numerics.macro
    if macro is None or noise_scale == 0:
        return Chain(sigma=sigma) if sigma else None
    noise, largest = macro.noise, numerics.largest_sum
    saturation, transfer, impulse = noise.saturation, noise.transfer, noise.impulse
    if impulse:
        probability = min(1.0, impulse.probability * noise_scale)
        impulse = impulse.model_copy(update={"probability": probability})
    if read_power is not None:
        full_level = (1 << numerics.dac_bits) - 1
        read_power = on_grid(read_power * noise_scale**2, full_level**2)
    chain = replace(
        _of_converters(errors, group, noise_scale) if errors else Chain(),
        levels=_levels(macro, numerics.dac_bits),
        jitter_frac=noise.sram.pulse_jitter_frac * noise_scale if noise.sram else 0.0,
        saturation=(saturation.shape, saturation.at_frac * largest) if saturation else None,
        transfer=_points(transfer, numerics.full_scale, noise_scale) if transfer else None,
        read_power=read_power,
        sigma=sigma,
        impulse=impulse,
    )
    return None if chain == Chain() else chain


def on_grid(values: Tensor, largest: float) -> Tensor:
    """Return values (k, columns), float32, on a grid on which their sums are exact in float32.

    The step is a power of two, about what float32 loses in these sums anyway. Then neither how a
    product adds nor how many vectors it has at once can change it.

    Args:
        values: What inputs are multiplied by.
        largest: Largest magnitude of an input; inputs are whole numbers.
    """
    bound = float(values.abs().sum(dim=0).max()) * largest
    # Rounding may add as much as half a step a row: one bit is left for it.
    step = 2.0 ** (frexp(bound)[1] + 1) / gemm.FLOAT32_EXACT
    return (values / step).round().mul(step).float()


def codes_of(
    planes: Tensor, matrix: Tensor, settings: Settings, chain: Chain, noise: Noise, part: int
) -> Tensor:
    """Return the codes (planes, m, columns) of a row group, whole numbers from 0 to ``top``.

    Args:
        planes: Input planes (planes, m, rows): vectors of one image after the other, as many of
            each. Whole numbers, in a type of the matrix.
        matrix: Cells (rows, columns); codes do not depend on how many images there are if products
            with whole inputs are exact in its type (see ``on_grid``).
        settings: Of the converters.
        chain: The effects.
        noise: Of the images.
        part: Which of the layer's row groups and products; each has its own noise.
    """
    first = part * EFFECTS
    sums = _sums(planes, matrix, chain, noise, first, settings.lo.dtype)
    if chain.saturation is not None:
        _saturate(sums, *chain.saturation)
    if chain.transfer is not None:
        sums.add_(_deviation(sums, chain.transfer, noise, first + TRANSFER))
    if chain.gain is not None:
        sums.mul_(1 + chain.gain)
    if chain.offset is not None:
        sums.add_(chain.offset)
    if chain.sigma:
        sums.add_(noise.fresh(first + CONVERSION, sums.shape), alpha=chain.sigma)
    codes = _converted(sums, settings, chain)
    if chain.impulse is not None:
        _hit(codes, chain.impulse, settings.top, noise, first + IMPULSE)
    return codes


def _levels(macro: Macro, dac_bits: int) -> Tensor | None:
    """Return the value of each input level; None for the level itself."""
    iv, cell = macro.noise.iv, macro.cell
    if iv is None or not isinstance(cell, ResistiveCell):
        return None
    cubic = iv.cubic_per_v2 * cell.v_read_v**2
    full_level = (1 << dac_bits) - 1
    u = torch.arange(full_level + 1, dtype=torch.float64) / full_level
    return full_level * (u - cubic * u**3) / (1 - cubic)


def _points(transfer: Transfer, full_scale: float, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the points of a measured transfer in units of a partial sum."""
    shares = (transfer.ideal_frac, transfer.mean_frac, transfer.sigma_frac)
    ideal, mean, sigma = (torch.tensor(values) * full_scale for values in shares)
    return ideal, ideal + (mean - ideal) * scale, sigma * scale


def _of_converters(errors: ConverterErrors, group: int, scale: float) -> Chain:
    """Return the static errors of the converters of a row group."""
    gain, offset = (
        part[group].flatten() * scale if bool(part[group].any()) else None
        for part in (errors.gain, errors.offset)
    )
    if not bool(errors.inl.any()):
        return Chain(gain=gain, offset=offset)
    index = errors.index[group].flatten()
    return Chain(gain=gain, offset=offset, inl=errors.inl * scale, index=index)


def _sums(
    planes: Tensor, matrix: Tensor, chain: Chain, noise: Noise, part: int, dtype: torch.dtype
) -> Tensor:
    """Return partial sums with what happens to inputs and cells, (planes, m, columns)."""
    if chain.levels is not None or chain.jitter_frac:
        planes, matrix = _driven(planes, chain, noise, part + JITTER), matrix.double()
    sums = gemm.product(planes.flatten(0, 1), matrix).to(dtype)
    sums = sums.view(*planes.shape[:2], matrix.shape[1])
    if chain.unit != 1:
        sums.mul_(chain.unit)
    if chain.read_power is None:
        return sums
    inputs = planes if planes.dtype == torch.float64 else planes.float()
    spread = (inputs.square() @ chain.read_power.to(inputs.dtype)).sqrt_()
    return sums.add_(spread.mul_(noise.fresh(part + READ, sums.shape)))


def _driven(planes: Tensor, chain: Chain, noise: Noise, part: int) -> Tensor:
    """Return what rows are driven with, float64, on a grid that keeps sums with cells exact."""
    values = planes.double() if chain.levels is None else chain.levels[planes.to(torch.int64)]
    if chain.jitter_frac:
        width = 1 + chain.jitter_frac * noise.fresh(part, planes.shape)
        values = values * width
    return values.mul(INPUT_STEPS).round_().div_(INPUT_STEPS)


def _saturate(sums: Tensor, shape: str, at: float) -> None:
    if shape == "clip":
        sums.clamp_(-at, at)
    elif shape == "tanh":
        sums.div_(at).tanh_().mul_(at)
    else:
        sums.div_(sums.abs().div_(at).add_(1))


def _deviation(
    sums: Tensor, transfer: tuple[Tensor, Tensor, Tensor], noise: Noise, part: int
) -> Tensor:
    """Return what a measured transfer adds to partial sums."""
    ideal, mean, sigma = (points.to(sums.dtype) for points in transfer)
    segment = torch.bucketize(sums, ideal[1:-1])
    within = sums.clamp(float(ideal[0]), float(ideal[-1]))

    def at(values: Tensor) -> Tensor:
        slope = values.diff() / ideal.diff()
        start = values[:-1] - slope * ideal[:-1]
        return _picked(slope, segment).mul_(within).add_(_picked(start, segment))

    # Rounding may leave a little less than no spread at all.
    spread = at(sigma).clamp_min_(0)
    return at(mean - ideal).add_(spread.mul_(noise.fresh(part, sums.shape)))


def _picked(values: Tensor, places: Tensor) -> Tensor:
    """Return ``values[places]`` of a vector: as indexing does, several times as fast."""
    return values.index_select(0, places.flatten()).view(places.shape)


def _converted(sums: Tensor, settings: Settings, chain: Chain) -> Tensor:
    """Return codes; sums are written over."""
    codes = sums.sub_(settings.lo)
    if settings.gain is None:
        codes.div_(settings.step)
    else:
        codes.mul_(settings.gain)
    if chain.inl is not None and chain.index is not None:
        nearest = codes.round().clamp_(0, settings.top).to(torch.int64)
        places = nearest.add_(chain.index * chain.inl.shape[1])
        codes.add_(_picked(chain.inl.flatten(), places).div_(settings.step))
    return codes.round_().clamp_(0, settings.top)


def _hit(codes: Tensor, impulse: Impulse, top: float, noise: Noise, part: int) -> None:
    """Change a few codes (planes, m, columns), those of an image by its own generator."""
    planes, images = len(codes), len(noise.seeds)
    of_plane = codes[0].numel() // max(1, images)
    kinds = int(top).bit_length() if impulse.kind == "code_bit" else 2
    flat = codes.view(-1)
    for image, generator in enumerate(noise.generators(part)):
        hits = generator.binomial(planes * of_plane, impulse.probability)
        chosen = generator.choice(planes * of_plane, hits, replace=False, shuffle=False)
        plane, within = np.divmod(chosen, of_plane)
        places = torch.from_numpy((plane * images + image) * of_plane + within)
        kind = torch.from_numpy(generator.integers(kinds, size=hits))
        old = flat[places].to(torch.int64)
        if impulse.kind == "code_bit":
            new = old ^ (1 << kind)
        else:
            new = (old + impulse.codes * (2 * kind - 1)).clamp_(0, int(top))
        flat[places] = new.to(codes.dtype)
