"""Properties of fused execution, on published macros in systems of any options."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint
from cimsearch.cost import CostArrays, estimate, estimate_table, mapping_plan
from cimsearch.cost.columns import joined
from cimsearch.cost.namespace import Array
from cimsearch.cost.parts import parts_of
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics
from tests.property.systems import (
    RESNET,
    VGG,
    bounded,
    networks,
    statistics,
    systems,
    with_system,
)

EXAMPLES = settings(deadline=None, max_examples=20)
JUST = 1 + 1e-9
SOME = st.tuples(st.sampled_from([RESNET, VGG]), st.integers(0, 10_000))


def fused(on: Hardware, **changes: Any) -> Hardware:
    return with_system(on, **({"layers_per_array": "one", "execution": "fused"} | changes))


def table_of(some: tuple[Any, int], on: Hardware) -> LayerTable:
    space, seed = some
    drawn = (space.decode(genes).blueprint for genes in space.sample_genes(4, seed))
    return layer_table([bounded(network, on) for network in drawn])


def chip(
    on: Hardware, table: LayerTable, share: float, spare: int = 0, **changes: Any
) -> Hardware:
    """Return fused hardware with a share of the macros that the largest network needs."""
    needed = int(estimate_table(table, fused(on, macros="enough", duplicates="none")).macros.max())
    return fused(on, macros=max(2, int(needed * share)) + spare, **changes)


@EXAMPLES
@given(SOME, systems(), statistics(), st.integers(0, 500))
def test_what_fits_is_priced_as_pipelined(
    some: tuple[Any, int], on: Hardware, data: Statistics, spare: int
) -> None:
    table = table_of(some, on)
    on = chip(on, table, 1.0, spare)
    one, line = (
        estimate_table(table, with_system(on, execution=how), data)
        for how in ("fused", "pipelined")
    )
    assert one.groups is not None
    assert not one.groups.opens.any()
    for name in ("energy_pj", "latency_ns", "interval_ns", "area_um2", "macros"):
        np.testing.assert_array_equal(getattr(one, name), getattr(line, name), err_msg=name)
    for name in ("energy_pj", "latency_ns", "copies"):
        np.testing.assert_array_equal(getattr(one.nodes, name), getattr(line.nodes, name))
    for name, part in line.components.items():
        np.testing.assert_array_equal(one.components[name], part, err_msg=name)


def capacity(on: Hardware) -> int:
    macros = on.system.macros
    assert macros != "enough"
    return max(macros // 2, 1) if on.system.off_chip.ping_pong else macros


@EXAMPLES
@given(networks(), systems(), st.integers(1, 200))
def test_groups_are_as_large_as_the_macros_allow(
    network: Blueprint, on: Hardware, macros: int
) -> None:
    network = bounded(network, on)
    ping_pong = on.system.off_chip.ping_pong and macros > 1
    memory = on.system.off_chip.model_copy(update={"ping_pong": ping_pong})
    on = fused(on, macros=macros, duplicates="none", off_chip=memory)
    report = estimate(network, on)
    groups, arrays = report.groups, {layer.name: layer.arrays for layer in report.layers}
    assert [name for group in groups for name in group.layers] == list(arrays)
    for group in groups:
        assert group.macros == sum(map(arrays.__getitem__, group.layers))
        on_arrays = [name for name in group.layers if arrays[name]]
        whole = report.macros <= macros
        assert group.fits == (whole or group.macros <= capacity(on))
        assert group.fits or len(on_arrays) == 1
        assert (group.loading_ns > 0) == (not whole and bool(on_arrays))
    for group, following in pairwise(groups):
        assert group.macros + arrays[following.layers[0]] > capacity(on)
    seats: dict[int, list[int]] = {}
    place = {name: at for at, group in enumerate(groups) for name in group.layers}
    for part in mapping_plan(network, on):
        seats.setdefault(place[part.layer], []).append(part.macro % macros)
    for at, taken in seats.items():
        assert not groups[at].fits or len(set(taken)) == len(taken)


def both(table: LayerTable, on: Hardware, data: Statistics) -> tuple[CostArrays, CostArrays]:
    """Return the prices of networks fused, and layer by layer."""
    serial = with_system(on, execution="layer_by_layer")
    return estimate_table(table, on, data), estimate_table(table, serial, data)


@EXAMPLES
@given(SOME, systems(), statistics(), st.floats(0.05, 0.95))
def test_a_batch_takes_no_longer_than_layer_by_layer_where_no_more_is_moved(
    some: tuple[Any, int], on: Hardware, data: Statistics, share: float
) -> None:
    room = on.system.buffers.model_dump() | {"size_kib": on.system.buffers.reads[-1].size_kib}
    table = table_of(some, on)
    on = chip(on, table, share, buffers=room, duplicates="none")
    one, serial = both(table, on, data)
    off_chip = [costs.nodes.components["off_chip"] for costs in (one, serial)]
    no_more = (off_chip[0] <= off_chip[1] * JUST).all(axis=1)
    assume(no_more.any())
    for name in ("interval_ns", "energy_pj"):
        found, known = getattr(one, name)[no_more], getattr(serial, name)[no_more]
        assert (found <= known * JUST).all(), name
    # Layer by layer, what fits says the time of one inference; the others that of the batch.
    waits = no_more & (one.macros > on.system.macros)
    assert (one.latency_ns[waits] <= serial.latency_ns[waits] * JUST).all()


@EXAMPLES
@given(SOME, systems(), statistics(), st.floats(0.05, 0.95))
def test_windows_are_all_that_takes_room_from_tensors_between_groups(
    some: tuple[Any, int], on: Hardware, data: Statistics, share: float
) -> None:
    table = table_of(some, on)
    on = chip(on, table, share, duplicates="none")
    moved, windows, streamed, live = (_of(table, on, data, what) for what in _QUANTITIES)
    serial = _of(table, with_system(on, execution="layer_by_layer"), data, _QUANTITIES[0])
    room = _of(table, on, data, lambda part: 0 * part.table.op + _room(part))
    # Windows that have room spill nothing; a whole tensor at most what they take of its half.
    assert (moved[streamed & (live <= room)] == 0).all()
    more = windows / data.batch
    assert (moved[~streamed] <= (serial + more)[~streamed] * JUST + 1e-6).all()


_QUANTITIES = (
    lambda part: part.traffic.off_chip,
    lambda part: part.groups.beside_bits,
    lambda part: part.groups.streamed,
    lambda part: part.groups.live_bits,
)


def _room(part: Any) -> Array:
    return part.hardware.system.buffers.size_kib * 8192 - part.digital_kept_bits


def _of(table: LayerTable, on: Hardware, data: Statistics, what: Any) -> Any:
    floating = table.map(lambda column: column.astype(np.float64))
    return joined(parts_of(floating, on, data, "{} {}".format), what)


@pytest.mark.parametrize(("batch", "off_chip", "latency"), [(1, 1.367, 0.506), (16, 0.440, 0.441)])
def test_the_figures_that_the_documentation_tells(
    batch: int, off_chip: float, latency: float
) -> None:
    """Alone, an inference moves more than layer by layer: its windows take room from the rest."""
    table = layer_table([RESNET.uniform(weight_bits=8, activation_bits=8).blueprint])
    one, serial = both(table, fused(load_hardware("systems/edge_soc")), Statistics(batch=batch))
    ratio = one.components["off_chip"] / serial.components["off_chip"]
    assert ratio[0] == pytest.approx(off_chip, abs=5e-4)
    assert one.latency_ns[0] / serial.latency_ns[0] == pytest.approx(latency, abs=5e-4)
