"""Zero skipping against prices computed by hand, on the layer of ``conv``.

It has 18 rows in 3 tiles and 5 row groups, 6 columns, 16 vectors, 2 planes.
"""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cimsearch.blueprint import Blueprint
from cimsearch.cost import NodeStatistics, estimate
from cimsearch.cost.area import array_um2
from cimsearch.cost.report import node_statistics
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

from .tiny import DIGITAL, conv, hardware

CALLS = 16 * 2 * 5
DRIVEN_ROWS = 16 * 2 * 18
FJ = 1e-3
GATE_FJ = 1.0 * 0.5**2 * 2.0
FAST: dict[str, Any] = {"digital": {"clock_mhz": 1e6}}
SKIPPING: dict[str, Any] = {"zero_skipping": "planes"}


def zeros(share: float, activity: float = 0.25) -> Statistics:
    return Statistics(activity_frac=activity, zero_plane_frac=share)


def difference(name: str, on: Hardware, than: Hardware, statistics: Statistics) -> float:
    a, b = (estimate(conv(), each, statistics).components[name] for each in (on, than))
    return a - b


def test_a_zero_detector_is_paid_whether_it_finds_zeros_or_not() -> None:
    """Half a NAND a row; 8 planes of 2 row groups are told apart by 4 bits of a register."""
    plain, skips = hardware(), hardware(input=SKIPPING)
    for share in (0.0, 0.5, 0.75):
        indexes = CALLS * (1 - share) * 4 * 3.0
        expected = (DRIVEN_ROWS * 0.5 + indexes) * GATE_FJ * FJ
        assert difference("drivers", skips, plain, zeros(share)) == pytest.approx(expected)
    never, detects = (estimate(conv(), on, zeros(0)) for on in (plain, skips))
    assert detects.energy_pj > never.energy_pj


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_planes_of_zeros_are_not_converted(share: float) -> None:
    skips = hardware(input=SKIPPING)
    every, some = (estimate(conv(), skips, zeros(s)).components for s in (0.0, share))
    assert some["adc"] == pytest.approx((1 - share) * every["adc"])
    bitlines = CALLS * 8 * 8 * 1.0 * 0.5**2 * FJ
    assert every["cells"] - some["cells"] == pytest.approx(share * bitlines)
    accumulated = CALLS * 3 * (4 * 6 + 7 * 9) * GATE_FJ * FJ
    assert every["shift_add"] - some["shift_add"] == pytest.approx(share * accumulated)
    for name in ("adder_tree", "buffers", "interconnect", "digital"):
        assert some[name] == every[name]


def test_a_macro_that_does_not_skip_has_no_use_for_zeros() -> None:
    assert estimate(conv(), hardware(), zeros(0.75)) == estimate(conv(), hardware(), zeros(0.0))


def test_skipped_planes_save_time_where_no_row_tile_waits_for_another() -> None:
    """One kernel of 8 rows is one row tile: 16 vectors, 2 planes, 2 row groups."""
    skips = hardware(input=SKIPPING, system=FAST)
    tile = conv(in_shape=(8, 4, 4), kernel=(1, 1))
    # The detector is 2 gates of 0.01 ns deep, at half the nominal supply.
    call_ns = 16 + 2 * 0.01 * 2
    for share in (0.0, 0.75):
        one = estimate(tile, skips, zeros(share)).latency_ns
        assert one == pytest.approx(64 * call_ns * (1 - share))
        several = estimate(conv(), skips, zeros(share)).latency_ns
        assert several == pytest.approx(64 * call_ns)


def test_zero_skipping_in_a_digital_macro() -> None:
    plain, skips = hardware(**DIGITAL), hardware(**DIGITAL, input=SKIPPING)
    detector = (DRIVEN_ROWS * 0.5 + CALLS * 0.5 * 4 * 3.0) * GATE_FJ * FJ
    assert difference("drivers", skips, plain, zeros(0.5)) == pytest.approx(detector)
    assert difference("adder_tree", skips, plain, zeros(0.5)) == 0
    accumulated = CALLS * 3 * (2 + 2 + 2) * 9 * GATE_FJ * FJ
    assert difference("shift_add", skips, plain, zeros(0.5)) == pytest.approx(-accumulated / 2)


def test_the_area_of_zero_skipping() -> None:
    """A tree of 3 gates over 4 rows, and a register of 4 bits."""
    added = array_um2(hardware(input=SKIPPING).macro) - array_um2(hardware().macro)
    assert added == pytest.approx((3 + 4 * 6.0) * 1.0)


def test_more_zero_planes_than_zeros_are_refused() -> None:
    message = r"found 0\.6; allowed is at most 0\.5: the other planes have all the ones of act"
    with pytest.raises(ValidationError, match=message):
        Statistics(zero_plane_frac=0.6)
    for ones in range(101):
        Statistics(activity_frac=ones / 100, zero_plane_frac=(100 - ones) / 100)


def test_every_layer_has_its_own_share_of_zeros() -> None:
    skips, network = hardware(input=SKIPPING), Blueprint((2, 4, 4), 3, (conv("a"), conv("b")))
    activity, density, zero_planes = (
        np.array([each]) for each in ([0.1, 0.5], [0.5, 0.5], [0.8, 0.0])
    )
    shares = NodeStatistics(activity, density, zero_planes)
    adc = [layer.components["adc"] for layer in estimate(network, skips, shares).layers]
    assert adc[0] == pytest.approx(adc[1] * (1 - 0.8))


def test_measured_statistics_keep_the_declared_share_of_zeros() -> None:
    declared = Statistics(activity_frac=0.25, zero_plane_frac=0.5, batch=4)
    found = node_statistics(
        Blueprint((2, 4, 4), 3, (conv(),)), {"conv": 0.1}, {}, default=declared
    )
    assert (found.zero_plane_frac, found.batch) == (0.5, 4)
    assert found.activity_frac.tolist() == [[0.1]]


@pytest.mark.parametrize(("active_rows", "abreast"), [(9, 1), (18, 2), (36, 4)])
def test_groups_that_are_driven_together_are_skipped_together(
    active_rows: int, abreast: int
) -> None:
    """A call is left out where the planes of all its groups are 0, independent of each other."""
    array = {"rows": 36, "active_rows": active_rows}
    on = hardware(input=SKIPPING, array=array, system=FAST)
    node = conv(in_shape=(4, 4, 4), out_shape=(4, 4, 4), groups=4)
    every, some = (estimate(node, on, zeros(share)) for share in (0.0, 0.5))
    executed = 1 - 0.5**abreast
    assert some.components["adc"] == pytest.approx(executed * every.components["adc"])
    assert some.latency_ns == pytest.approx(executed * every.latency_ns)
