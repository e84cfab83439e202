"""Converters measured alone: nonlinearity by code, offset, gain."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.chip.codes import Scale, off_codes, scale_of
from cimsearch.cost.chip.crossval import without_each
from cimsearch.cost.chip.fitted import ChipCheck, Point, TableFit, Value
from cimsearch.cost.chip.statistics import Spread, from_variance, knots_of, spread
from cimsearch.cost.chip.tables import ChipTable, Flags, Floats, Ints
from cimsearch.errors import SpecError
from cimsearch.spec.hardware import Macro

LEAST_CONVERTERS = 3
LEAST_CODES = 3
_SHOWN = 9
_SURE = 3.0
_SETTINGS = ("offset_mv", "offset_lsb", "gain", "full_scale_mv")


@dataclass(frozen=True)
class Converters:
    """Some chips' converters; arrays over codes are (rows,), the others (converters,).

    Attributes:
        chip: Of each converter.
        owner: Converter of each row.
        code: Of each row.
        inl: Nonlinearity of each row between the ends of its converter, LSB.
        shape: Its variance at each row where it is 1 at mid-scale.
        settings: Offset and gain, by column, where they are known.
    """

    chip: NDArray[np.str_]
    owner: Ints
    code: Floats
    inl: Floats
    shape: Floats
    settings: Mapping[str, Floats]

    def of(self, kept: Flags) -> "Converters":
        """Return some of the converters."""
        rows = kept[self.owner] if len(self.owner) else np.zeros(0, bool)
        numbers = np.cumsum(kept) - 1
        return Converters(
            self.chip[kept],
            numbers[self.owner[rows]],
            self.code[rows],
            self.inl[rows],
            self.shape[rows],
            {name: values[kept] for name, values in self.settings.items()},
        )

    @property
    def inl_spread(self) -> Spread:
        """Standard deviation of the nonlinearity at mid-scale, LSB: of equal mean power."""
        count = len(np.unique(self.owner))
        if not count:
            return Spread(0.0, 0.0)
        power = np.bincount(self.owner, self.inl**2) / np.bincount(self.owner)
        variance = float(
            power.sum() / (np.bincount(self.owner, self.shape) / np.bincount(self.owner)).sum()
        )
        error = variance * float(np.std(power)) / max(float(power.mean()), 1e-30) / sqrt(count)
        return from_variance(variance, error)


def fit_converter(table: ChipTable, macro: Macro) -> TableFit:
    """Return how converters are off.

    Raises:
        SpecError: Codes that the macro's converters do not have, or too few data.
    """
    scale = scale_of(macro)
    table.refuse(off_codes(table, scale))
    converters = _converters(table, scale)
    noise, errors = _noise(table, macro, converters, scale)
    return TableFit(
        "converter",
        table.files,
        noise,
        errors,
        points=_points(converters),
        at="code",
        value="nonlinearity [LSB]",
        chips=_checked(converters),
        notes=_notes(converters, scale),
    )


def _converters(table: ChipTable, scale: Scale) -> Converters:
    names = np.stack([table.labels["chip"], table.labels["converter"]], axis=1)
    unique, owner = np.unique(names, axis=0, return_inverse=True)
    owner = owner.reshape(-1)
    if len(unique) < LEAST_CONVERTERS:
        raise table.too_few(
            f"found {len(unique)} converters of all chips; needed are {LEAST_CONVERTERS} or more "
            "to tell how far they spread"
        )
    settings = {name: _setting(table, owner, name) for name in _SETTINGS if table.has(name)}
    column = "inl_lsb" if table.has("inl_lsb") else "dnl_lsb"
    curves = []
    if table.has(column):
        curves = _curves(table, owner, column, scale)
    elif not settings:
        raise table.too_few("found no values; needed is inl_lsb, dnl_lsb, offset or gain")
    parts = [np.concatenate(part) for part in zip(*curves, strict=True)]
    rows, code, inl, shape = parts or [np.zeros(0)] * 4
    return Converters(unique[:, 0], rows.astype(int), code, inl, shape, settings)


def _setting(table: ChipTable, owner: Ints, name: str) -> Floats:
    """Return the one value that each converter's rows give; NaN where they give none."""
    values = table.numbers[name]
    known = np.flatnonzero(np.isfinite(values))
    found = np.full(int(owner.max()) + 1, np.nan)
    found[owner[known[::-1]]] = values[known[::-1]]
    table.refuse(
        (
            int(row),
            name,
            f"found {values[row]:g}; allowed is {found[owner[row]]:g} as in an earlier row of "
            "this converter",
        )
        for row in known
        if values[row] != found[owner[row]]
    )
    return found


