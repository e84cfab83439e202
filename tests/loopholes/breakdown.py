"""What a network chose and what it costs, in plain data."""

from typing import Any

import cimsearch
from tests.loopholes.cheapest import OBJECTIVES, Field


def breakdown(field: Field, genes: tuple[int, ...]) -> dict[str, Any]:
    """Return what a network, and the machine it is on, chose and what it costs."""
    report = cimsearch.estimate(field.space.decode(genes), field.hardware)
    return {
        "genes": list(genes),
        "choices": field.space.choices(genes),
        "costs": {name: _rounded(getattr(report, name)) for name in OBJECTIVES},
        "macros": report.macros,
        "components": {name: _rounded(part) for name, part in report.components.items()},
        "layers": {
            layer.name: {
                "energy_pj": _rounded(layer.energy_pj),
                "latency_ns": _rounded(layer.latency_ns),
                "arrays": layer.arrays,
            }
            for layer in report.layers
        },
    }


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
