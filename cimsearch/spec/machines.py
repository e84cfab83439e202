"""The machines that a study may choose from: its hardware with every choice of opened fields."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import Hardware, Macro
from cimsearch.spec.hardware_genes import HardwareGenes, Number, Settings, listed
from cimsearch.spec.settings import setting_of, with_settings

MOST_MACHINES = 5000

_BOUND = {
    "rows": "active_rows",
    "active_rows": "rows",
    "cols": "columns_per_adc",
    "columns_per_adc": "cols",
}
"""Of two fields of which one bounds the other, the other."""

Choices = NDArray[np.int64]
"""Indices of choices (n, f), a column for each opened field."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with choices of fields.

    Attributes:
        field: The field that it is of; empty for all.
        message: What was found, and what is allowed.
        hint: What to do, or empty.
    """

    field: str
    message: str
    hint: str


@dataclass(frozen=True)
class Machines:
    """A piece of hardware with the choices of its opened fields.

    Not all choices go together: an array has no more active rows than rows. Where they do not, the
    nearest that do are meant, so that every vector of choices is a machine.

    Attributes:
        hardware: As its file says.
        genes: The choices.
    """

    hardware: Hardware
    genes: HardwareGenes

    @cached_property
    def fields(self) -> tuple[tuple[str, tuple[Number, ...]], ...]:
        """The opened fields with their choices, smallest first."""
        return tuple((name, tuple(sorted(values))) for name, values in self.genes.opened())

    @cached_property
    def own(self) -> Settings:
        """The settings of the file itself; none if one of them is not among the choices."""
        found = {name: setting_of(self.hardware, name) for name, _ in self.fields}
        if any(found[name] not in values for name, values in self.fields):
            return ()
        return tuple((name, values[values.index(found[name])]) for name, values in self.fields)

    def possible(self, choices: Choices) -> Choices:
        """Return ``choices`` (n, f) with those that do not go together replaced by the nearest.

        Nearest is by the number of steps along the choices; of equals the first in order.
        """
        flat = np.ravel_multi_index(tuple(choices.T), self._sizes)
        return np.stack(np.unravel_index(self._nearest[flat], self._sizes), axis=1)

    def settings(self, choices: Choices) -> Settings:
        """Return what one vector of choices (f,), which go together, sets."""
        return tuple(
            (name, values[int(index)])
            for (name, values), index in zip(self.fields, choices, strict=True)
        )

    def machine(self, settings: Settings) -> Hardware:
        """Return the hardware with ``settings``, built once; with none the hardware itself.

        Raises:
            HardwareError: They do not go together.
        """
        if settings not in self._known:
            self._known[settings] = with_settings(self.hardware, settings)
        return self._known[settings]

    def reason(self, choices: Choices) -> str:
        """Return why one vector of choices (f,) does not go together; empty if it does."""
        settings = self.settings(choices)
        try:
            macro = self.machine(settings).macro
        except HardwareError as error:
            return error.message.removeprefix(f"{self.hardware.name} with {listed(settings)}: ")
        cols, needed = macro.array.cols, _widest(macro)
        if needed <= cols:
            return ""
        bits = macro.weights.max_bits
        return f"cols {cols}: {bits}-bit weights take {needed} for an output"

    def fault(self) -> Fault | None:
        """Return the first choice that is one of no machine, or that there are too many."""
        if (found := prod(self._sizes)) > MOST_MACHINES:
            return Fault("", f"found {found:,} machines; allowed are {MOST_MACHINES:,}", "")
        for column, (name, values) in enumerate(self.fields):
            for index, value in enumerate(values):
                asking = self._grid[:, column] == index
                if not self._is_possible[asking].any():
                    reason = self.reason(self._grid[asking][0])
                    message = f"found {value:g}, which goes with no other choices: {reason}"
                    return Fault(name, message, self._hint(name, value, reason))
        return None

    @cached_property
    def count(self) -> int:
        """How many machines there are."""
        return int(self._is_possible.sum())

    @cached_property
    def _known(self) -> dict[Settings, Hardware]:
        return {}

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for _, values in self.fields)

    @cached_property
    def _grid(self) -> Choices:
        """All choices (m, f) in order."""
        return np.array(list(product(*map(range, self._sizes))), dtype=np.int64)

    @cached_property
    def _is_possible(self) -> NDArray[np.bool_]:
        return np.array([not self.reason(choices) for choices in self._grid], dtype=bool)

    def _hint(self, name: str, value: Number, reason: str) -> str:
        """Return what to do if the cause is the file's value of a field that is not opened."""
        bound = _BOUND.get(name)
        if bound is None or bound in dict(self.fields) or bound not in reason:
            return ""
        own = setting_of(self.hardware, bound)
        return (
            f"{bound} is not opened and stays at {own}: open genes.hardware.{bound} as well, or "
            f"leave {value:g} out"
        )

    @cached_property
    def _nearest(self) -> NDArray[np.int64]:
        """For each of the grid's choices (m,) the nearest that go together, as its place."""
        good = np.flatnonzero(self._is_possible)
        nearest = np.arange(len(self._grid))
        for place in np.flatnonzero(~self._is_possible):
            steps = np.abs(self._grid[good] - self._grid[place]).sum(axis=1)
            nearest[place] = good[int(steps.argmin())]
        return nearest


def _widest(macro: Macro) -> int:
    """Return the columns that an output of the macro's largest weights takes, at its encodings."""
    return max(
        -(-(macro.weights.max_bits - pair) // macro.array.cell_bits) * (1 + pair)
        for pair in (str(e).startswith("differential") for e in macro.choices("encoding"))
    )
