"""One step from a machine to the next: what it saves, who pays, and why nobody has to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from math import ceil

import numpy as np

from cimsearch.api import estimate
from cimsearch.cost import CostReport, LayerFidelity
from cimsearch.seeds import stream
from cimsearch.space import Candidate, StudySpace
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.settings import setting_of, with_settings
from tests.loopholes.cheapest import OBJECTIVES, Field

NEARLY = 1e-9
SAVED = 1e-3
NEARLY_DB = 0.05
"""Signal to noise that differs by less is the same: the closed form is no better."""

LOSSLESS_DB = 80.0
FAR_BELOW_DB = 15.0
"""Noise so far below another adds 0.14 dB to it at most."""

LOST_DB = 3.0
"""With a signal less than twice its noise, a layer's output says next to nothing."""


@dataclass(frozen=True)
class End:
    """A network on a machine: one end of a step."""

    network: Candidate
    machine: Hardware
    cost: CostReport
    signals: tuple[LayerFidelity, ...]

    @property
    def prices(self) -> np.ndarray:
        """The objectives (3,)."""
        return np.array([getattr(self.cost, name) for name in OBJECTIVES])

    @property
    def decibels(self) -> np.ndarray:
        """Signal to noise of each layer on arrays; of what loses nothing, 80 dB."""
        return np.array([_decibels(layer.snr_db) for layer in self.signals])

    @property
    def cells(self) -> int:
        """Cells of all arrays there are."""
        array, macros = self.machine.macro.array, self.machine.system.macros
        built = self.cost.macros if macros == "enough" else macros
        return built * array.rows * array.cols

    @property
    def on_arrays(self) -> list[LayerFidelity]:
        """What converters do to the layers that have them."""
        return [layer for layer in self.signals if layer.adc_bits]


@dataclass(frozen=True)
class Step:
    """A network on a machine, and on another that differs in one field."""

    name: str
    before: End
    after: End

    @property
    def values(self) -> tuple[float, float]:
        """The field before and after."""
        before, after = (setting_of(end.machine, self.name) for end in (self.before, self.after))
        return float(before), float(after)

    @property
    def is_free(self) -> bool:
        """Whether a price falls, none rises, and no layer has less signal."""
        loses = self.after.decibels < self.before.decibels - NEARLY_DB
        return cheaper(self.before.prices, self.after.prices) and not loses.any()

    def __str__(self) -> str:
        ends = ", ".join(
            f"{end.prices.round(1)} {end.decibels.round(2)}" for end in (self.before, self.after)
        )
        return f"{self.name} {self.values}: {ends}; {self.before.machine.summary}"


def cheaper(before: np.ndarray, after: np.ndarray) -> bool:
    """Return whether of the prices (3,) one falls and none rises."""
    none_rises = (after <= before * (1 + NEARLY)).all()
    return bool(none_rises and (after < before * (1 - SAVED)).any())


def steps(field: Field, n: int) -> Iterator[Step]:
    """Yield the steps of one field, up and down, from ``n`` random networks and machines.

    Each is yielded in the direction in which it is free, or upwards if it is not.
    """
    end = cache(partial(_end, field))
    for name, low, high in _moves(field, n):
        yield _step(name, end(low), end(high))


def free_steps(field: Field, n: int) -> Iterator[Step]:
    """Yield those of them that are free. All are priced at once; ends are of the cheaper ones."""
    moves = list(_moves(field, n))
    lower, higher = (
        field.prices(np.array([move[place] for move in moves], dtype=np.int64)) for place in (1, 2)
    )
    for (name, low, high), before, after in zip(moves, lower, higher, strict=True):
        if cheaper(before, after) or cheaper(after, before):
            step = _step(name, _end(field, low), _end(field, high))
            if step.is_free:
                yield step


Chosen = tuple[int, ...]
"""The genes of a network and its machine."""


