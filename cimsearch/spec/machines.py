"""The machines that a study may choose from: its hardware with every choice of opened fields."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import Hardware, Macro
from cimsearch.spec.hardware_genes import HardwareGenes, Number, Settings
from cimsearch.spec.settings import setting_of, with_settings

MOST_MACHINES = 5000

Choices = NDArray[np.int64]
"""Indices of choices (n, f), a column for each opened field."""


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

    def check(self) -> None:
        """Check that every choice is one of some machine, and that they are not too many.

        Raises:
            HardwareError: One is of none, or there are too many to look at.
        """
        if (found := prod(self._sizes)) > MOST_MACHINES:
            raise HardwareError(
                f"found {found:,} machines in the choices of genes.hardware; allowed are "
                f"{MOST_MACHINES:,}"
            )
        for column, (name, values) in enumerate(self.fields):
            for index, value in enumerate(values):
                asking = self._grid[:, column] == index
                if not self._is_possible[asking].any():
                    reason = self._fault(self._grid[asking][0])
                    raise HardwareError(f"{name} {value:g} goes with no other choices: {reason}")

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
        return np.array([self._fault(choices) is None for choices in self._grid], dtype=bool)

    def _fault(self, choices: Choices) -> HardwareError | None:
        try:
            macro = self.machine(self.settings(choices)).macro
        except HardwareError as error:
            return error
        cols, needed = macro.array.cols, _widest(macro)
        if needed <= cols:
            return None
        bits = macro.weights.max_bits
        return HardwareError(f"cols {cols}: {bits}-bit weights take {needed} for an output")

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
