"""The digital logic beside the macros, as a hardware file states it."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from cimsearch.spec.base import Fraction, Positive, Spec, Units


class DigitalUnit(Spec):
    """The digital logic beside the macros: ``lanes`` multiply-adders of ``word_bits``.

    ``activity_frac`` is the effective share of its gates that switch, wiring included. ``pooling``
    is done from the buffer, or in the stream behind the layer that it reads: the positions of a
    window are made one after another, and nothing is stored. That is for windows that do not
    overlap; others are pooled from the buffer all the same.
    """

    lanes: Units
    clock_mhz: Positive
    word_bits: Annotated[int, Field(ge=8, le=32)]
    activity_frac: Fraction
    pooling: Literal["stored", "in_stream"] = "stored"

    @model_serializer(mode="wrap")
    def _without_usual(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the usual pooling: the hash is that of before there was another."""
        data: dict[str, Any] = handler(self)
        return {k: v for k, v in data.items() if (k, v) != ("pooling", "stored")}
