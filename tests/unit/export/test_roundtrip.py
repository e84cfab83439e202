"""What is written is rebuilt from its integers, and says the same of every image."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from cimsearch.evaluate import Job
from cimsearch.export.verify import verify_export
from cimsearch.spec.condition import Condition
from cimsearch.spec.study import Recipe
from tests.unit.export.networks import DIGITAL_MACRO, exported, hardware, job, network
from tests.unit.space.activations import with_hard_sigmoids

PVT = {"cell_sigma_frac": 0.03, "pvt": {"gain_per_supply_frac": 1.0, "process_sigma_frac": 0.3}}
LEARNED = Recipe(
    batch=32,
    parent_epochs=3,
    parent_lr=0.2,
    qat_lr=0.05,
    steps="learned",
    partial_sum_steps="learned",
)


def encoded(encoding: str, **adc: Any) -> Any:
    return hardware(weights={"encoding": encoding}, adc={"bits": 4} | adc)


CASES: dict[str, Callable[[], Job]] = {
    "offset": lambda: job(encoded("offset", range_policy="layer")),
    "differential": lambda: job(encoded("differential", range_policy="layer")),
    "two halves, a range a column": lambda: job(
        encoded("differential_digital", range_policy="column")
    ),
    "two's complement, the full scale": lambda: job(
        encoded("twos_complement", range_policy="full_scale")
    ),
    "L0": lambda: job(hardware(), level="L0"),
    "L0, fitted": lambda: job(hardware(noise=PVT), level="L0"),
    "L1, fitted": lambda: job(
        hardware(noise=PVT, system={"layers_per_array": "many"}), level="L1"
    ),
    "digital": lambda: job(hardware(**DIGITAL_MACRO), blueprint=network(w_bits=4, x_bits=4)),
    "learned steps": lambda: job(
        hardware(), recipe=LEARNED, rung={"epochs": 1, "train_level": "L1"}, level="L1"
    ),
    "conditions": lambda: job(
        hardware(noise=PVT), rung={"conditions": (Condition(), Condition(supply_v=0.45))}
    ),
    "hard sigmoids": lambda: job(
        hardware(),
        blueprint=with_hard_sigmoids(network()),
        recipe=Recipe(batch=32, parent_epochs=6, parent_lr=1.0, qat_lr=0.05),
    ),
    "a calibration each": lambda: job(hardware(noise=PVT), calibration="per_chip", level="L1"),
}


@pytest.mark.parametrize("case", CASES)
def test_replayed_to_the_last_image(case: str, tmp_path: Path) -> None:
    of = CASES[case]()
    written = exported(of, tmp_path / "out")
    found = verify_export(tmp_path / "out")
    assert found.passed, found
    assert not written.notes
    assert written.scores.as_in_study
    conditions = len(of.rung.conditions) or 1
    assert len(found.agreements) == of.rung.chips * conditions + 1
    assert all(each.agreed == each.images == 50 for each in found.agreements)
    if of.hardware.macro.adc is not None:
        # Chips differ, so that agreement says something.
        assert len({chip.by_condition for chip in written.scores.chips}) == of.rung.chips
    golden_by_hand(tmp_path / "out")
    card = (tmp_path / "out" / "card.md").read_text()
    assert all(f"| {at.label} | " in card for at in of.rung.conditions)


def golden_by_hand(directory: Path) -> None:
    """Drive the cells of every tile with its inputs, and look at what its columns give."""
    mapping = json.loads((directory / "mapping.json").read_text())
    golden = load_file(directory / "golden.safetensors")
    layers = {layer["layer"]: layer for layer in mapping["layers"]}
    assert mapping["tiles"]
    for tile in mapping["tiles"]:
        part = {
            n.partition("/")[2]: v for n, v in golden.items() if n.startswith(f"{tile['tile']}/")
        }
        layer = layers[tile["layer"]]
        sums = driven(tile, layer, part)
        np.testing.assert_array_equal(part["partial_sums"], sums)
        if "codes" in part and np.size(layer["adc_lsb"]) == 1:
            lo, lsb = np.ravel(layer["adc_lo"]), np.ravel(layer["adc_lsb"])
            codes = np.clip(np.rint((sums - lo) / lsb), 0, 2 ** layer["adc_bits"] - 1)
            np.testing.assert_array_equal(part["codes"], codes)


def driven(tile: dict[str, Any], layer: dict[str, Any], part: dict[str, Any]) -> Any:
    """The sums of a tile's columns, from its cells alone."""
    inputs, cells, columns = part["inputs"], part["cells"].astype(int), part["columns"]
    first, stop = tile["columns"]
    assert cells.shape == (tile["rows"][1], stop - first)
    assert first <= columns.min() <= columns.max() < stop
    pair = np.concatenate([cells[:, 1:], np.zeros((len(cells), 1), int)], axis=1)
    read = (cells - pair if layer["encoding"] == "differential" else cells)[:, columns - first]
    vectors, groups, rows = inputs.shape
    sums = np.zeros((vectors, len(tile["row_groups"]), len(layer["plane_weights"]), len(columns)))
    for at, (start, end) in enumerate(tile["row_groups"]):
        for plane in range(len(layer["plane_weights"])):
            # Groups of a convolution share an array: each drives the rows of its own block.
            lines = np.zeros((vectors, groups, rows), int)
            own = slice(start - tile["weight_rows"][0], end - tile["weight_rows"][0])
            lines[..., own] = (inputs[..., own] >> plane) & 1
            for group in range(groups):
                driven_rows = np.zeros((vectors, groups * rows), int)
                driven_rows[:, group * rows : (group + 1) * rows] = lines[:, group]
                block = slice(*(np.array((group, group + 1)) * len(columns) // groups))
                sums[:, at, plane, block] = (driven_rows @ read)[:, block]
    return sums
