"""What each node asks of the macro, checked against what the macro can do."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cimsearch.blueprint import ENCODINGS, RANGE_POLICIES
from cimsearch.cost.namespace import (
    Array,
    Mask,
    at_least,
    ceil_div,
    floor,
    floor_div,
    namespace_of,
    stepped,
    values_of,
)
from cimsearch.errors import HardwareError
from cimsearch.layer_table import LayerTable
from cimsearch.spec.hardware import Hardware, Macro
from cimsearch.units import MILLION

Label = Callable[[int, int], str]
DIFFERENTIAL = ENCODINGS.index("differential")
DIFFERENTIAL_DIGITAL = ENCODINGS.index("differential_digital")
_WORDS = {"encoding": ENCODINGS, "range_policy": RANGE_POLICIES}


@dataclass(frozen=True)
class Demand:
    """The settings that the nodes on arrays run at, arrays (n, nodes).

    Bits are rounded up to the next setting the chip has: fewer bits than that are stored and
    applied with leading zeros, and pay for them. Off the arrays the values are placeholders.

    Attributes:
        cim: Whether the node is on arrays.
        w_bits: Weight bits.
        x_bits: Activation bits.
        adc_bits: Converter bits; 0 on a digital macro.
        encoding: Index into ``ENCODINGS``.
        range_policy: Index into ``RANGE_POLICIES``.
        beside_bits: Weight bits of the part that the node lies beside; its own if there is none.
    """

    cim: Mask
    w_bits: Array
    x_bits: Array
    adc_bits: Array
    encoding: Array
    range_policy: Array
    beside_bits: Array

    @property
    def beside(self) -> "Demand":
        """The settings of the part that each node lies beside."""
        return replace(self, w_bits=self.beside_bits)


def no_demand(nothing: Array) -> Demand:
    """Return the settings of nodes that are never on arrays; ``nothing`` is a zero (1, 1)."""
    one = nothing + 1
    return Demand(nothing > 0, one, one, nothing, nothing, nothing, one)


def of_one_output(demand: Demand, cell_bits: int) -> tuple[Array, Array, Array]:
    """Return slices, columns and lines (n, nodes) of one output.

    Differential encodings store ``w_bits - 1`` bits of magnitude on one side of a column pair. The
    analog pair is read out as one line; every other column is a line of its own.
    """
    digital_pair = 1.0 * (demand.encoding == DIFFERENTIAL_DIGITAL)
    pair = digital_pair + (demand.encoding == DIFFERENTIAL)
    slices = ceil_div(at_least(demand.w_bits - pair, 1), cell_bits)
    return slices, slices * (1 + pair), slices * (1 + digital_pair)


def beside_outputs(table: LayerTable, demand: Demand, macro: Macro) -> Array:
    """Return how many outputs (n, nodes) fit into the last array of the part beside each node."""
    if not values_of(table.beside_channels > 0).any():
        return 0.0 * table.beside_channels
    xp, cols = namespace_of(table.op), macro.array.cols
    taken, columns = (
        of_one_output(settings, macro.array.cell_bits)[1] for settings in (demand.beside, demand)
    )
    per_array = at_least(floor(cols / taken), 1)
    last = table.beside_channels - (ceil_div(table.beside_channels, per_array) - 1) * per_array
    fitting = floor_div(at_least(cols - last * taken, 0), columns)
    fitting = xp.where(demand.cim & (table.beside_channels > 0), fitting, 0.0)
    within: Array = xp.minimum(fitting, table.out_channels)
    return within


@dataclass(frozen=True)
class _Checker:
    """Refuses what the hardware cannot do, naming the first node that asks it."""

    cim: Mask
    hardware: Hardware
    label: Label

    def refuse(self, bad: Mask, text: Callable[[int, int], str]) -> None:
        """Raise if any node on arrays is ``bad``; ``text`` says what is wrong with (n, node)."""
        found = self.cim & bad
        if found.any():
            n, node = (int(index) for index in np.argwhere(found)[0])
            raise HardwareError(f"{self.label(n, node)}: {text(n, node)} on {self.hardware.name}")

    def bits(self, asked: Array, field: Literal["weight_bits", "activation_bits"]) -> Array:
        """Return ``asked`` rounded up to the settings there are."""
        known = sorted(int(choice) for choice in self.hardware.macro.choices(field))
        most = known[-1]
        name = field.replace("_", " ")
        values = values_of(asked)
        self.refuse(
            (values < 1) | (values > most),
            lambda n, i: (
                f"{name}: found {f'{values[n, i]:g}' if values[n, i] else 'float'}; "
                f"allowed are 1 to {most}"
            ),
        )
        next_setting = np.array(
            [known[0], *(min(k for k in known if k >= b) for b in range(1, most + 1))], dtype=float
        )
        within = np.where(self.cim, values, most)
        return stepped(asked, next_setting[np.ceil(within).astype(np.intp)])

    def own_or(
        self, asked: Array, field: Literal["adc_bits", "encoding", "range_policy"], own: int
    ) -> Array:
        """Return ``asked`` (codes or bits), or the chip's ``own`` where a node asks nothing."""
        words = _WORDS.get(field)
        choices = self.hardware.macro.choices(field)
        known = [words.index(str(c)) if words else int(c) for c in choices]
        values = values_of(asked)
        allowed = values == 0
        for setting in known:
            allowed |= values == setting
        self.refuse(
            ~allowed,
            lambda n, i: (
                f"{field.replace('_', ' ')}: found "
                f"{words[int(values[n, i])] if words else f'{values[n, i]:g}'}; "
                f"allowed are {', '.join(map(str, choices))}"
            ),
        )
        chosen: Array = namespace_of(asked).where(asked == 0, own, asked)
        return chosen


