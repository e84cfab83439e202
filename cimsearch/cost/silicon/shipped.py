"""The constants that come with the package, with where they are from and what they reach."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from cimsearch.cost.silicon.components import record_components
from cimsearch.cost.silicon.fit import Model, fit, usable
from cimsearch.cost.silicon.points import point_bands, scaled_pairs
from cimsearch.cost.silicon.score import bands, leave_one_chip_out, scores
from cimsearch.cost.silicon.table import Chip
from cimsearch.cost.silicon.time_area import time_and_area

_FILE = "constants.json"


def shipped() -> dict[str, Any]:
    """Return what ``record`` wrote for the published table: provenance, constants, figures."""
    text = files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def shipped_model() -> Model:
    """Return the model fitted to the published table."""
    return Model.from_json(shipped()["model"])


def record(chips: Sequence[Chip], *, sha256: str) -> dict[str, Any]:
    """Return constants and figures of a fit as plain data; ``sha256`` names its table."""
    return {
        "table_sha256": sha256,
        "chips": sorted({chip.chip for chip in usable(chips)}),
        "model": fit(chips).to_json(),
        "leave_one_chip_out": [asdict(one) for one in scores(leave_one_chip_out(chips))],
        "bands": [asdict(one) for one in bands(chips)],
        "components": record_components(chips),
        "one_point_given": [asdict(one) for one in point_bands(scaled_pairs(chips))],
        "time_and_area": [asdict(one) for one in time_and_area(chips)],
    }
