"""The mapping of layers to arrays, of many networks at once, in the integers that prices share.

Those that numerics ask of one layer are in ``layer_integers``.

A layer with weights is a matrix of ``rows`` (kernel height x kernel width x input channels of a
group, in the order of ``weight.reshape(out, -1)``) by outputs. Rows are cut into tiles of the
array's rows, a tile into row groups of the rows that may be active at once; an output takes one
column a weight slice, two with differential encodings, and all its columns stay in one array.
With ``packing: whole_kernel`` a tile holds as many whole kernels (channels) as fit.
The second part of a layer whose groups of channels have different weight bits gets the same
activations at the same time: its columns begin in the last array of the first part.
Activations are applied in planes of ``dac_bits``. Groups of a convolution lie on the diagonal of
an array. As many are driven at once as rows may be active, where a cell that stores nothing adds
nothing to its bitline; resistive cells leak, and groups on them are driven one after the other.
Row groups without weights, as many as ``row_skipping`` says, are neither driven nor converted:
``row_groups`` counts the others. Their cells stay.
"""

from dataclasses import dataclass, fields
from functools import cached_property

from cimsearch.blueprint import ENCODINGS, RANGE_POLICIES
from cimsearch.cost.namespace import (
    Array,
    at_least,
    ceil_div,
    floor_div,
)

OFFSET = ENCODINGS.index("offset")
FULL_SCALE = RANGE_POLICIES.index("full_scale")
LAYER_RANGE = RANGE_POLICIES.index("layer")
COLUMN_RANGE = RANGE_POLICIES.index("column")


