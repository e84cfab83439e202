"""Where the rows of a convolution are: kernel, stride, padding, row groups."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from cimsearch.blueprint import Node
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cost.layer_integers import row_groups, tile_rows


@dataclass(frozen=True)
class Geometry:
    """A convolution as the engine sees it; a linear layer is one of 1 x 1.

    Rows are k = (c, kh, kw) in C order of ``weight.reshape(outputs, -1)``.

    Attributes:
        kernel: Height and width.
        stride: Vertical and horizontal.
        padding: Zeros at each side, vertical and horizontal.
        groups: Groups of the convolution.
        row_groups: Ranges [start, stop) of rows that are converted together.
        tile_rows: Rows of a full row tile; 0 for a layer that is in no array.
        skipped: Ranges of rows like ``row_groups`` that hold no weights and are not read.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int
    row_groups: tuple[tuple[int, int], ...]
    tile_rows: int = 0
    skipped: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(
        cls,
        node: Node,
        numerics: LayerNumerics | None,
        padding: tuple[int, int] | None = None,
    ) -> "Geometry":
        """Return the geometry of a node with weights under its numerics.

        It pads as the node says, or as ``padding`` does.
        """
        kernel = node.kernel
        rows = node.in_shape[0] // node.groups * prod(kernel)
        groups, tile = [(0, rows)], 0
        if numerics is not None and (numerics.analog or numerics.row_sparsity_ppm):
            tile = tile_rows(numerics.rows, prod(kernel), numerics.packing)
            groups = row_groups(rows, tile, numerics.active_rows)
        return cls(kernel, node.stride, padding or node.pads, node.groups, tuple(groups), tile)

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """All row groups, also those that are skipped, in order."""
        return tuple(sorted((*self.row_groups, *self.skipped)))

    def skipping(self, chosen: Sequence[bool]) -> "Geometry":
        """Return the geometry that skips those of all row groups that are ``chosen``."""
        which = list(zip(self.spans, chosen, strict=True))
        return replace(
            self,
            row_groups=tuple(span for span, skipped in which if not skipped),
            skipped=tuple(span for span, skipped in which if skipped),
        )

    @cached_property
    def channels(self) -> tuple[tuple[int, int], ...]:
        """Input channels [start, stop) of a convolution's group that each row group reads."""
        area = prod(self.kernel)
        return tuple((start // area, -(-stop // area)) for start, stop in self.row_groups)

    def out_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the output."""
        sides = zip((height, width), self.kernel, self.stride, self.padding, strict=True)
        out = [(side + 2 * pad - k) // step + 1 for side, k, step, pad in sides]
        return out[0], out[1]
