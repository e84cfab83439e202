"""Row groups without weights: which ones, and a layer whose weights stay zero in them."""

from functools import lru_cache
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from cimsearch.blueprint import Node
from cimsearch.cim.float_layer import FloatLayer
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cost.row_skipping import skipped_in_tiles


@lru_cache(maxsize=1024)
def _read_rows(geometry: Geometry, channels: int) -> Tensor:
    read = torch.ones(channels, *geometry.kernel)
    for start, stop in geometry.skipped:
        read.view(-1)[start:stop] = 0
    return read


def read_rows(geometry: Geometry, channels: int) -> Tensor | None:
    """Return 1 for each row that is read and 0 for the others; None if all are.

    Args:
        geometry: Of the layer.
        channels: Input channels of a group of its convolution.

    Returns:
        (channels, kernel height, kernel width): not to be changed.
    """
    return _read_rows(geometry, channels) if geometry.skipped else None


def on_read_rows(values: Tensor | float, geometry: Geometry, channels: int) -> Tensor | float:
    """Return ``values`` (..., channels, kernel height, kernel width) with 0 in rows not read."""
    read = read_rows(geometry, channels)
    return values if read is None else values * read


def least_row_groups(weight: Tensor, geometry: Geometry, sparsity_ppm: int) -> Tensor:
    """Return which row groups of a layer are to hold no weights, (row groups,).

    As many of each tile as ``skipped_in_tiles`` says: first the short one at its end, then those
    whose weights have the least L2 norm, of equal ones the first.

    Args:
        weight: Of all outputs that read the rows, (outputs, c / groups, kh, kw).
        geometry: Of the layer.
        sparsity_ppm: The share of its row groups, in millionths.
    """
    rows = weight.detach().flatten(1).double()
    found = torch.zeros(len(geometry.spans), dtype=torch.bool)
    spans = enumerate(geometry.spans)
    tiles = [list(tile) for _, tile in groupby(spans, lambda s: s[1][0] // geometry.tile_rows)]
    for tile, count in zip(
        tiles, skipped_in_tiles([len(tile) for tile in tiles], sparsity_ppm), strict=True
    ):
        norms = {
            index: (stop - start, float(rows[:, start:stop].norm()))
            for index, (start, stop) in tile
        }
        # All but the last of a tile have the same size.
        for index in sorted(norms, key=lambda index: norms[index])[:count]:
            found[index] = True
    return found


class SkippingLayer(FloatLayer):
    """A layer of whose row groups some may hold no weights.

    Which ones is a buffer ``skipped`` (row groups,), there only if the layer skips some. Weights
    are 0 there.

    Args:
        node: The layer's node.
        geometry: Where its rows are.
        numerics: Of the layer.
        generator: Draws the initial weights.
    """

    skipped: Tensor | None

    def __init__(
        self,
        node: Node,
        geometry: Geometry,
        numerics: LayerNumerics,
        generator: torch.Generator,
    ) -> None:
        super().__init__(node, geometry, generator)
        chosen = None
        if numerics.row_sparsity_ppm:
            chosen = least_row_groups(self.weight, geometry, numerics.row_sparsity_ppm)
        self.register_buffer("skipped", chosen if chosen is not None and chosen.any() else None)
        with torch.no_grad():
            self._follow()

    @torch.no_grad()
    def skip(self, chosen: Tensor) -> None:
        """Hold no weights in other row groups, as many as before: ``chosen`` (row groups,)."""
        if self.skipped is not None:
            self.skipped.copy_(chosen)
            self._follow()
            self.moved()

    def moved(self) -> None:
        """Hear that ``geometry`` has other row groups than before."""

    @torch.no_grad()
    def clear_skipped(self) -> None:
        """Make weights that an optimiser has moved from 0 where there are none 0 again."""
        read = read_rows(self.geometry, self.weight.shape[1])
        if read is not None:
            self.weight.mul_(read)

    def _follow(self) -> None:
        """Follow the buffer: rows that are read, and weights in them alone."""
        if self.skipped is not None:
            self.geometry = self.geometry.skipping(self.skipped.tolist())
            self.clear_skipped()

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        if self.skipped is not None:
            with torch.no_grad():
                self._follow()
            self.moved()
