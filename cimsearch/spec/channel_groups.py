"""Groups of a layer's output channels whose weights have different bits: what genes may say."""

from collections.abc import Iterator

GROUP_FIELDS = ("high_share", "high_bits")
"""The choices of a layer with channel groups: which share has more bits, and how many."""

HIGH, JOINED = ".high", ".joined"
"""What names end in of the part of a layer that has more bits, and of what joins both parts."""

_LEAST = 2
"""Channels of a layer that is in two groups: each has one at least."""


def bits_faults(
    weight_bits: tuple[int, ...], high_share: tuple[float, ...], high_bits: tuple[int, ...]
) -> Iterator[tuple[str, str]]:
    """Yield the fields of channel groups that do not go with the other genes, and why."""
    if bool(high_share) != bool(high_bits):
        found, missing = GROUP_FIELDS if high_share else GROUP_FIELDS[::-1]
        yield found, f"found without {missing}; allowed is both or neither"
    most = max(weight_bits)
    if below := [bits for bits in high_bits if bits <= most]:
        yield (
            "high_bits",
            f"found {', '.join(map(str, below))}; allowed is more than all weight_bits, of which "
            f"{most} is the most (a high_share of 1 gives a whole layer high_bits)",
        )


def width_faults(high_share: tuple[float, ...], least: int) -> Iterator[tuple[str, str]]:
    """Yield that a layer of ``least`` channels cannot be in two groups."""
    if least < _LEAST and any(0 < share < 1 for share in high_share):
        yield (
            "high_share",
            f"found channel groups of layers that pruning leaves {least} channel of; allowed is "
            f"{_LEAST} or more: widen them, or prune less",
        )
