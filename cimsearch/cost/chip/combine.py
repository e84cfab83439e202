"""From tables of one chip to one ``noise`` section: fits put together, without counting twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from cimsearch.cost.chip.codes import scale_of
from cimsearch.cost.chip.conductance import fit_conductance
from cimsearch.cost.chip.converter import fit_converter
from cimsearch.cost.chip.fitted import TableFit, Value
from cimsearch.cost.chip.spread import fit_spread
from cimsearch.cost.chip.sums import fit_sums
from cimsearch.cost.chip.tables import ChipTable, Floats, merged
from cimsearch.errors import SpecError
from cimsearch.spec.document import FieldError
from cimsearch.spec.hardware import Macro
from cimsearch.spec.noise import Noise, check_effects

_FITTERS = {
    "sums": fit_sums,
    "spread": fit_spread,
    "conductance": fit_conductance,
    "converter": fit_converter,
}
_ORDER = tuple(_FITTERS)
# An effect that each kind of table gives: whether the macro can have it is known before the fit.
_PROBES: dict[str, dict[str, object]] = {
    "sums": {"adc_sigma_frac": 1e-3},
    "spread": {"adc_sigma_frac": 1e-3},
    "converter": {"adc": {"inl_sigma_frac": 1e-3}},
    "conductance": {
        "programming": {"model": "polynomial", "coefficients_us": (1.0,), "reference_us": 1.0}
    },
}
_MEASURED_TWICE = ("adc.offset_", "adc.gain_", "adc.full_scale_mv")
_IN_A_SUM = (
    "programming",
    "device_to_device",
    "stuck",
    "drift",
    "read",
    "ir_drop",
    "iv",
    "saturation",
    "sram",
)


@dataclass(frozen=True)
class ChipFit:
    """What the tables of a chip say together.

    Attributes:
        tables: The fit to each kind of table.
        noise: Values by dotted path below the macro's ``noise``.
        errors: Their standard errors, where they have one.
        notes: What the reader has to know of them together, a sentence each.
    """

    tables: tuple[TableFit, ...]
    noise: Mapping[str, Value]
    errors: Mapping[str, float]
    notes: tuple[str, ...]


def fit_chip(tables: Sequence[ChipTable], macro: Macro) -> ChipFit:
    """Fit a macro's ``noise`` to tables of chips; those of one kind are put together.

    Raises:
        SpecError: Effects that the macro cannot have, values that it cannot give, or too few; of
            all tables at once.
    """
    ordered = sorted(tables, key=lambda table: _ORDER.index(table.kind))
    kinds = [merged(list(own)) for _, own in groupby(ordered, key=lambda table: table.kind)]
    fits: list[TableFit] = []
    refused: list[SpecError] = []
    for table in kinds:
        try:
            _check_possible(table, macro)
            fits.append(_FITTERS[table.kind](table, macro))
        except SpecError as error:
            refused.append(error)
    if refused:
        raise SpecError("\n".join(error.message for error in refused), refused[0].hint)
    return _together(fits, macro)


def _check_possible(table: ChipTable, macro: Macro) -> None:
    """Check that a macro can have the effects of a kind of table.

    Raises:
        SpecError: It cannot; names the files and the effect.
    """
    probe = Noise.model_validate(_PROBES[table.kind])
    try:
        check_effects(macro.model_copy(update={"noise": probe}))
    except FieldError as error:
        names = ", ".join(str(file.path) for file in table.files)
        raise SpecError(
            f"{names}: a table of {table.kind}: {error.field}: {error}",
            "name the macro that was measured with --macro",
        ) from error


def _together(fits: Sequence[TableFit], macro: Macro) -> ChipFit:
    by_kind = {fit.kind: fit for fit in fits}
    notes: list[str] = []
    if "sums" in by_kind and "converter" in by_kind:
        by_kind["converter"] = _less(by_kind["converter"], _MEASURED_TWICE)
        notes.append("offset and gain are those of the sums, which hold the converters' own")
    if "sums" in by_kind and "spread" in by_kind:
        by_kind["sums"] = _less(by_kind["sums"], ("transfer.",))
        by_kind["spread"] = _less(by_kind["spread"], ("adc_sigma_frac",))
        notes.append("the transfer is that of the spreads, the noise of conversions of the sums")
    noise: dict[str, Value] = {}
    errors: dict[str, float] = {}
    for fit in by_kind.values():
        noise |= fit.noise
        errors |= fit.errors
    if "transfer.sigma_frac" in noise:
        noise["transfer.sigma_frac"] = _less_explained(noise, macro, whole="spread" in by_kind)
        mean = np.array(noise["transfer.mean_frac"])
        noise["transfer.mean_frac"] = tuple(np.clip(mean, -1.0, 1.0).tolist())
        if np.abs(mean).max() > 1:
            notes.append("means beyond the full scale are cut to it")
    if {"sums", "spread"} & set(by_kind):
        notes += _also_held(macro, "conductance" in by_kind)
    return ChipFit(tuple(fits), noise, errors, tuple(notes))


def _less(fit: TableFit, paths: tuple[str, ...]) -> TableFit:
    """Return a fit without the values below some paths."""
    return replace(
        fit,
        noise={path: value for path, value in fit.noise.items() if not path.startswith(paths)},
        errors={path: value for path, value in fit.errors.items() if not path.startswith(paths)},
    )


def _also_held(macro: Macro, cells: bool) -> list[str]:
    """Say which other effects of cells the file has beside sums, which hold them too."""
    own = macro.noise
    others = [name for name in _IN_A_SUM if getattr(own, name) is not None]
    others += ["programming"] if cells and "programming" not in others else []
    if not others:
        return []
    return [
        f"the file has {', '.join(others)} too, which sums hold already: drop what counts twice"
    ]


def _less_explained(noise: Mapping[str, Value], macro: Macro, *, whole: bool) -> Value:
    """Return the spread of a transfer less what other fitted effects make of it.

    Args:
        noise: All that was fitted, by path.
        macro: That was measured.
        whole: Whether the transfer holds all that sums do; if not, what lines left of them.
    """
    scale = scale_of(macro)
    ideal, mean, sigma = (
        np.array(noise[f"transfer.{name}_frac"]) for name in ("ideal", "mean", "sigma")
    )
    share = (ideal * scale.full_scale - scale.lo) / (scale.lsb * scale.top)
    share = np.clip(share, 0.0, 1.0)
    explained: Floats = _of(noise, "adc.inl_sigma_frac") ** 2 * 4 * share * (1 - share)
    if whole:
        full_scale_mv = _of(noise, "adc.full_scale_mv") or 1.0
        offset = _of(noise, "adc.offset_sigma_frac")
        offset += _of(noise, "adc.offset_sigma_mv") / full_scale_mv
        relative = _of(noise, "adc.gain_sigma_frac") ** 2
        relative += _of(noise, "pvt.process_sigma_frac") ** 2
        explained += _of(noise, "adc_sigma_frac") ** 2 + offset**2 + relative * mean**2
    return tuple(np.sqrt(np.maximum(sigma**2 - explained, 0.0)).tolist())


def _of(noise: Mapping[str, Value], path: str) -> float:
    value = noise.get(path, 0.0)
    return value if isinstance(value, float) else 0.0