@dataclass(frozen=True)
class Mapping:
    """The mapping of every node, whole numbers (n, nodes); 0 for nodes that are not on arrays.

    Properties are counts of one inference.

    Attributes:
        rows: Rows of the weight matrix of one group.
        outputs: Outputs of one group.
        groups: Groups of the convolution.
        vectors: Input vectors: output height x output width.
        planes: Input planes.
        slices: Weight slices.
        columns_per_output: Columns that hold the slices of one output.
        lines_per_output: Results read out for one output in an array call: a differential pair
            is one line, every other column is one.
        tile_rows: Rows of an array that a full tile uses.
        row_tiles: Arrays that the rows of a group are spread over.
        column_tiles: Arrays that the outputs of a group are spread over; of the second part of a
            layer, those that the first part is not in.
        shared_tiles: 1 where outputs are in the last array of the part that the node lies beside.
        row_groups: Row ranges of a group that are converted separately.
        serial_row_groups: Row groups in the fullest tile: what one array does in sequence.
        read_rows: Rows of a group that are driven: those of its row groups.
        skipped_row_groups: Row ranges of a group without weights, which are not in ``row_groups``.
        skipped_ends: How many of them are short ones, at the end of a full tile.
        skipped_last_end: Whether one of them is the short one at the end of the last tile.
        diagonal: Groups that share an array.
        abreast: Groups of an array that are driven at once.
        swept_lines: Lines that converters sweep while every group gets one plane of one row
            group: those of all columns, used or not, unless ``gating`` says so.
        offset: 1 where weights are stored with an offset.
        input_sums: Additions that form the sum of inputs that such an encoding takes off; the
            second part of a layer has that of the first.
        scale_multiplies: Multiplications by a converter's range: none for ``full_scale`` (a power
            of two), one an output for ``layer``, one a line and row group for ``column``.
        array_rows: Rows of one array.
        cells_per_array: Cells of one array.
    """

    rows: Array
    outputs: Array
    groups: Array
    vectors: Array
    planes: Array
    slices: Array
    columns_per_output: Array
    lines_per_output: Array
    tile_rows: Array
    row_tiles: Array
    column_tiles: Array
    shared_tiles: Array
    row_groups: Array
    serial_row_groups: Array
    read_rows: Array
    skipped_row_groups: Array
    skipped_ends: Array
    skipped_last_end: Array
    diagonal: Array
    abreast: Array
    swept_lines: Array
    offset: Array
    input_sums: Array
    scale_multiplies: Array
    array_rows: int
    cells_per_array: int

    @cached_property
    def columns(self) -> Array:
        """Physical columns of all groups."""
        return self.outputs * self.columns_per_output * self.groups

    @cached_property
    def arrays(self) -> Array:
        """Arrays touched, but for those of the part that the node lies beside."""
        blocks = ceil_div(self.groups, at_least(self.diagonal, 1))
        return blocks * self.row_tiles * self.column_tiles

    @cached_property
    def serial_turns(self) -> Array:
        """Turns that the groups of a full array take."""
        return ceil_div(self.diagonal, at_least(self.abreast, 1))

    @cached_property
    def turns(self) -> Array:
        """Turns that all groups take, one array after another."""
        diagonal = at_least(self.diagonal, 1)
        full = floor_div(self.groups, diagonal)
        left = self.groups - full * diagonal
        return full * self.serial_turns + ceil_div(left, at_least(self.abreast, 1))

    @cached_property
    def passes(self) -> Array:
        """Planes of row groups, over all vectors and turns of groups."""
        return self.vectors * self.planes * self.row_groups * self.turns

    @cached_property
    def array_calls(self) -> Array:
        """Times that an array gets one plane of one row group."""
        return self.passes * self.column_tiles

    @cached_property
    def driven_rows(self) -> Array:
        """Wordlines driven, summed over array calls."""
        return self.vectors * self.planes * self.read_rows * self.groups * self.column_tiles

    @cached_property
    def conversions(self) -> Array:
        """Lines turned into a code, by a converter or, in a digital macro, an adder tree."""
        per_group = self.vectors * self.planes * self.row_groups
        return per_group * self.groups * self.outputs * self.lines_per_output

    @cached_property
    def swept_conversions(self) -> Array:
        """Conversions with those of idle lines."""
        return self.vectors * self.planes * self.row_groups * self.swept_lines

    @cached_property
    def shift_adds(self) -> Array:
        """Codes shifted and added into an output's accumulator: every one of them."""
        return self.conversions

    @cached_property
    def results(self) -> Array:
        """Output values."""
        return self.vectors * self.outputs * self.groups

    @cached_property
    def tile_adds(self) -> Array:
        """Additions that join the row tiles of an output."""
        return self.results * at_least(self.row_tiles - 1, 0)

    @cached_property
    def corrections(self) -> Array:
        """Subtractions of that sum, one an output value."""
        return self.results * self.offset

    @cached_property
    def serial_calls(self) -> Array:
        """Array calls that follow each other when all arrays of a layer work in parallel."""
        return self.vectors * self.planes * self.serial_row_groups * self.serial_turns

    @cached_property
    def used_cells(self) -> Array:
        """Cells that hold weights."""
        return self.rows * self.columns

    @cached_property
    def driven_cells(self) -> Array:
        """Those of them whose rows are driven."""
        return self.read_rows * self.columns

    @cached_property
    def cells(self) -> Array:
        """Cells of the arrays touched."""
        return (self.arrays + self.row_tiles * self.shared_tiles) * self.cells_per_array

    def row_group_sizes(self, active_rows: int) -> list[tuple[Array, Array]]:
        """Return rows of a row group, and how many of a group have so many and are not skipped.

        In order: full row groups, what is left at the end of a full tile, and of the last one.
        """
        full_tiles = at_least(self.row_tiles - 1, 0)
        last = self.rows - full_tiles * self.tile_rows
        in_tile, in_last = floor_div(self.tile_rows, active_rows), floor_div(last, active_rows)
        end, last_end = self.tile_rows - in_tile * active_rows, last - in_last * active_rows
        skipped = self.skipped_row_groups - self.skipped_ends - self.skipped_last_end
        return [
            (0.0 * self.rows + active_rows, full_tiles * in_tile + in_last - skipped),
            (end, full_tiles * (end > 0) - self.skipped_ends),
            (last_end, 1.0 * (last_end > 0) - self.skipped_last_end),
        ]

    @cached_property
    def bitlines(self) -> Array:
        """Columns of arrays that hold weights: a column in another row tile counts again."""
        return self.row_tiles * self.columns

    @cached_property
    def bitline_usage(self) -> Array:
        """Used cells as a share of the cells of those columns; 0 off the arrays."""
        return self.used_cells / at_least(self.bitlines * self.array_rows, 1)

    @cached_property
    def utilization(self) -> Array:
        """Used cells as a share of the cells of the arrays touched; 0 off the arrays."""
        return self.used_cells / at_least(self.cells, 1)


COUNTS = tuple(f.name for f in fields(Mapping) if f.type is not int)
"""The fields of a mapping that every node has."""
