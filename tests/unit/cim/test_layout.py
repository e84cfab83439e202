"""Where cells and converters are: the mapping plan's order, slices and pairs side by side."""

import torch

from cimsearch.cim.geometry import Geometry
from cimsearch.cim.layout import layout_of
from tests.unit.cim.builders import analog, conv_node


def test_slices_and_pairs_lie_side_by_side_and_share_converters() -> None:
    numerics = analog("differential_digital", w_bits=3, cols=8, columns_per_adc=2, rows=16)
    geometry = Geometry((1, 1), (1, 1), (0, 0), 1, ((0, 16), (16, 20)), 16)
    found = layout_of(numerics, geometry, 20, 3)
    # Two slices of a pair: 4 columns an output, 2 outputs an array.
    assert found.arrays.tolist() == [0, 0, 1]
    assert found.bitlines[:, :, 0].tolist() == [[0, 2], [1, 3]]
    assert found.bitlines[:, :, 1].tolist() == [[4, 6], [5, 7]]
    assert torch.equal(found.bitlines[:, :, 2], found.bitlines[:, :, 0])
    assert found.converters[:, :, 1].tolist() == [[2, 3], [2, 3]]
    assert found.tiles.tolist() == [0] * 16 + [1] * 4
    assert found.wordlines.tolist() == [*range(16), *range(4)]
    assert found.group_tiles.tolist() == [0, 1]


def test_a_pair_that_is_read_as_one_has_one_converter() -> None:
    numerics = analog("differential", w_bits=3, cols=8, columns_per_adc=2)
    geometry = Geometry.of(conv_node(4, 2), numerics)
    found = layout_of(numerics, geometry, 36, 2)
    assert found.bitlines.shape == (2, 2, 2)
    assert found.converters.shape == (1, 2, 2)


def test_groups_of_a_convolution_are_not_driven_together() -> None:
    numerics = analog("offset", w_bits=2, cols=64)
    node = conv_node(4, 4, groups=2)
    found = layout_of(numerics, Geometry.of(node, numerics), 18, 4)
    assert found.arrays.tolist() == [0, 0, 1, 1]
    assert found.bitlines[0, 0].tolist() == [0, 2, 0, 2]
