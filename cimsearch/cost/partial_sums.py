"""The partial sums of a layer, by the range they are converted with: moments and limits."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import pi

from cimsearch.cost.codes import Codes, Converted, Part
from cimsearch.cost.namespace import Array, at_least, at_most, namespace_of, values_of

SAMPLE_SUMS = 1024
"""Sums of one column in a calibration sample: 256 input windows of 4 planes."""

_LEAST = 1e-9


@dataclass(frozen=True)
class Sums:
    """Partial sums by the range they are converted with: arrays (ranges, kinds, n, nodes).

    Sums are in units of one cell level times one DAC step. A kind is of equal row groups, planes,
    slices and halves.

    Attributes:
        mean: Of a sum.
        variance: Of a sum, as the range sees it.
        skewness: Of a sum, likewise.
        least: Smallest possible sum.
        most: Largest.
        count: Conversions of one output.
        power: What the mean square of one conversion's error counts in an output's.
        sample: Sums that a calibration sample has of the kind.
    """

    mean: Array
    variance: Array
    skewness: Array
    least: Array
    most: Array
    count: Array
    power: Array
    sample: Array


def layer_sums(nodes: Converted, codes: Codes) -> Sums:
    """Return the sums of a layer that has one range: (1, kinds, n, nodes)."""
    columns = nodes.table.out_channels * (1 + codes.halves) * SAMPLE_SUMS
    kinds = [
        _alike(rows, groups, plane, part, codes, columns * groups * part.count)
        for rows, groups in _row_groups(nodes)
        for plane in _there_are(codes.planes)
        for part in _there_are(codes.slices)
    ]
    return _stacked([kinds], nodes)


def column_sums(nodes: Converted, codes: Codes) -> Sums:
    """Return the sums of a layer where each column has a range of its own.

    Inputs alone vary, and sums are at most those of the mean weights. The two halves of a pair
    share a range: their means are as far apart as the pair's weights are from adding up to
    nothing, on average over columns.
    """
    ranges = []
    for rows, groups in _row_groups(nodes):
        for part in _there_are(codes.slices):
            apart = codes.halves * (2 * rows * part.values.square * 2 / pi) ** 0.5
            kinds = []
            for plane in _there_are(codes.planes):
                alike = _alike(rows, groups, plane, part, codes, SAMPLE_SUMS)
                off = 0.5 * apart * plane.values.mean
                most = rows * plane.values.most * part.values.size * (1 - 0.5 * codes.signed)
                alike = replace(
                    alike,
                    **_spread(
                        rows * part.values.square * plane.values.variance,
                        rows * part.values.cube * plane.values.third,
                    ),
                    least=-most * codes.signed,
                    most=most,
                    count=0.5 * alike.count,
                    power=0.5 * alike.power,
                )
                kinds += [
                    replace(alike, mean=alike.mean + side * off, most=most + side * 2 * off)
                    for side in (-1, 1)
                ]
            ranges.append(kinds)
    return _stacked(ranges, nodes)


def limits(sums: Sums) -> tuple[Array, Array]:
    """Return the smallest and the largest possible of all sums that there are: (n, nodes)."""
    xp, real = namespace_of(sums.mean), sums.count > 0
    return (
        xp.min(xp.where(real, sums.least, 0.0), axis=(0, 1)),
        xp.max(xp.where(real, sums.most, 0.0), axis=(0, 1)),
    )


def _row_groups(nodes: Converted) -> list[tuple[Array, Array]]:
    """Return rows and number of the row groups that any node has."""
    sizes = nodes.mapping.row_group_sizes(nodes.macro.array.active_rows)
    # Where a node has none, one row keeps the moments finite; it counts for nothing.
    return [(at_least(rows, 1.0), groups) for rows, groups in sizes if values_of(groups).any()]


def _there_are(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if values_of(part.count).any()]


def _alike(
    rows: Array, groups: Array, plane: Part, part: Part, codes: Codes, sample: Array
) -> Sums:
    product = plane.values.times(part.values)
    repeats = groups * (1 + codes.halves)
    most = rows * product.most
    return Sums(
        mean=rows * product.mean,
        **_spread(rows * product.variance, rows * product.third),
        least=-most * codes.signed,
        most=most,
        count=repeats * plane.count * part.count,
        power=repeats * plane.power * part.power,
        sample=sample,
    )


def _spread(variance: Array, third: Array) -> dict[str, Array]:
    skewness = third / at_least(variance, _LEAST) ** 1.5
    return {"variance": variance, "skewness": at_most(at_least(skewness, -2.0), 2.0)}


def _stacked(ranges: list[list[Sums]], nodes: Converted) -> Sums:
    xp, shape = nodes.xp, nodes.table.op.shape

    def stack(name: str) -> Array:
        values = [getattr(kind, name) + 0.0 * nodes.table.op for kinds in ranges for kind in kinds]
        return xp.reshape(xp.stack(values), (len(ranges), len(ranges[0]), *shape))

    return Sums(**{field.name: stack(field.name) for field in fields(Sums)})
