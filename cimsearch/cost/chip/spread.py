"""Mean and standard deviation of partial sums against the ideal ones: a transfer as measured."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from cimsearch.cost.chip.codes import off_ideals, scale_of
from cimsearch.cost.chip.crossval import without_each
from cimsearch.cost.chip.fitted import ChipCheck, Point, TableFit, Value
from cimsearch.cost.chip.tables import ChipTable, Flags, Floats
from cimsearch.spec.hardware import Macro

LEAST_POINTS = 2


@dataclass(frozen=True)
class _Rows:
    """The rows of a table as shares of the full scale, (rows,)."""

    ideal: Floats
    mean: Floats
    sigma: Floats

    def where(self, rows: Flags) -> "_Rows":
        return _Rows(self.ideal[rows], self.mean[rows], self.sigma[rows])


@dataclass(frozen=True)
class _Transfer:
    """Points of a transfer, (points,)."""

    ideal: Floats
    mean: Floats
    sigma: Floats


def fit_spread(table: ChipTable, macro: Macro) -> TableFit:
    """Return the transfer of a table: chips pooled, what differs between them in its spread.

    Raises:
        SpecError: Sums that it cannot have, or too few points.
    """
    scale = scale_of(macro)
    for column, unit in (("ideal_sum", 1), ("ideal_frac", scale.full_scale)):
        table.refuse(off_ideals(unit * table.numbers[column], scale, column))
    rows = _rows(table, scale.full_scale)
    transfer = _pooled(rows)
    if len(transfer.ideal) < LEAST_POINTS:
        raise table.too_few(
            f"found {len(transfer.ideal)} ideal sums; needed are {LEAST_POINTS} or more"
        )
    noise: dict[str, Value] = {
        "cell_sigma_frac": 0.0,
        "adc_sigma_frac": 0.0,
        "transfer.ideal_frac": tuple(transfer.ideal),
        "transfer.mean_frac": tuple(transfer.mean),
        "transfer.sigma_frac": tuple(transfer.sigma),
    }
    return TableFit(
        "spread",
        table.files,
        noise,
        {},
        points=_points(table, rows, transfer, scale.full_scale),
        at="ideal sum",
        value="sum less ideal sum [cell levels x input steps]",
        chips=_checked(table, rows, scale.full_scale),
        notes=(
            "spreads hold what cells and conversions do: cell_sigma_frac and adc_sigma_frac are "
            "set to 0",
        ),
    )


def _rows(table: ChipTable, full_scale: int) -> _Rows:
    found = []
    for name in ("ideal", "mean", "sigma"):
        sums, shares = table.numbers[f"{name}_sum"], table.numbers[f"{name}_frac"]
        found.append(np.where(np.isnan(sums), shares, sums / full_scale))
    return _Rows(*found)


def _pooled(rows: _Rows) -> _Transfer:
    """Return the points of all chips: the mean, and the spread within and between chips."""
    ideal, index, counts = np.unique(rows.ideal, return_inverse=True, return_counts=True)
    mean = np.bincount(index, rows.mean) / counts
    within = np.bincount(index, rows.sigma**2) / counts
    away = np.bincount(index, (rows.mean - mean[index]) ** 2) / np.maximum(counts - 1, 1)
    return _Transfer(ideal, mean, np.sqrt(within + away))


def _points(table: ChipTable, rows: _Rows, transfer: _Transfer, unit: int) -> list[Point]:
    mean = np.interp(rows.ideal, transfer.ideal, transfer.mean)
    sigma = np.interp(rows.ideal, transfer.ideal, transfer.sigma)
    order = np.lexsort((rows.ideal, table.labels["chip"]))
    return [
        Point(
            f"chip {chip}" if (chip := str(table.labels["chip"][row])) else "",
            unit * float(rows.ideal[row]),
            1,
            unit * float(rows.mean[row] - rows.ideal[row]),
            unit * float(rows.sigma[row]),
            unit * float(mean[row] - rows.ideal[row]),
            unit * float(sigma[row]),
        )
        for row in order
    ]


def _checked(table: ChipTable, rows: _Rows, unit: int) -> list[ChipCheck]:
    checks = []
    for chip, rest in without_each(table.labels["chip"]):
        others, own = _pooled(rows.where(rest)), rows.where(~rest)
        error = own.mean - np.interp(own.ideal, others.ideal, others.mean)
        expected = np.interp(own.ideal, others.ideal, others.sigma)
        checks.append(
            ChipCheck(
                chip,
                len(own.ideal),
                int(rest.sum()),
                unit * sqrt(float(np.mean(error**2 + own.sigma**2))),
                unit * sqrt(float(np.mean(expected**2))),
            )
        )
    return checks
