"""Genes that are off unless they are stated, and what additions may keep."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from cimsearch.spec.base import WeightBits
from cimsearch.spec.channel_groups import GROUP_FIELDS

RESIDUAL = "residual_bits"
"""The choices of an addition: in how many bits what waits for it is kept."""

WORD = 0
"""What waits is not quantised: it is kept in the words of the digital unit."""

ResidualBits = Literal[0] | WeightBits

ROW_SPARSITY = "row_sparsity"
"""The choices of a layer whose row groups may hold no weights: which share of them."""

_OFF_UNLESS_STATED = (*GROUP_FIELDS, RESIDUAL, ROW_SPARSITY)


def without_absent(genes: Mapping[str, Any]) -> dict[str, Any]:
    """Return genes as plain data without those that are off."""
    return {k: v for k, v in genes.items() if v or k not in _OFF_UNLESS_STATED}


def residual_faults(
    residual_bits: tuple[int, ...], *, adds: bool, what: str
) -> Iterator[tuple[str, str]]:
    """Yield that networks which add nothing have choices of what additions keep.

    Args:
        residual_bits: The choices.
        adds: Whether the networks have additions.
        what: What has none, such as ``the family vgg``.
    """
    if residual_bits and not adds:
        found = ", ".join(map(str, residual_bits))
        yield RESIDUAL, f"found {found}; {what} adds nothing: allowed is to leave it out"
