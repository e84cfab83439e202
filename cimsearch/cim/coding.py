"""What both a layer's numerics and a crossbar's scheme say of planes and slices. No torch."""

from typing import Protocol

from cimsearch.cost.layer_integers import input_planes, weight_slices
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


def plane_weights(x_bits: int, dac_bits: int, *, signed: bool) -> tuple[int, ...]:
    """Return ``cb`` of each input plane, from the least significant.

    The last is that of the sign where codes are in two's complement.
    """
    weights = [2 ** (plane * dac_bits) for plane in range(input_planes(x_bits, dac_bits))]
    return (*weights[:-1], -weights[-1]) if signed else tuple(weights)


def slice_weights(w_bits: int, cell_bits: int, encoding: Encoding) -> tuple[int, ...]:
    """Return ``cs`` of each weight slice, from the least significant."""
    slices = weight_slices(w_bits, cell_bits, encoding)
    weights = [2 ** (index * cell_bits) for index in range(slices)]
    return (*weights[:-1], -weights[-1]) if encoding == "twos_complement" else tuple(weights)


def stored_offset(w_bits: int, encoding: Encoding) -> int:
    """Return what is added to a weight code before it is stored."""
    return int(2 ** (w_bits - 1)) if encoding == "offset" else 0
