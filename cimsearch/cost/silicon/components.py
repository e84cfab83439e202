"""The component equations that price networks, scored on published chips: as they are, and refit.

Rows become macros by what their columns say and the same default constants for every chip. A refit
multiplies components by scales, log-normal around 1; the maximum a posteriori estimate of their
logs is found by Gauss-Newton steps. Nothing is random.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from math import exp, log
from typing import Any

import numpy as np

from cimsearch.cost.silicon.fit import (
    INTERCEPT_SD,
    RESIDUAL_SD,
    Vector,
    chip_weights,
    usable,
)
from cimsearch.cost.silicon.macros import price_row, reason_not_priced
from cimsearch.cost.silicon.quantities import PRIORS, log_measured
from cimsearch.cost.silicon.score import (
    Fitter,
    Predictor,
    bands,
    leave_one_chip_out,
    scores,
)
from cimsearch.cost.silicon.table import Chip

PARTS = {
    "cells": ("cells",),
    "drivers": ("drivers",),
    "adc": ("adc",),
    "logic": ("adder_tree", "shift_add"),
}
"""Components that a refit scales together; control is a share of all of them."""

SCALE_SD = log(2)
"""How far a refit may move a component from its equation: a factor of two (standard deviation)."""

AS_SHIPPED = "as shipped"
ONE_SCALE = "one scale"
COMPONENT_SCALES = "component scales"

Scales = Mapping[str, tuple[float, ...]]
"""Factors of ``PARTS``, in order, by technology."""

_STEPS = 100
_SETTLED = 1e-9


_UNSCALED: Scales = {name: (1.0,) * len(PARTS) for name in PRIORS}


def predict_shipped(chip: Chip) -> float | None:
    """Return fJ per MAC by the equations as they are, or None if they cannot price the row."""
    return _predict(_UNSCALED, chip)


def as_shipped(chips: Sequence[Chip]) -> Predictor:
    """Return the equations as they are: the chips of a fit have no say."""
    del chips
    return predict_shipped


def one_scale(chips: Sequence[Chip]) -> Predictor:
    """Return the equations times one factor a technology, the one that fits ``chips`` best."""
    return partial(_predict, _fit(chips, tied=True))


def component_scales(chips: Sequence[Chip]) -> Predictor:
    """Return the equations with every component scaled to ``chips`` as far as priors allow."""
    return partial(_predict, fit_scales(chips))


FITTERS: dict[str, Fitter] = {
    AS_SHIPPED: as_shipped,
    ONE_SCALE: one_scale,
    COMPONENT_SCALES: component_scales,
}
"""How the equations are fitted, by name."""


def fit_scales(chips: Sequence[Chip]) -> Scales:
    """Return the factor of every component, by technology."""
    return _fit(chips, tied=False)


def record_components(chips: Sequence[Chip]) -> dict[str, Any]:
    """Return what the equations reach, each chip left out, by how they were fitted.

    With the factors of all ways to fit to all chips.
    """
    scales = {ONE_SCALE: _fit(chips, tied=True), COMPONENT_SCALES: fit_scales(chips)}
    return {
        "reached": {
            name: {
                "leave_one_chip_out": [
                    asdict(one) for one in scores(leave_one_chip_out(chips, fitter=fitter))
                ],
                "bands": [asdict(one) for one in bands(chips, fitter=fitter)],
            }
            for name, fitter in FITTERS.items()
        },
        "scales": {
            way: {name: dict(zip(PARTS, one, strict=True)) for name, one in found.items()}
            for way, found in scales.items()
        },
    }


def predictors(recorded: dict[str, Any]) -> dict[str, Predictor]:
    """Return the predictors of what ``record_components`` wrote, by how they were fitted."""
    made: dict[str, Predictor] = {AS_SHIPPED: predict_shipped}
    for way, found in recorded["scales"].items():
        scales = {name: tuple(one[part] for part in PARTS) for name, one in found.items()}
        made[way] = partial(_predict, scales)
    return made


def _predict(scales: Scales, chip: Chip) -> float | None:
    if chip.technology not in scales or reason_not_priced(chip):
        return None
    return float(_parts_fj(chip) @ np.array(scales[chip.technology]))


def _parts_fj(chip: Chip) -> Vector:
    """Return the energy of a MAC by ``PARTS``, each with its share of control, array (parts,)."""
    energy = price_row(chip).energy_fj
    parts = np.array([sum(energy[name] for name in listed) for listed in PARTS.values()])
    return np.asarray(parts * (1 + energy["control"] / parts.sum()))


def _fit(chips: Sequence[Chip], *, tied: bool) -> dict[str, tuple[float, ...]]:
    found = {}
    for name in PRIORS:
        rows = [c for c in usable(chips) if c.technology == name and not reason_not_priced(c)]
        if rows:
            found[name] = _fit_one(rows, tied=tied)
    return found


def _fit_one(chips: Sequence[Chip], *, tied: bool) -> tuple[float, ...]:
    energies = np.array([log_measured(chip) for chip in chips])
    parts = np.array([_parts_fj(chip) for chip in chips])
    votes = chip_weights(chips) / RESIDUAL_SD**2
    if tied:
        parts = parts.sum(axis=1, keepdims=True)
    spread = INTERCEPT_SD if tied else SCALE_SD
    logs = _descend(parts, energies, votes, spread)
    return tuple(map(exp, np.broadcast_to(logs, len(PARTS))))


def _descend(parts: Vector, energies: Vector, votes: Vector, spread: float) -> Vector:
    """Return the logs of the factors, array (parts,), that are likeliest for the rows.

    Args:
        parts: Energies by part, array (rows, parts).
        energies: ln of the measured energies, array (rows,).
        votes: Weights over the variance of a row, array (rows,).
        spread: Standard deviation of the prior of a log.
    """
    logs = np.zeros(parts.shape[1])
    precision = np.eye(len(logs)) / spread**2

    def loss(at: Vector) -> float:
        errors = energies - np.log(parts @ np.exp(at))
        return float(votes @ errors**2 + at @ precision @ at)

    for _ in range(_STEPS):
        scaled = parts * np.exp(logs)
        total = scaled.sum(axis=1)
        shares = scaled / total[:, None]
        pull = shares.T @ (votes * (energies - np.log(total))) - precision @ logs
        step = np.linalg.solve(shares.T @ (votes[:, None] * shares) + precision, pull)
        while loss(logs + step) > loss(logs) and np.abs(step).max() > _SETTLED:
            step = step / 2
        logs = logs + step
        if np.abs(step).max() <= _SETTLED:
            break
    return np.asarray(logs)
