"""Fields of the hardware that a study searches along with the networks."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from cimsearch.spec.base import Bits, Lines, Spec, Units, Volts
from cimsearch.spec.document import FieldError
from cimsearch.spec.space import refuse_repeats

Number = int | float
Settings = tuple[tuple[str, Number], ...]
"""Fields of ``HardwareGenes`` with the value of each, in the order of the class."""


def listed(settings: Settings) -> str:
    """Return settings in words: ``rows 64, supply_v 0.8``."""
    return ", ".join(f"{name} {value:g}" for name, value in settings)


class HardwareGenes(Spec):
    """What the macro and its system may be: choices of fields of the hardware file.

    ``rows``, ``cols``, ``active_rows`` and ``cell_bits`` are of ``array``; ``dac_bits`` of
    ``input``; ``adc_bits`` (``bits``) and ``columns_per_adc`` of ``adc``; ``supply_v`` is the
    macro's; ``macros`` the system's. docs/hardware-genes.md says what follows from each, and what
    a file has to state before one may be opened.
    """

    rows: tuple[Lines, ...] = ()
    cols: tuple[Lines, ...] = ()
    active_rows: tuple[Lines, ...] = ()
    cell_bits: tuple[Annotated[int, Field(ge=1, le=8)], ...] = ()
    dac_bits: tuple[Annotated[int, Field(ge=1, le=8)], ...] = ()
    adc_bits: tuple[Bits, ...] = ()
    columns_per_adc: tuple[Units, ...] = ()
    supply_v: tuple[Volts, ...] = ()
    macros: tuple[Units, ...] = ()

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        refuse_repeats(dict(self))
        for name, values in self.opened():
            if len(values) == 1:
                raise FieldError(
                    name,
                    f"found {values[0]} alone; needed are 2 or more (the hardware file sets one)",
                )
        return self

    def opened(self) -> Iterator[tuple[str, tuple[Number, ...]]]:
        """Yield each field that has choices, with them."""
        yield from ((name, values) for name, values in self if values)


NO_HARDWARE_GENES = HardwareGenes()
