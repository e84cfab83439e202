"""The staircase of cost: small changes of width or bits that cross a boundary of the hardware.

Arrays come whole, rows are converted in groups and converters sweep all their columns, so cost
moves in steps. A channel less may free an array, and a channel more may be nearly free. All
changes of a network are priced in one batch, by the equations of every other price.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import copysign, inf
from operator import attrgetter

import numpy as np

from cimsearch.blueprint import Blueprint
from cimsearch.cost.changes import SMALL, Change, Kind, priced_changes, weights_of
from cimsearch.cost.model import CostArrays, estimate_table
from cimsearch.cost.parts import named_statistics
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

FREE_ENERGY_FRAC = 0.01
"""A gain that crosses no boundary and adds at most this share of the energy is free."""

_BOUNDARIES = {
    "row tile": "row_tiles",
    "column tile": "column_tiles",
    "row group": "row_groups",
    "input plane": "planes",
    "weight slice": "slices",
}


@dataclass(frozen=True)
class Step:
    """One change of a network, with what it saves per inference; a cost is a negative saving.

    Attributes:
        where: The coupled group of layers (a width) or the layer (bits).
        kind: What changes.
        before: Channels or bits now.
        after: Channels or bits with the change.
        crosses: The boundaries it crosses: the counts of ``row tile``, ``column tile``, ``row
            group``, ``input plane``, ``weight slice`` or ``macro`` change; with ``copies`` some
            layer is on arrays more often, or less; with ``chip`` the network now fits the macros
            there are, or no longer does; with ``group`` layers are fused in other groups.
        energy_saved_pj: Of the network.
        latency_saved_ns: Of the network, from input to output.
        interval_saved_ns: Of the network, from one inference to the next; the latency's saving
            where layers are not pipelined.
        area_saved_um2: Of the system.
        arrays_saved: Arrays that hold weights once, those of several layers counted once.
        energy_saved_frac: Share of the network's energy.
        weights_lost_frac: Share of the network's weights that is lost; negative for weights
            gained, 0 for bits.
    """

    where: str
    kind: Kind
    before: int
    after: int
    crosses: tuple[str, ...]
    energy_saved_pj: float
    latency_saved_ns: float
    interval_saved_ns: float
    area_saved_um2: float
    arrays_saved: int
    energy_saved_frac: float
    weights_lost_frac: float

    @property
    def worth(self) -> float:
        """Share of the energy saved per share of the weights lost; infinite where none are lost.

        Where the change costs energy, minus its share per share of the weights gained.
        """
        saved = self.energy_saved_frac
        traded = self.weights_lost_frac if saved > 0 else -self.weights_lost_frac
        if traded > 0:
            return saved / traded
        return copysign(inf, saved) if saved else 0.0


@dataclass(frozen=True)
class Staircase:
    """What small changes of one network do.

    Attributes:
        steps: Changes that cross a boundary, and the converter's next bits; most worth first, of
            equal worth the greatest saving of energy.
        free: The largest gains that cross none and add at most ``FREE_ENERGY_FRAC`` of energy,
            in the same order.
    """

    steps: tuple[Step, ...]
    free: tuple[Step, ...]


def staircase(
    blueprint: Blueprint, hardware: Hardware, statistics: Statistics | None = None
) -> Staircase:
    """Return the small changes of ``blueprint`` that cross a boundary of ``hardware``.

    A width is told where it is the nearest one beyond a boundary: all such within ``SMALL``
    channels, or else the next one each way within half the present width.

    Raises:
        HardwareError: The network asks what the macro cannot do.
    """
    table, changes = priced_changes(blueprint, hardware)
    named = named_statistics(statistics, [node.name for node in blueprint.nodes])
    costs = estimate_table(table, hardware, named)
    steps = _steps(changes, weights_of(table, blueprint), costs, hardware)
    widths = [step for step in steps if step.kind == "width"]
    bits = [step for step in steps if step.kind != "width"]
    told = [step for step in bits if step.crosses or step.kind == "adc_bits"]
    free = [step for step in bits if _is_free(step) and step.kind != "adc_bits"]
    for _, group in groupby(widths, key=attrgetter("where")):
        around = list(group)
        down = [step for step in reversed(around) if step.after < step.before]
        up = [step for step in around if step.after > step.before]
        told += [*_nearest_beyond(down), *_nearest_beyond(up)]
        free += _last_free(up)
    by_worth = attrgetter("worth", "energy_saved_pj")
    return Staircase(
        steps=tuple(sorted(told, key=by_worth, reverse=True)),
        free=tuple(sorted(free, key=by_worth, reverse=True)),
    )


def _steps(
    changes: Sequence[Change],
    weights: np.ndarray[tuple[int], np.dtype[np.int64]],
    costs: CostArrays,
    hardware: Hardware,
) -> list[Step]:
    """Return every change with what it does, in the order of ``changes``."""
    crossed = _crossed(costs, hardware)
    energy, latency, interval, area, arrays = (
        np.asarray(values, dtype=np.float64)
        for values in (
            *(costs.energy_pj, costs.latency_ns, costs.interval_ns),
            *(costs.area_um2, costs.macros),
        )
    )
    steps = []
    for row, change in enumerate(changes, start=1):
        steps.append(
            Step(
                where=change.where,
                kind=change.kind,
                before=change.before,
                after=change.after,
                crosses=tuple(name for name, moved in crossed.items() if moved[row]),
                energy_saved_pj=float(energy[0] - energy[row]),
                latency_saved_ns=float(latency[0] - latency[row]),
                interval_saved_ns=float(interval[0] - interval[row]),
                area_saved_um2=float(area[0] - area[row]),
                arrays_saved=int(arrays[0] - arrays[row]),
                energy_saved_frac=float(1 - energy[row] / energy[0]),
                weights_lost_frac=float(1 - weights[row] / weights[0]),
            )
        )
    return steps


def _crossed(
    costs: CostArrays, hardware: Hardware
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Return by boundary which networks (n,) are on another side of it than the first one."""
    owned, crossed = hardware.system.macros, {}
    for name, field in _BOUNDARIES.items():
        counts = np.asarray(getattr(costs.mapping, field))
        crossed[name] = (counts != counts[:1]).any(axis=1)
    copies = np.asarray(costs.nodes.copies)
    crossed["copies"] = (copies != copies[:1]).any(axis=1)
    if costs.groups is not None:
        opens = np.asarray(costs.groups.opens)
        crossed["group"] = (opens != opens[:1]).any(axis=1)
    macros = np.asarray(costs.macros)
    crossed["macro"] = macros != macros[0]
    if owned != "enough":
        fits = macros <= owned
        crossed["chip"] = fits != fits[0]
    return crossed


def _nearest_beyond(outwards: Sequence[Step]) -> Iterator[Step]:
    """Yield of the widths of one direction, nearest first, those that cross what none before did.

    Of widths further than ``SMALL`` only the first boundary is told.
    """
    known: tuple[tuple[str, ...], int] = ((), 0)
    for step in outwards:
        state = (step.crosses, step.arrays_saved)
        far = abs(step.after - step.before) > SMALL
        if far and known[0]:
            return
        if step.crosses and state != known:
            yield step
        known = state


def _last_free(outwards: Sequence[Step]) -> list[Step]:
    """Return the largest of the gains of one direction that are free."""
    free: list[Step] = []
    for step in outwards:
        if not _is_free(step):
            break
        free = [step]
    return free


def _is_free(step: Step) -> bool:
    gain = step.after > step.before
    return gain and not step.crosses and -step.energy_saved_frac <= FREE_ENERGY_FRAC
