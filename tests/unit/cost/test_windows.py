"""Windows of layers that run at once, with a pooling in the stream behind them or not."""

from typing import Any

import pytest

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostArrays, estimate_table
from cimsearch.cost.parts import parts_of
from cimsearch.cost.timing import first_share
from cimsearch.layer_table import layer_table
from cimsearch.spec.study import Statistics

from .tiny import conv, hardware

SIDE = 8
BITS = 3 * SIDE * SIDE * 2
"""Bits of an input of 3 channels on 8 x 8 positions, of 2 bits each."""


def node(name: str, op: Any, side: int = SIDE, window: tuple[int, int] = (1, 1)) -> Node:
    out = (3, side // window[0], side // window[1])
    return Node(name, op, ("input",), (3, side, side), out, window, window)


def network(*behind: Node, kernel: int = 3, stride: int = 1) -> Blueprint:
    """Return a convolution of 3 channels with nodes behind it, which are taken as in line."""
    side = SIDE // stride
    layer = conv("layer", in_shape=(3, SIDE, SIDE), out_shape=(3, side, side))
    sides = {"kernel": (kernel, kernel), "stride": (stride, stride)}
    layer = Node(**{name: getattr(layer, name) for name in Node.__slots__} | sides)
    return Blueprint((3, SIDE, SIDE), 3, (layer, *behind))


def seen(asked: Blueprint, pooling: str = "in_stream", **how: Any) -> tuple[float, list[float]]:
    """Return the bits of all windows, and the shares of inputs that nodes wait for."""
    system = {"execution": "pipelined", "digital": {"pooling": pooling}} | how
    parts = parts_of(
        layer_table([asked]).map(lambda column: column.astype(float)),
        hardware(system=system),
        Statistics(),
        "{} {}".format,
    )
    (columns, layers), (others, rest) = parts
    shares = dict(zip(columns, first_share(layers)[0], strict=True))
    shares |= dict(zip(others, first_share(rest)[0], strict=True))
    return float(layers.groups.live_bits[0, 0]), [float(shares[at]) for at in sorted(shares)]


STREAM = node("norm", "batchnorm"), node("relu", "relu")
SIGMOID = node("norm", "batchnorm"), node("sigmoid", "hard_sigmoid")
POOL = node("pool", "maxpool", window=(2, 2))


def test_a_row_of_windows_is_made_at_once() -> None:
    """Two rows of the output need a row more of the input, and the next two are written."""
    live, shares = seen(network(*STREAM, POOL))
    assert live == BITS * (3 + 1 + 2) / 8
    assert shares == [4 / 8, 1 / 8, 1 / 8, 4 / 64]


def test_pooling_from_the_buffer_takes_rows_as_they_come() -> None:
    words = 3 * SIDE * SIDE * 16
    live, shares = seen(network(*STREAM, POOL), pooling="stored")
    assert live == BITS * (3 + 1) / 8 + words * (2 + 2) / 8
    assert shares == [3 / 8, 1 / 8, 1 / 8, 2 / 8]


@pytest.mark.parametrize(
    ("behind", "rows"),
    [
        # A window over the width is in the order of rows; one column of positions is a row each.
        ((node("mean", "avgpool", window=(8, 8)),), 1),
        ((node("mean", "avgpool", window=(2, 8)),), 1),
        ((node("mean", "avgpool", window=(1, 2)),), 1),
        # An addition is passed through; what is read from the buffer ends the pass.
        ((node("add", "add"), *STREAM, POOL), 2),
        ((*SIGMOID, POOL), 2),
        ((node("flat", "flatten"), POOL), 1),
        # Windows of windows.
        ((POOL, node("again", "maxpool", side=4, window=(2, 2))), 4),
    ],
)
def test_rows_that_a_pooling_makes_a_layer_make_at_once(
    behind: tuple[Node, ...], rows: int
) -> None:
    _, shares = seen(network(*behind))
    assert shares[0] == (3 + rows - 1) / 8


def test_strides_take_more_rows() -> None:
    """The second row of the output lies two rows further down; windows are of 2 x 2 of 4 x 4."""
    live, shares = seen(network(node("pool", "maxpool", side=4, window=(2, 2)), stride=2))
    assert shares == [(3 + 2) / 8, 4 / 16]
    assert live == BITS * min((3 + 2 + 2 * 2) / 8, 1)


def test_fused_windows_are_the_same() -> None:
    asked = network(*STREAM, POOL)
    assert seen(asked, execution="fused") == seen(asked)


def test_layer_by_layer_there_are_none() -> None:
    assert seen(network(*STREAM, POOL), execution="layer_by_layer")[0] == 0


def priced(pooling: str, kib: float) -> CostArrays:
    buffers = {"size_kib": kib, "reads": [{"size_kib": kib, "pj_per_bit": 0.01}]}
    digital = {"pooling": pooling, "clock_mhz": 1e6}
    system = {"execution": "pipelined", "digital": digital, "buffers": buffers}
    return estimate_table(layer_table([network(*STREAM, POOL)]), hardware(system=system))


def test_rows_that_find_no_room_are_moved_off_the_chip() -> None:
    """Six of eight rows are wanted, four have room: a third of the input spills, twice."""
    costs = priced("in_stream", BITS * 4 / 8 / 8192)
    assert costs.components["off_chip"][0] == pytest.approx(2 * BITS / 3 * 3.0)
    assert priced("in_stream", BITS * 6 / 8 / 8192).components["off_chip"][0] == 0


def test_a_pooling_in_the_stream_is_done_with_the_layer_before_it() -> None:
    """It waits for its first window alone, and takes no time beyond that of the layer."""
    in_stream, stored = (priced(how, 8.0) for how in ("in_stream", "stored"))
    layer_ns = in_stream.nodes.latency_ns[0, 0]
    assert in_stream.latency_ns[0] == pytest.approx(layer_ns)
    assert stored.latency_ns[0] >= in_stream.latency_ns[0]
