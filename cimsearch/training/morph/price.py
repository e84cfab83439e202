"""What one more output channel costs, in bitlines, before the staircase rounds it up."""

import numpy as np

from cimsearch.blueprint import Blueprint
from cimsearch.cost.parts import parts_of
from cimsearch.layer_table import layer_table
from cimsearch.space.shapes import shapes_of
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics


def channel_prices(blueprint: Blueprint, hardware: Hardware) -> dict[str, float]:
    """Return the bitlines that one output channel of each prune group takes, by group.

    A channel takes the columns of its filter in every row tile of the convolutions that put it
    out, and its rows in those that read it: of the ``n`` columns of such a layer, whose tiles hold
    ``t`` rows, ``n k**2 / t`` for a kernel of k x k. The latter is the mean over a whole tile of
    what the staircase takes at once.

    Args:
        blueprint: The network with the bits that it is priced at.
        hardware: What it runs on.

    Raises:
        HardwareError: A node asks what the macro cannot do.
    """
    shapes = shapes_of(blueprint)
    table = layer_table([blueprint]).map(lambda column: column.astype(np.float64))
    names = [node.name for node in blueprint.nodes]
    nodes, layers = parts_of(table, hardware, Statistics(), lambda _, node: names[node])[0]
    mapping, part = layers.mapping, layers.table
    put_out, read, groups = (
        shapes.slopes[name][:, nodes] for name in ("out_channels", "in_channels", "groups")
    )
    columns = put_out * (mapping.row_tiles * mapping.columns_per_output)
    # A depthwise convolution's filters read a channel each, however many there are.
    rows = read * part.kernel_height * part.kernel_width / part.groups * (groups == 0)
    tiles = rows / np.maximum(mapping.tile_rows, 1) * mapping.columns
    prices = (columns + tiles).sum(axis=1)
    return dict(zip(shapes.groups, prices.tolist(), strict=True))