def _curves(
    table: ChipTable, owner: Ints, column: str, scale: Scale
) -> list[tuple[Floats, Floats, Floats, Floats]]:
    """Return (owner, code, nonlinearity, shape) of each converter's rows.

    Raises:
        SpecError: A converter has too few codes, or a code twice.
    """
    curves, problems = [], []
    for index in np.unique(owner):
        rows = np.flatnonzero((owner == index) & np.isfinite(table.numbers[column]))
        rows = rows[np.argsort(table.numbers["code"][rows], kind="stable")]
        code, value = table.numbers["code"][rows], table.numbers[column][rows]
        problems += [
            (int(rows[at + 1]), "code", "found this code twice for its converter; allowed is once")
            for at in np.flatnonzero(np.diff(code) == 0)
        ]
        if len(rows) < LEAST_CODES:
            first = int(np.flatnonzero(owner == index)[0])
            problems.append(
                (
                    first,
                    column,
                    f"found {len(rows)} codes of this converter; needed are {LEAST_CODES} or more",
                )
            )
        elif not problems:
            if column == "dnl_lsb":
                code, value = _summed(table, rows, code, value)
            curves.append(_ended(index, code, value, scale))
    table.refuse(problems)
    return curves


def _summed(table: ChipTable, rows: Ints, code: Floats, dnl: Floats) -> tuple[Floats, Floats]:
    """Return the nonlinearity that code widths add up to."""
    table.refuse(
        (
            int(rows[at + 1]),
            "code",
            f"found {code[at + 1]:g} after {code[at]:g}; dnl_lsb adds up: needed is every code",
        )
        for at in np.flatnonzero(np.diff(code) != 1)
    )
    return np.concatenate([[code[0] - 1], code]), np.concatenate([[0.0], np.cumsum(dnl)])


