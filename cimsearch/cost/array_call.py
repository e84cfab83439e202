"""Energy and time of an array call looked up in a table from circuit simulation.

Linear along bits, rows and activity between the points of the table, never beyond them: values
outside are held at its edge, and ``outside`` says which they are, to be refused. In torch,
gradients are the slopes between the points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.demand import Label
from cimsearch.cost.layers import FJ_PER_PJ, Layers
from cimsearch.cost.namespace import (
    Array,
    at_least,
    at_most,
    is_numpy,
    namespace_of,
    summed,
    values_of,
)
from cimsearch.errors import HardwareError
from cimsearch.spec.array_call import AXES, ArrayCall, place_of

Axis = NDArray[np.float64]
Grid = NDArray[np.float64]


@dataclass(frozen=True)
class Grids:
    """The points of a table as arrays.

    Attributes:
        axes: The values of bits, rows and activity, each rising.
        energy_pj: Energy of a call, array (bits, rows, activity).
        delay_ns: Time of a call, of the same shape.
    """

    axes: tuple[Axis, Axis, Axis]
    energy_pj: Grid
    delay_ns: Grid


@lru_cache(maxsize=16)
def grids_of(table: ArrayCall) -> Grids:
    """Return the points of ``table`` as arrays."""
    points = sorted(table.points, key=place_of)
    bits, rows, activity = (np.array(axis, dtype=np.float64) for axis in table.axes())
    shape = (len(bits), len(rows), len(activity))
    return Grids(
        axes=(bits, rows, activity),
        energy_pj=np.reshape([point.energy_pj for point in points], shape),
        delay_ns=np.reshape([point.delay_ns for point in points], shape),
    )


def call_pj(table: ArrayCall, bits: Array, rows: Array, activity: Array) -> Array:
    """Return the energy of array calls, pJ.

    Args:
        table: The simulated calls.
        bits: Converter bits on an analog macro, weight bits on a digital one.
        rows: Rows driven.
        activity: Share of the input bits applied that are 1.

    Returns:
        As many as the three arrays broadcast to.
    """
    return _interpolated(grids_of(table).axes, grids_of(table).energy_pj, (bits, rows, activity))


def call_delay_ns(table: ArrayCall, bits: Array, rows: Array, activity: Array) -> Array:
    """Return the time of array calls, ns; arguments as those of ``call_pj``."""
    return _interpolated(grids_of(table).axes, grids_of(table).delay_ns, (bits, rows, activity))


def outside(
    table: ArrayCall, bits: Array, rows: Array, activity: Array, *, of: str
) -> tuple[NDArray[np.bool_], Callable[[int, int], str]]:
    """Return which nodes (n, nodes) are outside the table, and what is wrong with one of them.

    The arrays broadcast to (n, nodes). The text is for (n, node) of a node that is outside, and
    names the first axis that it leaves, and the hardware as ``of``.
    """
    asked = np.broadcast_arrays(*(np.atleast_2d(values_of(at)) for at in (bits, rows, activity)))
    axes = grids_of(table).axes
    beyond = [~((at >= axis[0]) & (at <= axis[-1])) for axis, at in zip(axes, asked, strict=True)]

    def text(n: int, node: int) -> str:
        at = min(n, asked[0].shape[0] - 1), min(node, asked[0].shape[1] - 1)
        first = next(index for index, bad in enumerate(beyond) if bad[at])
        low, high = axes[first][0], axes[first][-1]
        name, verb = AXES[first], "is" if AXES[first] == "activity_frac" else "are"
        allowed = f"{low:.9g} to {high:.9g}" if low < high else f"{low:.9g} alone"
        return (
            f"{name} {asked[first][at]:.9g} {verb} outside the table of array calls of {of}: "
            f"{allowed}; add points there"
        )

    return beyond[0] | beyond[1] | beyond[2], text


def array_call_fj(layers: Layers) -> Array:
    """Return the energy of a layer's array calls, fJ (n, nodes); 0 without a table.

    A call costs the same however many of its columns are in use, unless ``gating: [columns]``
    cuts off the others.
    """
    macro, mapping = layers.hardware.macro, layers.mapping
    if macro.array_call is None:
        return 0.0 * mapping.rows
    bits, activity = _bits(layers), _activity(layers)
    energy = summed(
        count * call_pj(macro.array_call, bits, rows, activity)
        for rows, count in mapping.row_group_sizes(macro.array.active_rows)
    )
    calls = mapping.vectors * mapping.planes * mapping.groups * layers.executed
    if "columns" in macro.array.gating:
        arrays = mapping.outputs * mapping.columns_per_output / macro.array.cols
    else:
        arrays = mapping.column_tiles
    return calls * arrays * energy * FJ_PER_PJ


def longest_call_ns(layers: Layers, table: ArrayCall) -> Array:
    """Return the time of a call of a layer's fullest row group, skipped or not, ns (n, nodes)."""
    mapping = layers.mapping
    rows = layers.xp.minimum(mapping.rows, mapping.tile_rows)
    rows = at_most(rows, layers.hardware.macro.array.active_rows)
    return call_delay_ns(table, _bits(layers), rows, _activity(layers))


