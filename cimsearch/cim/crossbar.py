"""The exact function of a crossbar, for anyone's integers."""

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import torch
from torch import Tensor

from cimsearch.cim.accumulator import Register
from cimsearch.cim.bitserial import Inputs, multiply, pack
from cimsearch.cim.coding import plane_weights, slice_weights, stored_offset
from cimsearch.cim.slicing import weight_slice_values
from cimsearch.cost.layer_integers import row_groups
from cimsearch.errors import HardwareError, UsageError
from cimsearch.spec.hardware import Accumulator, Encoding

MAX_BITS = 16
MAX_ROWS = 1 << 16


@dataclass(frozen=True, eq=False)
class CrossbarScheme:
    """How a crossbar multiplies.

    Attributes:
        x_bits: Bits of the inputs.
        w_bits: Bits of the weights.
        rows: Wordlines of an array.
        encoding: How signed weights are stored.
        x_signed: Two's complement inputs; else 0 to 2**x_bits - 1.
        dac_bits: Input bits applied at once.
        cell_bits: Bits of one cell.
        active_rows: Wordlines driven at once; 0 means all.
        adc_bits: Converter bits; 0 is an ideal converter.
        adc_lo: Partial sum of code 0; broadcasts to (row groups, slices, n).
        adc_lsb: Step of the converter; broadcasts likewise.
        accumulator: The register that codes are added up in, in steps of the converter, of which
            there is one then; None if it is wide enough.

    Raises:
        HardwareError: Something is out of range, or does not go together.
    """

    x_bits: int
    w_bits: int
    rows: int
    encoding: Encoding = "offset"
    x_signed: bool = False
    dac_bits: int = 1
    cell_bits: int = 1
    active_rows: int = 0
    adc_bits: int = 0
    adc_lo: float | Tensor = 0.0
    adc_lsb: float | Tensor = 1.0
    accumulator: Accumulator | None = None

    def __post_init__(self) -> None:
        if self.encoding not in get_args(Encoding):
            raise HardwareError(
                f"encoding: found {self.encoding!r}; allowed is {', '.join(get_args(Encoding))}"
            )
        magnitude = self.encoding.startswith("differential")
        _within("x_bits", self.x_bits, 1, MAX_BITS)
        _within("w_bits", self.w_bits, 2 if magnitude else 1, MAX_BITS)
        _within("dac_bits", self.dac_bits, 1, MAX_BITS)
        _within("cell_bits", self.cell_bits, 1, MAX_BITS)
        _within("adc_bits", self.adc_bits, 0, MAX_BITS)
        _within("rows", self.rows, 1, MAX_ROWS)
        _within("active_rows", self.active_rows, 0, self.rows)
        if self.encoding == "twos_complement" and self.cell_bits > 1:
            raise HardwareError(
                f"cell_bits: found {self.cell_bits}; twos_complement allows 1, as the sign bit is "
                "a cell of its own"
            )
        if self.x_signed and self.dac_bits > 1:
            raise HardwareError(
                f"dac_bits: found {self.dac_bits}; signed inputs allow 1, as the sign bit is a "
                "plane of its own"
            )
        lo, lsb = _settings(self.adc_lo), _settings(self.adc_lsb)
        if not bool(lo.isfinite().all()):
            raise HardwareError("adc_lo: found a value that is not finite")
        if not bool((lsb.isfinite() & (lsb > 0)).all()):
            raise HardwareError(
                f"adc_lsb: found {float(lsb.min())}; allowed is above 0 and finite: the range "
                "must not be empty or inverted"
            )
        if self.accumulator is not None and lsb.numel() != 1:
            raise HardwareError(
                f"accumulator: found {lsb.numel()} steps of converters; allowed is one, as codes "
                "of several do not add up in one register"
            )

    @cached_property
    def plane_weights(self) -> tuple[int, ...]:
        """``cb`` of each input plane, from the least significant."""
        return plane_weights(self.x_bits, self.dac_bits, signed=self.x_signed)

    @cached_property
    def slice_weights(self) -> tuple[int, ...]:
        """``cs`` of each weight slice, from the least significant."""
        return slice_weights(self.w_bits, self.cell_bits, self.encoding)

    @property
    def x_limits(self) -> tuple[int, int]:
        """Smallest and largest input."""
        half = int(2 ** (self.x_bits - 1))
        return (-half, half - 1) if self.x_signed else (0, 2 * half - 1)

    @property
    def w_limits(self) -> tuple[int, int]:
        """Smallest and largest weight; sign and magnitude have no -2**(w_bits - 1)."""
        half = int(2 ** (self.w_bits - 1))
        return (1 - half if self.encoding.startswith("differential") else -half), half - 1

    @property
    def offset(self) -> int:
        """What is added to a weight before it is stored."""
        return stored_offset(self.w_bits, self.encoding)


