"""Which channels of a parent are there, and how much each matters."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from cimsearch.blueprint import Blueprint
from cimsearch.space.widths import multiples_of, widths_of


@dataclass(frozen=True)
class Added:
    """The channels that a residual block adds to its shortcut's.

    Attributes:
        group: Their prune group; empty if there is none.
        importance: As last measured, (channels,): with a group in the parent's numbering.
    """

    group: str
    importance: Tensor


@dataclass(frozen=True)
class Channels:
    """The channels of every prune group, in the parent's numbering.

    Attributes:
        kept: Which are there, (channels,) bool by group.
        importance: As last measured, (channels,) by group: of channels that are gone, as it was
            when they went.
        parts: How many equal parts a group's channels are cut into, by grouped convolutions: one
            channel of each part goes or comes at a time.
        added: What residual blocks add, by block, as last measured.
    """

    kept: Mapping[str, Tensor]
    importance: Mapping[str, Tensor]
    parts: Mapping[str, int]
    added: Mapping[str, Added] = field(default_factory=dict)

    @classmethod
    def all_of(cls, blueprint: Blueprint) -> "Channels":
        """Return all channels of a network, importances 0."""
        widths = widths_of(blueprint)
        return cls(
            {group: torch.ones(width, dtype=torch.bool) for group, width in widths.items()},
            {group: torch.zeros(width, dtype=torch.float64) for group, width in widths.items()},
            multiples_of(blueprint),
        )

    @property
    def widths(self) -> dict[str, int]:
        """Channels that are there, by group."""
        return {group: int(kept.sum()) for group, kept in self.kept.items()}

    @property
    def scores(self) -> dict[str, Tensor]:
        """1 for every channel that is there, 0 for the others; see ``training.prune.inherit``."""
        return {group: kept.double() for group, kept in self.kept.items()}

    def measured(
        self,
        importance: Mapping[str, Tensor],
        added: Mapping[str, Added] = MappingProxyType({}),
    ) -> "Channels":
        """Return the same with new importances of the channels that are there.

        Args:
            importance: (channels that are there,) by group.
            added: What residual blocks add: of a group, of the channels that are there.
        """
        known = {group: values.clone() for group, values in self.importance.items()}
        for group, values in known.items():
            values[self.kept[group]] = importance[group].double()
        of_all = {block: self._of_all(found) for block, found in added.items()}
        return Channels(self.kept, known, self.parts, of_all)

    def _of_all(self, found: Added) -> Added:
        if not found.group:
            return found
        values = torch.zeros_like(self.importance[found.group])
        values[self.kept[found.group]] = found.importance.double()
        return replace(found, importance=values)

    def within(self, blueprint: Blueprint) -> "Channels":
        """Return those of the groups that ``blueprint`` has: a block takes its own with it."""
        parts = multiples_of(blueprint)
        return Channels(
            {group: self.kept[group] for group in parts},
            {group: self.importance[group] for group in parts},
            parts,
        )

    def added_by(self, block: str) -> float:
        """Return the importance lost with a residual block: that of the channels it still adds."""
        found = self.added[block]
        there = found.importance[self.kept[found.group]] if found.group else found.importance
        return float(there.sum())

    def lost(self, group: str) -> list[float]:
        """Return the importance lost with the least important 0, 1, ... channels of every part."""
        least = self._of_parts(group, there=True).sort(dim=1).values
        return [0.0, *least.sum(dim=0).cumsum(dim=0).tolist()]

    def won(self, group: str) -> list[float]:
        """Return the importance won with the most important 0, 1, ... missing ones of a part."""
        most = self._of_parts(group, there=False).sort(dim=1, descending=True).values
        return [0.0, *most.sum(dim=0).cumsum(dim=0).tolist()]

    def changed(self, counts: Mapping[str, int]) -> "Channels":
        """Return the channels after some go, or (counts below 0) come back, by group.

        The least important ones go, the most important ones come; of equal ones the last goes and
        the first comes. Counts are multiples of ``parts``.
        """
        kept = dict(self.kept)
        for group, count in counts.items():
            kept[group] = self._changed(group, count)
        return replace(self, kept=kept)

    def _changed(self, group: str, count: int) -> Tensor:
        parts = self.parts[group]
        there = self.kept[group].view(parts, -1).clone()
        values = self.importance[group].view(parts, -1)
        for part, value in zip(there, values, strict=True):
            order = torch.sort(value, descending=True, stable=True).indices
            if count > 0:
                part[order[part[order]][-(count // parts) :]] = False
            elif count < 0:
                part[order[~part[order]][: -count // parts]] = True
        return there.flatten()

    def _of_parts(self, group: str, *, there: bool) -> Tensor:
        """Return the importances of channels that are there, or are not, (parts, channels)."""
        parts = self.parts[group]
        return self.importance[group][self.kept[group] == there].view(parts, -1)
