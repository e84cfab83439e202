"""Weight slices made ready for the exact engine: one matrix a row group, with its converters.

What is exact in which type is proven in ``exactness``.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cimsearch.cim.accumulator import Register
from cimsearch.cim.chain import Chain, on_grid
from cimsearch.cim.epilogue import Settings
from cimsearch.cim.exactness import Inputs, Slices, exact_products, lossless
from cimsearch.cim.gemm import FLOAT32_EXACT, INT8_EXACT, exact_types, fastest

HALF = 0.5
COARSE_SHARE = 0.35
"""A unit of this share of errors adds 0.5 % to their standard deviation."""
SUMS_AT_ONCE = 1 << 19


@dataclass(frozen=True)
class Group:
    """One row group.

    Attributes:
        rows: Where its rows are.
        channels: The input channels that it reads. Matrices have a row for each of them at each
            place of the kernel, channel by channel within a place: rows of zeros for those of a
            channel that are in another row group.
        matrix: Slices to convert, (rows, slices * n); None if there are none.
        settings: Of their converters.
        zero: Value of one plane of zeros over those slices, (n,).
        direct: Sum of the slices that need no conversion, (rows, n); None if there are none.
        chain: What happens to partial sums before they are codes; None for nothing.
        unit: Of the matrix, in cell levels.
    """

    rows: slice
    channels: slice
    matrix: Tensor | None
    settings: Settings
    zero: Tensor
    direct: Tensor | None
    chain: Chain | None = None
    unit: float = 1.0


@dataclass(frozen=True)
class Packed:
    """Weights of one chip, ready to multiply.

    Attributes:
        inputs: How input codes are applied.
        offset: What is taken off for each unit of input, exactly.
        columns: Output columns n.
        lines: Columns that are converted, of all halves and slices.
        scales: Multiplications by a converter's step for a vector of inputs: one for each line and
            row group where they have steps of their own, one for each output where all have the
            same, none where that is a power of two by design.
        groups: In order of their rows.
        base: What the converters' ``lo`` add to each output, (n,); its type is the product's.
        register: The register of the sums; None if it is wide enough.
        read: 1 for each row in a row group and 0 for the others, (rows,), in the order in which
            windows have them; None if all rows are in one.
    """

    inputs: Inputs
    offset: float
    columns: int
    lines: int
    scales: int
    groups: tuple[Group, ...]
    base: Tensor
    register: Register | None = None
    read: Tensor | None = None

    @property
    def type(self) -> torch.dtype:
        """Type of the product."""
        return self.base.dtype

    @property
    def disturbed(self) -> bool:
        """Whether anything happens to partial sums before they are codes."""
        return any(group.chain is not None for group in self.groups)

    @property
    def chunk(self) -> int:
        """Vectors at once: their planes, partial sums and codes stay in the cache."""
        matrices = [group.matrix for group in self.groups if group.matrix is not None]
        widest = max((matrix.shape[1] for matrix in matrices), default=self.columns)
        return max(1, SUMS_AT_ONCE // (len(self.inputs.weights) * widest))


def pack(
    stored: Tensor,
    *,
    inputs: Inputs,
    slice_weights: tuple[int, ...],
    row_groups: tuple[tuple[int, int], ...],
    adc_bits: int,
    adc_lo: Tensor,
    adc_lsb: Tensor,
    kernel_area: int = 1,
    fixed_range: bool = False,
    offset: float = 0,
    skip_lossless: bool = False,
    chains: tuple[Chain | None, ...] = (),
    register: Register | None = None,
    coarse: bool = False,
    dtype: torch.dtype | None = None,
) -> Packed:
    """Return weights ready to multiply.

    Args:
        stored: Stored slices, (halves, slices, k, n): two halves are converted on their own and
            subtracted. Whole numbers, unless a chip's errors are added to them.
        inputs: How input codes are applied.
        slice_weights: ``cs`` of each slice.
        row_groups: Ranges [start, stop) of rows that are converted together.
        adc_bits: Converter bits; 0 is an ideal converter, without noise.
        adc_lo: Partial sum of code 0; broadcasts to (row groups, slices, n).
        adc_lsb: Step; broadcasts likewise.
        kernel_area: Rows of one input channel, which follow each other.
        fixed_range: Whether the step is a power of two by design, and a shift.
        offset: What is taken off for each unit of input, exactly: what offset encoding has added
            to each weight.
        skip_lossless: Whether slices whose conversions lose nothing are multiplied as integers,
            all at once; not where something happens to partial sums before they are codes.
        chains: That, of each row group; empty for nothing.
        register: The register of the sums; None if it is wide enough.
        coarse: Whether errors of cells may be rounded to what 8 bits hold, if that is little
            beside them: as good a draw of a chip for training, and several times faster.
        dtype: Type of the matrix products where it is exact; None for the fastest that is.
    """
    halves, slices, _, n = stored.shape
    shape = (len(row_groups), slices, n)
    cs = torch.tensor(slice_weights, dtype=torch.float64)
    parts = Slices(
        stored.flatten(0, 1).double(),
        torch.cat([cs, -cs][:halves]).view(-1, 1),
        adc_lo.double().broadcast_to(shape).repeat(1, halves, 1),
        adc_lsb.double().broadcast_to(shape).repeat(1, halves, 1),
        2**adc_bits - 1,
        bool((stored == stored.round()).all()),
    )
    spans = [slice(*span) for span in row_groups]
    converted = [
        ~lossless(parts, inputs, index, rows, skip=skip_lossless)
        for index, rows in enumerate(spans)
    ]
    any_direct = not all(bool(some.all()) for some in converted)
    inner, outer = exact_products(parts, inputs, offset, whole_sums=any_direct)
    base = torch.zeros(n, dtype=torch.float64)
    groups = []
    for index, (rows, some) in enumerate(zip(spans, converted, strict=True)):
        base += (parts.lo[index] * parts.weights)[some].sum(dim=0) * sum(inputs.weights)
        matrix, direct = _matrices(parts, inputs, rows, some, dtype)
        unit = 1.0
        if coarse and matrix is not None and not parts.whole:
            matrix, unit = _coarse(matrix, inputs)
        settings = _settings(parts, index, some, inner, outer)
        chain = chains[index] if chains else None
        made = Group(
            rows, slice(0, 0), matrix, settings, settings.zero_value(), direct, chain, unit
        )
        groups.append(_ordered(made, kernel_area))
    lines = halves * slices * n
    scales = lines * len(groups) if adc_lsb.numel() > 1 else n * (not fixed_range)
    read = _read(spans, stored.shape[2], kernel_area)
    read = None if read is None else read.to(outer)
    return Packed(inputs, offset, n, lines, scales, tuple(groups), base.to(outer), register, read)


def _read(spans: list[slice], rows: int, kernel_area: int) -> Tensor | None:
    """Return which rows are in a row group, in the order in which windows have them."""
    if sum(span.stop - span.start for span in spans) == rows:
        return None
    read = torch.zeros(rows)
    for span in spans:
        read[span] = 1
    return read.view(-1, kernel_area).T.flatten()


@dataclass(frozen=True)
class _Order:
    """Where the rows of a row group go: channels [first, stop) at each place of the kernel."""

    rows: slice
    area: int
    channels: slice

    @classmethod
    def of(cls, rows: slice, area: int) -> "_Order":
        return cls(rows, area, slice(rows.start // area, -(-rows.stop // area)))

    def put(self, values: Tensor) -> Tensor:
        """Return values (rows, columns) in that order, with rows of zeros for the missing."""
        if self.area == 1:
            return values
        first, count = self.channels.start, self.channels.stop - self.channels.start
        whole = values.new_zeros(count * self.area, values.shape[1])
        start = self.rows.start - first * self.area
        whole[start : start + len(values)] = values
        return whole.view(count, self.area, -1).transpose(0, 1).flatten(0, 1)


def _ordered(group: Group, kernel_area: int) -> Group:
    """Return a row group with its rows in the order in which windows have them."""
    order, chain = _Order.of(group.rows, kernel_area), group.chain
    if chain is not None:
        read = chain.read_power
        read = None if read is None else order.put(read)
        chain = replace(chain, read_power=read, unit=group.unit)
    return replace(
        group,
        channels=order.channels,
        matrix=None if group.matrix is None else order.put(group.matrix),
        direct=None if group.direct is None else order.put(group.direct),
        chain=chain,
    )


def _matrices(
    parts: Slices, inputs: Inputs, rows: slice, converted: Tensor, wanted: torch.dtype | None
) -> tuple[Tensor | None, Tensor | None]:
    """Return slices to convert, side by side, and the sum of the others."""
    values = parts.values[:, rows]
    matrix = direct = None
    if bool(converted.any()):
        matrix = values[converted].permute(1, 0, 2).flatten(1)
        dtype = torch.float32
        if parts.whole:
            reach = float(matrix.abs().sum(dim=0).max()) * inputs.largest
            types = exact_types(reach, max(float(matrix.abs().max()), inputs.largest))
            dtype = wanted if wanted in types else fastest(types)
        matrix = matrix.to(dtype) if parts.whole else on_grid(matrix, inputs.largest)
    if not bool(converted.all()):
        others = ~converted
        direct = (values[others] * parts.weights[others][..., None]).sum(dim=0)
        reach = float(direct.abs().sum(dim=0).max()) * 2**inputs.bits
        direct = direct.to(torch.float32 if reach <= FLOAT32_EXACT else torch.float64)
    return matrix, direct


def _coarse(matrix: Tensor, inputs: Inputs) -> tuple[Tensor, float]:
    """Return cells in whole units of 8 bits, and the unit in levels; or as they are, and 1."""
    unit = float(matrix.abs().max()) / INT8_EXACT
    errors = float((matrix - matrix.round()).std(correction=0))
    if unit > COARSE_SHARE * errors or inputs.largest > INT8_EXACT:
        return matrix, 1.0
    return (matrix / unit).round().to(torch.int8), unit


def _settings(
    parts: Slices, index: int, converted: Tensor, inner: torch.dtype, outer: torch.dtype
) -> Settings:
    lo, lsb, cs = parts.lo[index][converted], parts.lsb[index][converted], parts.weights[converted]
    power_of_two = bool((torch.frexp(lsb).mantissa == HALF).all())
    return Settings(
        lo=lo.flatten().to(inner),
        step=lsb.flatten().to(inner),
        gain=(1 / lsb).flatten().to(inner) if power_of_two else None,
        scale=(cs * lsb).to(outer),
        top=float(parts.top),
    )