def _ended(
    owner: int, code: Floats, inl: Floats, scale: Scale
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return a curve less the line through its ends, and the shape of a sum of random widths.

    A sum of independent widths fitted at its ends has the variance ``4 u (1 - u)`` at the share u
    of its length, over that at mid-scale; a part of the codes has as much less as it is shorter.
    """
    share = (code - code[0]) / (code[-1] - code[0])
    left = inl - inl[0] - share * (inl[-1] - inl[0])
    part = (code[-1] - code[0]) / scale.top
    return np.full(len(code), float(owner)), code, left, 4 * share * (1 - share) * part


def _noise(
    table: ChipTable, macro: Macro, converters: Converters, scale: Scale
) -> tuple[dict[str, Value], dict[str, float]]:
    """Return what the macro's noise becomes, and its standard errors."""
    lsb_frac = scale.lsb / scale.full_scale
    found: dict[str, tuple[Spread, float]] = {}
    noise: dict[str, Value] = {}
    if len(converters.owner):
        found["adc.inl_sigma_frac"] = (converters.inl_spread, lsb_frac)
    for name, values in converters.settings.items():
        known = values[np.isfinite(values)]
        if name != "full_scale_mv" and len(known) < LEAST_CONVERTERS:
            raise table.too_few(
                f"found {name} of {len(known)} converters; needed are {LEAST_CONVERTERS} or more"
            )
        if name == "gain":
            found["adc.gain_sigma_frac"] = (spread(known), 1.0)
        elif name == "offset_lsb":
            found["adc.offset_sigma_frac"] = (spread(known), lsb_frac)
        elif name == "offset_mv":
            noise["adc.full_scale_mv"] = _full_scale_mv(table, macro, converters)
            found["adc.offset_sigma_mv"] = (spread(known), 1.0)
    noise |= {path: value.sigma * unit for path, (value, unit) in found.items()}
    return noise, {path: value.error * unit for path, (value, unit) in found.items()}


def _full_scale_mv(table: ChipTable, macro: Macro, converters: Converters) -> float:
    """Return the voltage of the full scale, of the table or of the macro."""
    given = converters.settings.get("full_scale_mv", np.zeros(0))
    given = np.unique(given[np.isfinite(given)])
    own = macro.noise.adc.full_scale_mv if macro.noise.adc else None
    if len(given) > 1:
        raise table.too_few(
            f"full_scale_mv: found {', '.join(f'{one:g}' for one in given)}; allowed is one value"
        )
    if not len(given) and own is None:
        row = int(np.flatnonzero(np.isfinite(table.numbers["offset_mv"]))[0])
        raise SpecError(
            table.problem(
                row,
                "offset_mv",
                "found one without full_scale_mv; needed is the voltage that spans the sums of "
                "the active rows, as a column full_scale_mv or in the macro's noise.adc",
            )
        )
    return float(given[0]) if len(given) else float(own or 0.0)


def _points(converters: Converters) -> list[Point]:
    if not len(converters.owner):
        return []
    middle = converters.inl_spread.sigma
    points = []
    knots = knots_of(converters.code, _SHOWN)
    for code in knots:
        own = converters.code == code
        inl = converters.inl[own]
        model = middle * sqrt(float(converters.shape[own].mean()))
        sigma = float(inl.std(ddof=1)) if len(inl) > 1 else 0.0
        points.append(Point("", float(code), len(inl), float(inl.mean()), sigma, 0.0, model))
    return points


def _checked(converters: Converters) -> list[ChipCheck]:
    checks = []
    for chip, rest in without_each(converters.chip):
        others, own = converters.of(rest), converters.of(~rest)
        if len(others.chip) < LEAST_CONVERTERS:
            continue
        if len(converters.owner):
            expected = others.inl_spread.sigma**2 * float(own.shape.mean())
            measured = float(np.mean(own.inl**2))
        else:
            name = next(iter(own.settings))
            mean = np.nanmean(others.settings[name])
            measured = float(np.nanmean((own.settings[name] - mean) ** 2))
            expected = float(np.nanvar(others.settings[name], ddof=1))
        checks.append(
            ChipCheck(chip, len(own.chip), len(others.chip), sqrt(measured), sqrt(expected))
        )
    return checks


def _notes(converters: Converters, scale: Scale) -> list[str]:
    notes = [f"1 LSB is {scale.lsb:g} of the {scale.full_scale} sums that the active rows span"]
    for name, ideal in (("gain", 1.0), ("offset_mv", 0.0), ("offset_lsb", 0.0)):
        values = converters.settings.get(name, np.zeros(0))
        values = values[np.isfinite(values)]
        if len(values) and abs(values.mean() - ideal) > _SURE * values.std() / sqrt(len(values)):
            notes.append(
                f"the mean {name} is {values.mean():.4g}: it counts as calibrated away; a table "
                "of sums would put it into the transfer"
            )
    shared = [
        abs(inl.mean())
        for code in np.unique(converters.code)
        if len(inl := converters.inl[converters.code == code]) >= LEAST_CONVERTERS
        and abs(inl.mean()) > _SURE * inl.std(ddof=1) / sqrt(len(inl))
    ]
    if shared:
        notes.append(
            f"all converters share a nonlinearity of up to {max(shared):.2g} LSB: it counts as "
            "random from one to the next"
        )
    return notes
