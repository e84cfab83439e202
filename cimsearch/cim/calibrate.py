"""Fitting converter ranges: bit-serial partial sums of a sample, their histogram, the range."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cimsearch.cim.converter import Ranges, fit_ranges, full_scale_ranges
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.slicing import input_plane_values, weight_slice_values

PATCHES = 256
MOST_BINS = 4096


def measure_ranges(
    x_codes: Tensor, w_codes: Tensor, numerics: LayerNumerics, geometry: Geometry
) -> Ranges:
    """Return converter ranges fitted to the partial sums of a sample of input windows.

    The ``layer`` policy has one range a layer, ``column`` one a row group, slice and output
    column; errors count as much as they weigh in the product. ``full_scale`` needs no sample.

    Args:
        x_codes: Input codes (n, c, h, w).
        w_codes: Weight codes (outputs, c / groups, kh, kw).
        numerics: Of the layer.
        geometry: Of the layer.
    """
    if numerics.range_policy == "full_scale":
        return full_scale_ranges(numerics)
    by_column = numerics.range_policy == "column"
    sums = partial_sums(x_codes, w_codes, numerics, geometry)
    bins = _Bins.of(sums)
    counts = [_histogram(part, numerics, bins, by_column=by_column) for part in sums]
    histogram = torch.stack(counts) if by_column else torch.stack(counts).sum(dim=0, keepdim=True)
    groups, slices_, columns, _ = histogram.shape
    fitted = fit_ranges(
        histogram.view(-1, bins.count).numpy(),
        bins.middles,
        numerics.adc_bits,
        numerics.least_lsb,
    )
    return Ranges(*(part.reshape(groups, slices_, columns) for part in fitted))


def partial_sums(
    x_codes: Tensor, w_codes: Tensor, numerics: LayerNumerics, geometry: Geometry
) -> list[Tensor]:
    """Return the partial sums of some input windows with ideal cells, one tensor a row group.

    Each is (halves, planes, windows, slices, outputs). Arguments are those of ``measure_ranges``.
    """
    planes = input_plane_values(_windows(x_codes, geometry), numerics)
    outputs = w_codes.shape[0] // geometry.groups
    stored = weight_slice_values(w_codes, numerics) + numerics.leakage
    slices = stored.reshape(*stored.shape[:2], geometry.groups, outputs, -1)
    return [
        torch.einsum(
            "pmgk,hsgok->hpmsgo", planes[..., start:stop], slices[..., start:stop]
        ).flatten(4)
        for start, stop in geometry.row_groups
    ]


def _windows(codes: Tensor, geometry: Geometry) -> Tensor:
    """Return about ``PATCHES`` evenly spread input windows: (m, groups, rows)."""
    height, width = geometry.out_size(codes.shape[2], codes.shape[3])
    images = min(len(codes), max(16, -(-PATCHES // (height * width))))
    chosen = codes[torch.linspace(0, len(codes) - 1, images).long()].float()
    columns = functional.unfold(
        chosen, geometry.kernel, padding=geometry.padding, stride=geometry.stride
    )
    windows = columns.transpose(1, 2).flatten(0, 1)
    spread = torch.linspace(0, len(windows) - 1, min(PATCHES, len(windows))).long()
    return windows[spread].view(len(spread), geometry.groups, -1)


@dataclass(frozen=True)
class _Bins:
    """The bins of a histogram, over what was seen: of the full scale that may be a small part.

    A bin is one value wide unless very many were seen.
    """

    lowest: int
    count: int
    shift: int

    @classmethod
    def of(cls, sums: list[Tensor]) -> "_Bins":
        lowest = int(min(part.min() for part in sums))
        span = int(max(part.max() for part in sums)) - lowest
        shift = (span // MOST_BINS).bit_length()
        return cls(lowest, (span >> shift) + 1, shift)

    @property
    def middles(self) -> NDArray[np.float64]:
        """The partial sum in the middle of each bin (bins,)."""
        width = 1 << self.shift
        return self.lowest + (width - 1) / 2 + width * np.arange(self.count, dtype=np.float64)


def _histogram(sums: Tensor, numerics: LayerNumerics, bins: _Bins, *, by_column: bool) -> Tensor:
    """Return weighted counts of partial sums: (slices, columns, bins), or (1, 1, bins).

    Args:
        sums: (halves, planes, windows, slices, columns).
        numerics: Of the layer.
        bins: What is counted together.
        by_column: Whether each slice and column has its own.
    """
    index = sums.sub_(bins.lowest).to(torch.int32) >> bins.shift
    cb = torch.tensor(numerics.plane_weights, dtype=torch.float64).square()
    cs = torch.tensor(numerics.slice_weights, dtype=torch.float64).square()
    weights = (cb[:, None, None, None] * cs[:, None]).expand(index.shape)
    slices, columns = index.shape[3:] if by_column else (1, 1)
    if by_column:
        index = index + bins.count * torch.arange(slices * columns, dtype=torch.int32).view(
            slices, columns
        )
    counts = torch.bincount(index.flatten(), weights.flatten(), slices * columns * bins.count)
    return counts.view(slices, columns, bins.count)
