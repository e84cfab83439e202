"""What energies may be if the equations are wrong: component scales as far off as chips showed.

A price is a sum of components, each by its own equation with constants that every network on a
macro has in common. So an error of an equation is common to all networks: it moves a network by
the share that the component has in it, and networks of equal shares alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimsearch.cost.credibility import (
    NOMINAL_COVERAGE,
    Trust,
    is_calibrated,
    trust_in,
    validated_components,
)
from cimsearch.cost.model import COMPONENTS
from cimsearch.cost.silicon.components import PARTS
from cimsearch.spec.hardware import Hardware

_CONTROL = "control"
"""A share of the dynamic energy: it follows what it is a share of."""
_STATIC = ("off_chip", "leakage")
"""What control is no share of."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScaleErrors:
    """How far off the equations of a macro's energy may be.

    Attributes:
        spread: Standard deviation of the natural logarithm of a component's scale.
        trust: The band that the spread is of, with its basis and the coverage achieved.
        parts: The components that are drawn together, by name.
        assumed: The parts that no chip has validated; their spread is taken to be the same.
    """

    spread: float
    trust: Trust
    parts: Mapping[str, tuple[str, ...]]
    assumed: tuple[str, ...]


def scale_errors(hardware: Hardware) -> ScaleErrors:
    """Return how far off the equations of energy may be on ``hardware``.

    ``trust_in`` has the band that held the energy of so many chips left out of the fit: a
    log-normal error of that band is taken for each part by itself. Published chips tell only the
    sum of the parts, so how an error divides is not known; independent parts that are each as wide
    as the whole are what moves networks most against each other. An error that all parts share
    would scale all networks alike and move none.
    """
    calibrated = is_calibrated(hardware)
    trust = trust_in(hardware.macro, calibrated=calibrated)
    quantile = NormalDist().inv_cdf((1 + NOMINAL_COVERAGE) / 2)
    grouped = {name for listed in PARTS.values() for name in listed}
    alone = {n: (n,) for n in COMPONENTS if n not in grouped and n != _CONTROL}
    parts = {**PARTS, **alone}
    known = validated_components(hardware.macro, calibrated=calibrated)
    assumed = tuple(name for name, listed in parts.items() if not known.issuperset(listed))
    return ScaleErrors(log(trust.factor) / quantile, trust, parts, assumed)


def draw_scales(errors: ScaleErrors, draws: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Return scales (draws,) by component, ``control`` left out; log-normal, median 1.

    The first scales of a stream are the same however many are drawn.
    """
    logs = errors.spread * rng.standard_normal((draws, len(errors.parts)))
    scales = np.exp(logs)
    return {
        name: scales[:, column]
        for column, listed in enumerate(errors.parts.values())
        for name in listed
    }


def energies_pj(components: Sequence[Mapping[str, float]], scales: Mapping[str, Floats]) -> Floats:
    """Return the energy of each network at each draw, (draws, networks), pJ.

    Args:
        components: Energy in pJ by component, of each network.
        scales: From ``draw_scales``.
    """

    def scaled(names: Any) -> Floats:
        of = list(names)
        energy = np.array([[each[name] for each in components] for name in of])
        return np.asarray(np.column_stack([scales[name] for name in of]) @ energy)

    dynamic = [name for name in scales if name not in _STATIC]
    plain = np.array([sum(each[name] for name in dynamic) for each in components])
    control = np.array([each[_CONTROL] for each in components])
    moved = scaled(dynamic)
    return np.asarray(moved * (1 + control / plain) + scaled(_STATIC))