def demand_of(table: LayerTable, hardware: Hardware, label: Label) -> Demand:
    """Return the settings of every node of ``table``.

    Args:
        table: The networks.
        hardware: What they run on.
        label: Names the node at (network, node) in an error.

    Raises:
        HardwareError: A node asks what the macro cannot do; names the first such node.
    """
    macro = hardware.macro
    cim = (table.cim == 1) & (table.op >= 0)
    check = _Checker(values_of(cim), hardware, label)
    policy = macro.adc.range_policy if macro.adc else "full_scale"
    w_bits = beside_bits = check.bits(table.w_bits, "weight_bits")
    second = table.beside_channels > 0
    if values_of(second).any():
        asked = namespace_of(table.op).where(second, table.beside_bits, table.w_bits)
        beside_bits = check.bits(asked, "weight_bits")
    demand = Demand(
        cim=cim,
        w_bits=w_bits,
        beside_bits=beside_bits,
        x_bits=check.bits(table.x_bits, "activation_bits"),
        adc_bits=check.own_or(table.adc_bits, "adc_bits", macro.adc_bits),
        encoding=check.own_or(table.encoding, "encoding", ENCODINGS.index(macro.weights.encoding)),
        range_policy=check.own_or(
            table.range_policy, "range_policy", RANGE_POLICIES.index(policy)
        ),
    )
    _check_storage(table, demand, check)
    _check_row_sparsity(table, check)
    return demand


def _check_row_sparsity(table: LayerTable, check: _Checker) -> None:
    """Check that the macro skips the row groups that have no weights."""
    skips = check.hardware.macro.array.row_group_skipping
    asked = values_of(table.row_sparsity_ppm)
    most = MILLION - 1 if skips else 0
    allowed = "0 to below 1" if skips else "0, as array.row_group_skipping is false"
    check.refuse(
        (asked < 0) | (asked > most),
        lambda n, i: f"row sparsity: found {asked[n, i] / MILLION:g}; allowed is {allowed}",
    )


def _check_storage(table: LayerTable, demand: Demand, check: _Checker) -> None:
    """Check that signs can be stored and applied, and that an output fits into an array."""
    macro = check.hardware.macro
    check.refuse(
        (values_of(table.x_signed) == 1) & (macro.input.dac_bits > 1),
        lambda *_: f"signed activations need input.dac_bits 1; found {macro.input.dac_bits}",
    )
    check.refuse(
        np.isin(values_of(demand.encoding), (DIFFERENTIAL, DIFFERENTIAL_DIGITAL))
        & (values_of(demand.w_bits) < 2),
        lambda *_: "differential weights need at least 2 bits; found 1",
    )
    columns = values_of(of_one_output(demand, macro.array.cell_bits)[1])
    check.refuse(
        columns > macro.array.cols,
        lambda n, i: f"an output takes {columns[n, i]:g} columns; an array has {macro.array.cols}",
    )