def _moves(field: Field, n: int) -> Iterator[tuple[str, Chosen, Chosen]]:
    """Yield fields of ``n`` random networks' machines, with genes before and after a step up."""
    space = field.space
    assert isinstance(space, StudySpace)
    assert space.machines is not None
    fields = space.machines.fields
    drawn = space.repair(space.sample_genes(n, stream("steps", 0)))
    first = drawn.shape[1] - len(fields)
    moved = drawn[:, None] + np.eye(drawn.shape[1], dtype=np.int64)[first:]
    within = moved[:, range(len(fields)), range(first, drawn.shape[1])] < [
        len(values) for _, values in fields
    ]
    there = np.zeros_like(within)
    there[within] = (space.repair(moved[within]) == moved[within]).all(axis=1)
    for network, place in zip(*np.nonzero(there), strict=True):
        before, after = drawn[network].tolist(), moved[network, place].tolist()
        yield fields[place][0], tuple(before), tuple(after)


def _step(name: str, low: End, high: End) -> Step:
    back = Step(name, high, low)
    return back if back.is_free else Step(name, low, high)


def _end(field: Field, genes: Chosen) -> End:
    network = field.space.decode(genes)
    machine = with_settings(field.hardware, network.settings)
    cost = estimate(network, field.hardware)
    signals = tuple(layer.fidelity for layer in cost.layers if layer.fidelity is not None)
    return End(network, machine, cost, signals)


def _decibels(found: float | None) -> float:
    return LOSSLESS_DB if found is None else float(found)


def _unused_lines(step: Step) -> bool:
    return step.name in ("rows", "cols") and step.after.cells < step.before.cells


def _tells_nothing_more(step: Step) -> bool:
    """Whether each layer is read without loss, far more exactly than its noise, or is lost."""
    return step.name == "adc_bits" and all(
        after.adc_bits >= after.adc_bits_lossless
        or _decibels(after.snr_db_adc) > _decibels(after.snr_db_analog) + FAR_BELOW_DB
        or _decibels(before.snr_db) < LOST_DB
        for before, after in zip(step.before.on_arrays, step.after.on_arrays, strict=True)
    )


def _larger_swing(step: Step) -> bool:
    macro, (before, after) = step.after.machine.macro, step.values
    return step.name == "active_rows" and after > before and macro.compute_model in ("QS", "QR")


def _drop_of_wires(step: Step) -> bool:
    noise, (before, after) = step.after.machine.macro.noise, step.values
    wires = noise.ir_drop is not None and noise.ir_drop.bitline_ohm > 0
    return step.name == "active_rows" and after > before and wires


def _idle_tree_inputs(step: Step) -> bool:
    macro, (before, after) = step.after.machine.macro, step.values
    return step.name == "active_rows" and after < before and macro.adc is None


def _fewer_trees(step: Step) -> bool:
    fewer = step.after.cost.macros < step.before.cost.macros
    return step.name in ("rows", "cols") and step.after.machine.macro.adc is None and fewer


def _waiting_arrays(step: Step) -> bool:
    digital = step.after.machine.macro.adc is None
    as_fast = abs(step.after.cost.latency_ns / step.before.cost.latency_ns - 1) < NEARLY
    return step.name in ("supply_v", "dac_bits") and digital and as_fast


def _idle_macros(step: Step) -> bool:
    before, after = step.values
    rounds = [
        [ceil(layer.arrays / macros) for layer in step.before.cost.layers]
        for macros in (before, after)
    ]
    resident = [step.before.cost.macros <= macros for macros in (before, after)]
    return step.name == "macros" and rounds[0] == rounds[1] and resident[0] == resident[1]


REASONS: dict[str, Callable[[Step], bool]] = {
    "fewer cells: lines that no weight uses are charged, converted and cover area": _unused_lines,
    "a converter finer than sums or noise, or whose layer is lost": _tells_nothing_more,
    "charge of more rows is a larger swing, against the same noise in volts": _larger_swing,
    "more currents drop more along a bitline, which the closed form leaves out": _drop_of_wires,
    "adder trees over rows that layers do not have": _idle_tree_inputs,
    "drivers, adder trees and ways of inputs of fewer arrays, where the sums are exact and the "
    "arrays not the slowest": _fewer_trees,
    "exact arrays that are faster than the buffer or the bus wait for these": _waiting_arrays,
    "macros beyond those of the widest layer hold nothing, if not all weights stay": _idle_macros,
}
"""Why a step may be free: what it is of, and what has to hold."""


def reasons(step: Step) -> list[str]:
    """Return the sound reasons why nobody pays for a step."""
    return [reason for reason, holds in REASONS.items() if holds(step)]
