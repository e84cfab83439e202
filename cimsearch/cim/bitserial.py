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
from cimsearch.cim.exactness import Inputs
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.noise import Noise
from cimsearch.cim.packing import Group, Packed, pack

__all__ = ["Counts", "Inputs", "Packed", "convolve", "counts", "multiply", "pack"]

MOST_CHUNKS = 1 << 16
"""Chunks of one image that have noise of their own in a row group."""
VECTORS = Geometry((1, 1), (1, 1), (0, 0), 1, ())
"""Inputs that are vectors: images of one pixel."""


@dataclass(frozen=True)
class Counts:
    """What arrays do for a product, computed or skipped.

    Attributes:
        array_calls: Times that an array gets one plane of one row group.
        driven_rows: Rows driven, summed over array calls.
        conversions: Columns (signed pairs of them, if differential) turned into codes.
        shift_adds: Codes shifted and added into an output.
        scale_multiplies: Multiplications by a converter's step.
    """

    array_calls: int
    driven_rows: int
    conversions: int
    shift_adds: int
    scale_multiplies: int


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
        scale_multiplies=vectors * packed.scales,
    )


def multiply(
    codes: Tensor,
    packed: Packed,
    *,
    noise: Noise | None = None,
    convert: Epilogue | None = None,
) -> Tensor:
    """Return the product (m, n) in units of codes, in float32 where it is exact, else float64.

    Args:
        codes: Input codes (m, k), whole numbers of any type.
        packed: Weights, of a kernel of one.
        noise: Of the vectors, each an image; needed where a row group has a chain of effects.
        convert: Compiled or eager; None for the faster.
    """
    product = convolve(codes[:, :, None, None], (packed,), VECTORS, noise=noise, convert=convert)
    return product[:, :, 0, 0]


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
        noise: Of the images; needed where a row group has a chain of effects.
        convert: Compiled or eager; None for the faster.
    """
    vertical, horizontal = geometry.padding
    images = functional.pad(
        codes.to(packed[0].inputs.code_type).permute(0, 2, 3, 1),
        (0, 0, horizontal, horizontal, vertical, vertical),
    )
    height, width = geometry.out_size(codes.shape[2], codes.shape[3])
    vectors = len(codes) * height * width * len(packed)
    chosen = convert or epilogue.faster(counts(packed[0], vectors).conversions)
    y = torch.empty(
        len(codes), height, width, len(packed), packed[0].columns, dtype=packed[0].type
    )
    at_once = max(1, packed[0].chunk // (height * width))
    lines = height if at_once > 1 else max(1, packed[0].chunk // width)
    for first in range(0, len(codes), at_once):
        some = slice(first, first + at_once)
        own = noise.of(first, first + at_once) if noise else None
        for group, weights in enumerate(packed):
            inputs = _Images(images[some], weights, geometry, group)
            for index, top in enumerate(range(0, height, lines)):
                bottom = min(top + lines, height)
                place = (group * MOST_CHUNKS + index) * len(weights.groups)
                drawn = _Drawn(own, place)
                part = _product(inputs, slice(top, bottom), weights, drawn, chosen)
                y[some, top:bottom, :, group] = part.view(-1, bottom - top, width, part.shape[1])
    return y.flatten(3).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Drawn:
    """The noise of a chunk, and the first of its parts: each row group has one."""

    noise: Noise | None
    place: int


class _Images:
    """Some padded images (n, h, w, c) of one group of a convolution, and their planes.

    Planes are made of images, not of windows: a pixel is in many windows. Those of a row group are
    of its channels alone, side by side, so that a line of a window is copied at once.
    """

    def __init__(self, images: Tensor, packed: Packed, geometry: Geometry, group: int) -> None:
        channels = images.shape[3] // geometry.groups
        self._codes = images[..., group * channels : (group + 1) * channels]
        self._inputs, self._geometry = packed.inputs, geometry
        self._planes: dict[tuple[torch.dtype, int, int], Tensor] = {}
        everything = len(packed.inputs.weights)
        self.used = everything if packed.disturbed else _planes_used(self._codes, packed.inputs)

    def planes(self, lines: slice, group: Group, dtype: torch.dtype) -> Tensor:
        """Return the planes in use of the windows of some output lines, (planes, m, rows)."""
        key = (dtype, group.channels.start, group.channels.stop)
        if key not in self._planes:
            codes = self._codes[..., group.channels]
            self._planes[key] = _planes(codes, self._inputs, self.used, dtype)
        windows = self._windows(self._planes[key], lines)
        return windows.reshape(self.used, -1, windows.shape[-3:].numel())

    def codes(self, lines: slice, group: Group, dtype: torch.dtype) -> Tensor:
        """Return the codes of the windows of some output lines, (m, rows)."""
        windows = self._windows(self._codes[..., group.channels], lines)
        return windows.reshape(-1, windows.shape[-3:].numel()).to(dtype)

    def sums(self, lines: slice, dtype: torch.dtype, read: Tensor | None) -> Tensor:
        """Return the sum of the codes of each window in the rows that are read, (m, 1)."""
        if read is not None:
            windows = self._windows(self._codes, lines)
            return windows.reshape(-1, len(read)).to(dtype) @ read.to(dtype)[:, None]
        sums = self._codes.sum(dim=-1, dtype=dtype)
        return self._windows(sums[..., None], lines).sum(dim=(-3, -2)).view(-1, 1)

    def _windows(self, images: Tensor, lines: slice) -> Tensor:
        """Return a view (..., lines, width, kernel height, kernel width, channels)."""
        kernel, stride = self._geometry.kernel, self._geometry.stride
        windows = images.unfold(-3, kernel[0], stride[0])[..., lines, :, :, :]
        windows = windows.unfold(-3, kernel[1], stride[1])
        order = range(windows.dim() - 3)
        return windows.permute(*order, -2, -1, -3)


def _product(
    inputs: _Images, lines: slice, packed: Packed, drawn: _Drawn, convert: Epilogue
) -> Tensor:
    """Return the product (m, n) of the windows of some output lines."""
    cb, used, out = packed.inputs.weights, inputs.used, packed.base
    zeros = sum(cb[used:])
    weights = torch.tensor(cb[:used], dtype=torch.float32)
    for index, group in enumerate(packed.groups):
        if group.direct is not None:
            out = out + inputs.codes(lines, group, group.direct.dtype) @ group.direct
        if group.matrix is None:
            continue
        if zeros:
            out = out + zeros * group.zero
        if used:
            planes = inputs.planes(lines, group, group.matrix.dtype)
            if group.chain is None:
                sums = gemm.product(planes.flatten(0, 1), group.matrix)
                if group.unit != 1:
                    sums = sums * group.unit
                values = convert(sums.view(*planes.shape[:2], -1), weights, group.settings)
            else:
                values = _disturbed(planes, weights, group, drawn.noise, drawn.place + index)
            out = values.add_(out)
    sums = inputs.sums(lines, out.dtype, packed.read)
    out = out.expand(len(sums), -1)
    if packed.register is not None:
        out = accumulated(out.clone(), packed.register)
    return out - packed.offset * sums if packed.offset else out


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
