"""The exact engine of a crossbar: input planes meet weight slices, one conversion each.

    y[m,n] = sum_t sum_b sum_s cb(b) * cs(s) * ADC(P[t,b,s,m,n]) - offset * sum_k x[m,k]
    P      = sum over rows k of group t of plane_b(x[m,k]) * slice_s(w[k,n])

Planes are stacked in rows and slices in columns, so that a row group is one matrix product, made
in chunks of vectors that stay in the cache. What cannot change a result is skipped: slices whose
conversions lose nothing are one integer product, and planes that are all zero have one known code.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.cim import epilogue, gemm
from cimsearch.cim.accumulator import accumulated
from cimsearch.cim.chain import codes_of
from cimsearch.cim.epilogue import Epilogue
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.noise import Noise
from cimsearch.cim.packing import Group, Inputs, Packed, pack

__all__ = ["Counts", "Inputs", "Packed", "convolve", "counts", "multiply", "pack"]

MOST_CHUNKS = 1 << 16
"""Chunks of one image that have noise of their own in a row group."""


@dataclass(frozen=True)
class Counts:
    """What arrays do for a product, computed or skipped.

    Attributes:
        array_calls: Times that an array gets one plane of one row group.
        driven_rows: Rows driven, summed over array calls.
        conversions: Columns (signed pairs of them, if differential) turned into codes.
        shift_adds: Codes shifted and added into an output.
    """

    array_calls: int
    driven_rows: int
    conversions: int
    shift_adds: int


def counts(packed: Packed, vectors: int, *, column_tiles: int = 1) -> Counts:
    """Return what arrays do for a product with some input vectors.

    Args:
        packed: Weights.
        vectors: Input vectors.
        column_tiles: Arrays that the columns are spread over; each is driven.
    """
    passes = vectors * len(packed.inputs.weights)
    rows = sum(group.rows.stop - group.rows.start for group in packed.groups)
    conversions = passes * len(packed.groups) * packed.lines
    return Counts(
        array_calls=passes * len(packed.groups) * column_tiles,
        driven_rows=passes * rows * column_tiles,
        conversions=conversions,
        shift_adds=conversions,
    )


def multiply(
    codes: Tensor,
    packed: Packed,
    *,
    noise: Noise | None = None,
    part: int = 0,
    convert: Epilogue | None = None,
) -> Tensor:
    """Return the product (m, n) in units of codes, in float32 where it is exact, else float64.

    Args:
        codes: Input codes (m, k), whole numbers of any type.
        packed: Weights.
        noise: Of the images that the vectors are of, in order: as many of each. Needed where a row
            group has a chain of effects. More vectors than ``packed.chunk`` are of one image.
        part: Which of the layer's products; each has its own noise.
        convert: Compiled or eager; None for the faster.
    """
    whole = codes.to(packed.inputs.code_type)
    y = torch.empty(len(codes), packed.columns, dtype=packed.base.dtype)
    chosen = convert or epilogue.faster(counts(packed, len(codes)).conversions)
    chunks = zip(torch.split(whole, packed.chunk), torch.split(y, packed.chunk), strict=True)
    for index, (some, out) in enumerate(chunks):
        place = (part * MOST_CHUNKS + index) * len(packed.groups)
        _multiply_chunk(some, packed, out, _Drawn(noise, place), chosen)
    return y


def convolve(
    codes: Tensor,
    packed: tuple[Packed, ...],
    geometry: Geometry,
    *,
    noise: Noise | None = None,
    convert: Epilogue | None = None,
) -> Tensor:
    """Return a convolution (n, outputs, h', w'), channels last in memory, as ``multiply`` does.

    Args:
        codes: Input codes (n, c, h, w), whole numbers of any type.
        packed: Weights of each of the convolution's groups.
        geometry: Of the convolution.
        noise: Of the images.
        convert: Compiled or eager; None for the faster.
    """
    vertical, horizontal = geometry.padding
    padded = functional.pad(
        codes.to(packed[0].inputs.code_type), (horizontal, horizontal, vertical, vertical)
    )
    windows = (
        padded.view(len(padded), len(packed), -1, *padded.shape[2:])
        .unfold(3, geometry.kernel[0], geometry.stride[0])
        .unfold(4, geometry.kernel[1], geometry.stride[1])
        .permute(1, 0, 3, 4, 2, 5, 6)
    )
    groups, images, height, width = windows.shape[:4]
    at_once = max(1, packed[0].chunk // (height * width))
    vectors = images * height * width * groups
    chosen = convert or epilogue.faster(counts(packed[0], vectors).conversions)
    y = torch.empty(images, height, width, groups, packed[0].columns, dtype=packed[0].base.dtype)
    for group, (part, weights) in enumerate(zip(windows, packed, strict=True)):
        for first in range(0, images, at_once):
            some = part[first : first + at_once]
            rows = some.flatten(3).flatten(0, 2)
            own = noise.of(first, first + at_once) if noise else None
            product = multiply(rows, weights, noise=own, part=group, convert=chosen)
            y[first : first + at_once, :, :, group] = product.view(len(some), height, width, -1)
    return y.flatten(3).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Drawn:
    """The noise of a chunk, and the first of its parts: each row group has one."""

    noise: Noise | None
    place: int


def _multiply_chunk(
    codes: Tensor, packed: Packed, out: Tensor, drawn: _Drawn, convert: Epilogue
) -> None:
    """Write the product of a few vectors (m, k) to ``out`` (m, n)."""
    cb = packed.inputs.weights
    used = len(cb) if packed.disturbed else _planes_used(codes, packed.inputs)
    zeros = sum(cb[used:])
    weights = torch.tensor(cb[:used], dtype=torch.float32)
    out.copy_(packed.base.expand_as(out))
    for index, group in enumerate(packed.groups):
        inputs = codes[:, group.rows]
        if group.direct is not None:
            out.add_(inputs.to(group.direct.dtype) @ group.direct)
        if group.matrix is None:
            continue
        if zeros:
            out.add_(group.zero, alpha=zeros)
        if used:
            planes = _planes(inputs, packed.inputs, used, group.matrix.dtype)
            if group.chain is None:
                sums = gemm.product(planes.flatten(0, 1), group.matrix)
                out.add_(convert(sums.view(used, len(codes), -1), weights, group.settings))
            else:
                out.add_(_disturbed(planes, weights, group, drawn.noise, drawn.place + index))
    if packed.register is not None:
        accumulated(out, packed.register)
    if packed.offset:
        out.sub_(codes.sum(dim=1, keepdim=True), alpha=packed.offset)


def _disturbed(
    planes: Tensor, weights: Tensor, group: Group, noise: Noise | None, part: int
) -> Tensor:
    """Return the value of a row group's codes (m, n), with all that happens before them."""
    if group.matrix is None or group.chain is None or noise is None:
        raise ValueError("a chain of effects needs slices to convert and noise")
    codes = codes_of(planes, group.matrix, group.settings, group.chain, noise, part)
    return epilogue.weigh(codes, weights, group.settings)


def _planes_used(codes: Tensor, inputs: Inputs) -> int:
    """Return how many planes, from the least significant, are not known to be all zero."""
    if not codes.numel():
        return 0
    lowest, highest = codes.aminmax()
    if int(lowest) < 0:
        return len(inputs.weights)
    return -(-int(highest).bit_length() // inputs.dac_bits)


def _planes(codes: Tensor, inputs: Inputs, used: int, dtype: torch.dtype) -> Tensor:
    """Return the first planes of codes, (planes, *shape)."""
    planes = torch.empty(used, *codes.shape, dtype=dtype)
    mask = (1 << inputs.dac_bits) - 1
    for index, plane in enumerate(planes):
        plane.copy_((codes >> (index * inputs.dac_bits)).bitwise_and_(mask))
    return planes
