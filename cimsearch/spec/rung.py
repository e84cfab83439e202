"""A rung: a training budget, and what an accuracy is scored on."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cimsearch.errors import SpecError
from cimsearch.spec.base import Count, Spec, Whole
from cimsearch.spec.condition import Condition
from cimsearch.spec.document import Document, FieldError
from cimsearch.spec.hardware import Macro, ResistiveCell

Level = Literal["L0", "L1", "L2"]

MAX_CHIPS = 1000
"""Chips from this index on are for the final scoring, which the search never sees."""

PERCENTILE_CHIPS = 20
"""The fewest chips that have a 5th percentile: one of 20 is 5 % of them."""


class Rung(Spec):
    """A training budget with the level, chips and images that an accuracy is scored on.

    ``epochs`` are trained on the candidate, on top of those of the rungs below. With 0 it is
    quantised after training: it has the weights of its float parent, or of the rung below.

    With ``conditions`` every chip is scored at each of them, and its accuracy is the worst of
    these; without, it is read as the macro's file states. ``{}`` is a condition as stated.
    """

    epochs: Whole
    train_level: Level
    score_level: Level
    chips: Annotated[int, Field(ge=1, le=MAX_CHIPS)]
    images: Count | Literal["all"] = "all"
    conditions: tuple[Condition, ...] = ()

    @property
    def training(self) -> dict[str, int | str]:
        """What trained weights depend on, as plain data."""
        return {
            "epochs": self.epochs,
            "train_level": self.train_level,
            "score_level": self.score_level,
        }

    @model_validator(mode="after")
    def _conditions_differ(self) -> Self:
        labels = [condition.label for condition in self.conditions]
        for index, label in enumerate(labels):
            if label in labels[:index]:
                raise FieldError(f"conditions.{index}", f"found {label} again; allowed is once")
        return self


class Halving(Spec):
    """How candidates are promoted from rung to rung: successive halving in cohorts.

    ``cohort`` trained candidates in a row are compared at the lowest rung, and the best
    1/``eta`` of them are promoted; at each rung a cohort is 1/``eta`` of the one below.
    """

    cohort: Annotated[int, Field(ge=2, le=10_000)] = 18
    eta: Annotated[int, Field(ge=2, le=100)] = 3

    def size(self, rung: int) -> int:
        """Return how many trained candidates are a cohort of ``rung``, counted from 0."""
        size = self.cohort
        for _ in range(rung):
            size //= self.eta
        return size

    def check(self, rungs: int) -> None:
        """Check that of each cohort somebody comes to the top of so many rungs.

        Raises:
            FieldError: Nobody does.
        """
        if not self.size(rungs - 1):
            least = self.eta ** (rungs - 1)
            raise FieldError(
                "halving.cohort",
                f"found {self.cohort}; allowed is at least {least}, so that one of them comes to "
                f"the last of {rungs} rungs",
            )


def without_effect(
    document: Document, rungs: tuple[Rung, ...], macro: Macro, name: str
) -> list[SpecError]:
    """Return an error for each part of a study's conditions that would change nothing.

    Args:
        document: The study's file.
        rungs: Of the study.
        macro: What it is on.
        name: What that is called in messages.
    """
    return [
        document.error(
            ("rungs", rung, "conditions", index, part),
            f"found {value}; {name} has no noise.{missing}, so it would have no effect",
        )
        for rung, own in enumerate(rungs)
        for index, condition in enumerate(own.conditions)
        for part, value, missing in _parts(condition, macro)
        if missing
    ]


def _parts(condition: Condition, macro: Macro) -> Iterator[tuple[str, str, str]]:
    """Yield what a condition gives: its name, its value, and which effect it misses, if any."""
    if condition.age_s is not None:
        yield "age_s", f"{condition.age_s:g}", "" if macro.noise.drift else "drift"
    pvt = macro.noise.pvt
    if condition.supply_v is not None:
        follows = pvt and pvt.gain_per_supply_frac
        yield "supply_v", f"{condition.supply_v:g}", _pvt(macro, "gain_per_supply_frac", follows)
    if condition.temperature_c is not None:
        leaks = pvt and pvt.leakage_doubling_c and isinstance(macro.cell, ResistiveCell)
        follows = pvt and (pvt.gain_per_c or leaks)
        yield "temperature_c", f"{condition.temperature_c:g}", _pvt(macro, "gain_per_c", follows)
    if condition.corner is not None:
        share = {"ss": "slow_frac", "tt": "", "ff": "fast_frac"}[condition.corner]
        follows = macro.corner != "tt" or not share or getattr(pvt, share, 0.0)
        yield "corner", condition.corner, _pvt(macro, share, follows)


def _pvt(macro: Macro, part: str, follows: object) -> str:
    """Return what is missing of ``noise.pvt``, or nothing where the macro follows."""
    if macro.noise.pvt is None:
        return "pvt"
    return "" if follows else f"pvt.{part}"
