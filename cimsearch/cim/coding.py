"""What both a layer's numerics and a crossbar's scheme say of planes and slices. No torch."""

from typing import Protocol

from cimsearch.spec.hardware import Encoding


class Coding(Protocol):
    """How codes become input planes and weight slices, and partial sums become codes."""

    @property
    def x_bits(self) -> int:
        """Bits of the input codes."""

    @property
    def w_bits(self) -> int:
        """Bits of the weight codes."""

    @property
    def dac_bits(self) -> int:
        """Input bits applied at once."""

    @property
    def cell_bits(self) -> int:
        """Bits of one cell."""

    @property
    def adc_bits(self) -> int:
        """Converter bits; 0 is an ideal converter."""

    @property
    def encoding(self) -> Encoding:
        """How signed weights are stored."""

    @property
    def offset(self) -> int:
        """What is added to a weight code before it is stored."""

    @property
    def plane_weights(self) -> tuple[int, ...]:
        """``cb`` of each input plane, from the least significant."""

    @property
    def slice_weights(self) -> tuple[int, ...]:
        """``cs`` of each weight slice, from the least significant."""
