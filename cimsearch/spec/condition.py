"""When and where a chip is read: age, supply, temperature, process corner."""

from typing import Annotated, Literal

from pydantic import Field

from cimsearch.spec.base import Positive, Spec, Volts

Corner = Literal["ss", "tt", "ff"]


class Condition(Spec):
    """What a score is taken at; None is as the macro's file says.

    ``age_s`` is the time since programming, for ``noise.drift``; the others are for ``noise.pvt``.
    """

    age_s: Positive | None = None
    supply_v: Volts | None = None
    temperature_c: Annotated[float, Field(ge=-55, le=175)] | None = None
    corner: Corner | None = None

    @property
    def label(self) -> str:
        """What it is, with units, for tables; ``as stated`` if it is the macro's own."""
        parts = [f"{self.age_s:g} s"] if self.age_s is not None else []
        parts += [f"{self.supply_v:g} V"] if self.supply_v is not None else []
        parts += [f"{self.temperature_c:g} C"] if self.temperature_c is not None else []
        parts += [self.corner] if self.corner is not None else []
        return ", ".join(parts) or "as stated"


AS_STATED = Condition()
