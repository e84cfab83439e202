"""A rung: a training budget, and what an accuracy is scored on."""

from typing import Annotated, Literal

from pydantic import Field

from cimsearch.spec.base import Count, Spec

Level = Literal["L0", "L1", "L2"]

MAX_CHIPS = 1000
"""Chips from this index on are for the final scoring, which the search never sees."""

PERCENTILE_CHIPS = 20
"""The fewest chips that have a 5th percentile: one of 20 is 5 % of them."""


class Rung(Spec):
    """A training budget with the level, chips and images that an accuracy is scored on."""

    epochs: Count
    train_level: Level
    score_level: Level
    chips: Annotated[int, Field(ge=1, le=MAX_CHIPS)]
    images: Count | Literal["all"] = "all"