def check_calls(layers: Layers, label: Label) -> None:
    """Check that the macro's table, if it has one, covers every array call.

    Raises:
        HardwareError: A call is outside the table; ``label`` names its node.
    """
    macro, mapping = layers.hardware.macro, layers.mapping
    if macro.array_call is None:
        return
    for rows, count in mapping.row_group_sizes(macro.array.active_rows):
        asked, name = (_bits(layers), rows, _activity(layers)), layers.hardware.name
        beyond, text = outside(macro.array_call, *asked, of=name)
        found = values_of(layers.demand.cim & (count > 0)) & beyond
        if found.any():
            n, node = (int(index) for index in np.argwhere(found)[0])
            raise HardwareError(f"{label(n, node)}: {text(n, node)}")


def _bits(layers: Layers) -> Array:
    """Return the bits that the table of this macro is told for."""
    demand = layers.demand
    return demand.w_bits if layers.hardware.macro.adc is None else demand.adc_bits


def _activity(layers: Layers) -> Array:
    """Return the activity of the planes that are carried out: those skipped had no ones."""
    if layers.hardware.macro.input.zero_skipping == "none":
        return layers.activity
    executed = layers.executed + (layers.executed == 0)
    return at_most(layers.activity / executed, 1.0)


def _interpolated(axes: tuple[Axis, ...], grid: Grid, at: tuple[Array, ...]) -> Array:
    """Return values of ``grid`` at the places ``at`` along its axes: exact at its points."""
    flat, steps = grid.ravel(), (grid.shape[1] * grid.shape[2], grid.shape[2], 1)
    places = [_place(axis, asked) for axis, asked in zip(axes, at, strict=True)]
    start = places[0][0] * steps[0] + places[1][0] * steps[1] + places[2][0]

    def corner(offset: int, axis: int) -> Array:
        if axis == len(axes):
            return _like(flat.take(start + offset), at[0])
        below = corner(offset, axis + 1)
        if len(axes[axis]) == 1:
            return below
        share, above = places[axis][1], corner(offset + steps[axis], axis + 1)
        # The one form that is exact at both ends.
        return below * (1 - share) + above * share

    return corner(0, 0)


def _place(axis: Axis, asked: Array) -> tuple[NDArray[np.intp], Array]:
    """Return the point at or below each value asked, and its share of the way to the next."""
    if len(axis) == 1:
        return np.zeros(values_of(asked).shape, dtype=np.intp), 0.0 * asked
    held = at_most(at_least(asked, float(axis[0])), float(axis[-1]))
    low = np.searchsorted(axis, values_of(held), side="right") - 1
    low = np.clip(low, 0, len(axis) - 2)
    below = _like(axis[low], held)
    return low, (held - below) / _like(np.diff(axis)[low], held)


def _like(values: NDArray[np.float64], array: Array) -> Array:
    """Return ``values`` in the namespace of ``array``."""
    if is_numpy(array):
        return values
    converted: Array = namespace_of(array).asarray(values, dtype=array.dtype, device=array.device)
    return converted