def crossbar_matmul(x: Tensor, w: Tensor, scheme: CrossbarScheme) -> Tensor:
    """Return the product of integers as a crossbar makes it.

    It is exact where ``adc_lo`` and ``adc_lsb`` are dyadic: whole numbers over a power of two.
    Others are taken as the float64 they are; a code is then that of a division in float64, and
    values add up within rounding. Vectors do not depend on each other.

    Args:
        x: Inputs (m, k): whole numbers of any type.
        w: Weights (k, n): whole numbers of any type.
        scheme: How they are multiplied.

    Returns:
        y (m, n), float64: of integers of 16 bits and fractional steps, more than float32 holds.

    Raises:
        UsageError: Shapes do not match, or a value is not a whole number in range.
        HardwareError: The converter's settings do not fit the row groups, slices and columns.
    """
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[0] or not w.numel():
        raise UsageError(
            f"crossbar_matmul: found x {tuple(x.shape)} and w {tuple(w.shape)}; allowed is (m, k) "
            "and (k, n), none of k and n 0"
        )
    _check_codes("x", x, scheme.x_limits)
    _check_codes("w", w, scheme.w_limits)
    groups = tuple(row_groups(len(w), scheme.rows, scheme.active_rows or scheme.rows))
    shape = (len(groups), len(scheme.slice_weights), w.shape[1])
    packed = pack(
        weight_slice_values(w, scheme),
        inputs=Inputs(scheme.x_bits, scheme.dac_bits, scheme.plane_weights),
        slice_weights=scheme.slice_weights,
        row_groups=groups,
        adc_bits=scheme.adc_bits,
        adc_lo=_broadcast("adc_lo", scheme.adc_lo, shape),
        adc_lsb=_broadcast("adc_lsb", scheme.adc_lsb, shape),
        offset=scheme.offset,
        register=_register(scheme),
        skip_lossless=True,
    )
    return multiply(x, packed).double()


def _register(scheme: CrossbarScheme) -> Register | None:
    if scheme.accumulator is None:
        return None
    unit = float(_settings(scheme.adc_lsb)) if scheme.adc_bits else 1.0
    return Register(scheme.accumulator, unit)


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise HardwareError(f"{name}: found {value}; allowed is {least} to {most}")


def _settings(values: float | Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def _broadcast(name: str, values: float | Tensor, shape: tuple[int, int, int]) -> Tensor:
    settings = _settings(values)
    try:
        return settings.broadcast_to(shape)
    except RuntimeError as error:
        raise HardwareError(
            f"{name}: found shape {tuple(settings.shape)}; allowed is what broadcasts to "
            f"{shape}: row groups, slices, columns"
        ) from error


def _check_codes(name: str, codes: Tensor, limits: tuple[int, int]) -> None:
    if not codes.numel():
        return
    if codes.is_floating_point() and not bool((codes.isfinite() & (codes == codes.round())).all()):
        raise UsageError(f"{name}: found NaN, infinity or a fraction; allowed are whole numbers")
    lowest, highest = codes.aminmax()
    if lowest < limits[0] or highest > limits[1]:
        raise UsageError(
            f"{name}: found {int(lowest)} to {int(highest)}; allowed is {limits[0]} to {limits[1]}"
        )
