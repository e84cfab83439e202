"""Morphing: a float network's widths shrunk and expanded, priced in bitlines, into a budget."""

from cimsearch.training.morph.course import (
    Bench,
    Morphed,
    Morphing,
    OnStage,
    Stage,
    morph,
    untold,
)
from cimsearch.training.morph.gains import alive_channels, check_gains, gains, pull
from cimsearch.training.morph.price import channel_prices
from cimsearch.training.morph.shrink import found_strength, normalised, shrink
from cimsearch.training.morph.widen import widen

__all__ = [
    "Bench",
    "Morphed",
    "Morphing",
    "OnStage",
    "Stage",
    "alive_channels",
    "channel_prices",
    "check_gains",
    "found_strength",
    "gains",
    "morph",
    "normalised",
    "pull",
    "shrink",
    "untold",
    "widen",
]
