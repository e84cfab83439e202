"""Frozen: the integers of the mapping, and the prices that follow from them."""

import json
import os
from typing import Any

import pytest

from cimsearch.blueprint import Blueprint
from cimsearch.cost import estimate, estimate_table
from cimsearch.layer_table import layer_table
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from tests.golden.golden import HERE, check_golden

NAMES = ("yu_cicc_2020", "chih_isscc_2021", "wan_nature_2022", "jia_jssc_2020")
INTEGERS = (
    *("rows", "outputs", "groups", "vectors", "planes", "slices", "columns_per_output"),
    *("lines_per_output", "columns", "row_tiles", "column_tiles", "row_groups", "arrays"),
    *("array_calls", "driven_rows", "conversions", "swept_conversions", "shift_adds"),
    *("scale_multiplies", "tile_adds", "input_sums", "corrections", "serial_calls"),
    *("used_cells", "cells"),
)


def networks() -> dict[str, Blueprint]:
    found = {}
    for name, bits in (("resnet8", 8), ("vgg_tiny", 4)):
        space = Space(load_space_spec(name))
        uniform = space.uniform(weight_bits=bits, activation_bits=bits)
        found[f"{name} uniform {bits} bit"] = uniform.blueprint
    return found


@pytest.mark.parametrize("name", NAMES)
def test_mapping_integers(name: str) -> None:
    hardware = load_hardware(f"macros/{name}")
    data: dict[str, Any] = {}
    for title, network in networks().items():
        mapping = estimate_table(layer_table([network]), hardware).mapping
        data[title] = {
            node.name: {field: int(getattr(mapping, field)[0, index]) for field in INTEGERS}
            for index, node in enumerate(network.nodes)
            if node.placement == "cim"
        }
    check_golden(f"mapping_{name}.json", data)


@pytest.mark.parametrize("name", [*(f"macros/{name}" for name in NAMES), "systems/edge_soc"])
def test_cost_totals(name: str) -> None:
    hardware = load_hardware(name)
    data: dict[str, Any] = {}
    for title, network in networks().items():
        report = estimate(network, hardware)
        data[title] = {
            "energy_pj": report.energy_pj,
            "latency_ns": report.latency_ns,
            "area_um2": report.area_um2,
            "utilization": report.utilization,
            "macros": report.macros,
            "components": report.components,
        }
    file = f"cost_{name.rsplit('/', maxsplit=1)[-1]}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        check_golden(file, data)
    frozen = json.loads((HERE / file).read_text(encoding="utf-8"))
    assert frozen.keys() == data.keys()
    for title, costs in data.items():
        components = costs.pop("components")
        assert components == pytest.approx(frozen[title].pop("components"), rel=1e-9)
        assert costs == pytest.approx(frozen[title], rel=1e-9)
