"""The verb ``explain`` as its users meet it."""

import json
from math import prod
from pathlib import Path

import pytest

from cimsearch.units import show
from tests.commands import cimsearch, unwrapped
from tests.studies import copy_database

YU = "macros/yu_cicc_2020"
FILLED = """
schema: cimsearch/hardware/1
kind: system
extends: systems/edge_soc
name: filled
summary: spare macros hold copies of layers, all of which run at once
source: assumed
macros: 64
duplicates: fill
execution: pipelined
basis: {macros: assumed}
"""


MESH = """interconnect:
  mesh: {macros_per_tile: 8, hop_mm: 0.5, router_pj_per_bit: 0.1, router_ns: 2, link_gbps: LINK}"""


def priced_layer(cwd: Path) -> tuple[str, float]:
    """Return name and energy of the first layer that is on arrays."""
    cost = cimsearch("cost", "vgg_tiny", "--hardware", YU, "--json", cwd=cwd).stdout
    layer = next(found for found in json.loads(cost)["layers"] if found["arrays"])
    return layer["name"], layer["energy_pj"]


def test_explain_prints_equations_numbers_and_sources(tmp_path: Path) -> None:
    name, energy_pj = priced_layer(tmp_path)
    arguments = ["explain", "vgg_tiny", "--layer", name, "--hardware", YU]
    text = cimsearch(*arguments, cwd=tmp_path).stdout
    assert "row_tiles = ceil(rows / tile_rows) = ceil(" in text
    assert "  leakage: " in text
    assert "80 % band" in text
    assert "data statistics: activity 0.5" in text
    row = next(line for line in text.splitlines() if line.startswith("  macro.cell.cap_ff "))
    assert "fF" in row
    assert "yu_cicc_2020.yaml:" in row
    found = json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)
    total = 0.0
    for component in found["components"]:
        products = [prod(term["value"] for term in product) for product in component["products"]]
        total += sum(products) / component["per_pj"]
    assert total == pytest.approx(energy_pj, rel=1e-9)
    assert 0 < found["validated_frac"] < 1


def test_terms_are_broken_down_to_constants_once(tmp_path: Path) -> None:
    name, _ = priced_layer(tmp_path)
    lines = cimsearch(
        "explain", "vgg_tiny", "--layer", name, "--hardware", YU, cwd=tmp_path
    ).stdout.splitlines()
    depth = {line.split(" = ")[0].strip(): len(line) - len(line.lstrip()) for line in lines}
    for outer, inner in (
        ("bits read", "patch bits"),
        ("E_read", "read at size_kib"),
        ("area", "array area"),
        ("call", "sweep"),
        ("sweep", "conversion time"),
    ):
        assert depth[inner] == depth[outer] + 2
    square = (
        "V^2 = technology.vdd_v^2 x (supply_v / technology.vdd_v)^"
        "technology.energy_voltage_exponent = 1.1 ** 2 * (0.45 / 1.1) ** 2 = 0.2025 V^2"
    )
    assert unwrapped("\n".join(lines)).count(square) == 1
    reads = next(line for line in lines if line.startswith("  system.buffers.reads.size_kib"))
    assert "2, 8, 32, 128, 512" in reads
    assert "systems/enough_macros.yaml:" in reads
    assert "= 1 = 1" not in unwrapped("\n".join(lines))
    assert max(map(len, lines)) <= 120


def test_units_are_those_of_the_result(tmp_path: Path) -> None:
    name, energy_pj = priced_layer(tmp_path)
    arguments = ["explain", "vgg_tiny", "--layer", name, "--hardware", YU]
    lines = cimsearch(*arguments, cwd=tmp_path).stdout.splitlines()
    assert f"per inference: {show('energy_pj', energy_pj)}," in lines[0]
    text = unwrapped("\n".join(lines))
    for wrong in ("x 1 pJ", "1000 fJ ", "1000 fJ)"):
        assert wrong not in text
    for factor in (") / (1000 fJ/pJ)", "nand2_delay_ps / 1000 ps/ns x", "/ 1000000 um2/mm2 ="):
        assert factor in text
    assert "fJ/NAND" in text
    assert "e+0" not in "".join(line for line in lines if line.startswith("  "))


def test_explain_tells_copies_and_interval(tmp_path: Path) -> None:
    (tmp_path / "filled.yaml").write_text(FILLED)
    name, _ = priced_layer(tmp_path)
    arguments = ["explain", "vgg_tiny", "--layer", name, "--hardware", "filled.yaml"]
    text = cimsearch(*arguments, cwd=tmp_path).stdout
    found = json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)
    assert found["copies"] > 1
    assert f"in {found['copies']} copies on filled" in text.splitlines()[0]
    latency, interval = found["network"]
    assert interval["value"] < latency["value"]
    assert f"interval {show('interval_ns', interval['value'])}; the chip leaks" in text
    assert not found["not_pipelined"]
    cost = cimsearch("cost", "vgg_tiny", "--hardware", "filled.yaml", "--json", cwd=tmp_path)
    assert json.loads(cost.stdout)["interval_ns"] == pytest.approx(interval["value"], rel=1e-9)


def test_explain_tells_why_layers_are_not_pipelined(tmp_path: Path) -> None:
    small = FILLED.replace("macros: 64", "macros: 3").replace("duplicates: fill\n", "")
    (tmp_path / "small.yaml").write_text(small)
    name, _ = priced_layer(tmp_path)
    arguments = ["explain", "vgg_tiny", "--layer", name, "--hardware", "small.yaml"]
    found = json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)
    assert not found["network"]
    why = "the chip has 3, so its layers run one after another"
    assert why in found["not_pipelined"]
    text = cimsearch(*arguments, cwd=tmp_path).stdout
    assert f"Not pipelined: {found['not_pipelined']}" in text


def test_explain_tells_the_group_of_a_fused_layer(tmp_path: Path) -> None:
    small = FILLED.replace("macros: 64", "macros: 8").replace("duplicates: fill\n", "")
    (tmp_path / "fused.yaml").write_text(small.replace("pipelined", "fused"))
    name, _ = priced_layer(tmp_path)
    arguments = ["explain", "vgg_tiny", "--layer", name, "--hardware", "fused.yaml"]
    found = json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)
    assert found["group"].startswith("group 1 of ")
    latency, interval = found["network"]
    assert latency["value"] == interval["value"]
    terms = {term["symbol"]: term for term in found["terms"]}
    assert terms["group 1"]["formula"] == (
        "group loading + group latency + (batch - 1) x group interval"
    )
    text = unwrapped(cimsearch(*arguments, cwd=tmp_path).stdout)
    assert f"Fused, {found['group']}, group " in text
    for time in ("group loading", "group latency", "group interval"):
        assert f", {time} {show('latency_ns', terms[time]['value'])}" in text


def test_the_busiest_link_of_a_mesh_has_a_name(tmp_path: Path) -> None:
    mesh = FILLED.replace("duplicates: fill", MESH).replace("filled", "meshed")
    mesh = mesh.replace("basis: {", "basis: {interconnect: assumed, ")
    name, _ = priced_layer(tmp_path)
    texts = {}
    for gbps in (2, 500):
        (tmp_path / "meshed.yaml").write_text(mesh.replace("LINK", str(gbps)))
        arguments = ["explain", "vgg_tiny", "--layer", name, "--hardware", "meshed.yaml"]
        texts[gbps] = unwrapped(cimsearch(*arguments, cwd=tmp_path).stdout)
    assert "interval = max(longest layer, digital unit, buffer, bus or mesh link," in texts[2]
    assert "over all layers, of each the slower; 9" in texts[2]
    assert "% of it is the link" in texts[2]
    assert "mesh link: " in texts[2]
    # The bus is the slower everywhere.
    assert "interval = max(longest layer, digital unit, buffer, bus, memory" in texts[500]


def test_explain_tells_what_is_missing(tmp_path: Path) -> None:
    alone = cimsearch("explain", "vgg_tiny", "--layer", "x", cwd=tmp_path, expect=2)
    assert "--hardware is missing" in alone.stderr
    wrong = ["explain", "vgg_tiny", "--layer", "x", "--hardware", YU]
    assert "known are" in cimsearch(*wrong, cwd=tmp_path, expect=3).stderr


@pytest.mark.slow
def test_explain_a_trial(finished_study: Path, tmp_path: Path) -> None:
    copy_database(finished_study, tmp_path)
    trial = json.loads(cimsearch("trial", "tiny", "0", "--json", cwd=tmp_path).stdout)
    layer = next(found for found in trial["cost"]["layers"] if found["arrays"])
    arguments = ["explain", "tiny/0", "--layer", layer["name"]]
    found = json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)
    assert found["energy_pj"] == pytest.approx(layer["energy_pj"], rel=1e-9)
    assert all(
        constant["origin"]["basis"]
        for constant in found["constants"]
        if constant["path"] == "macro.array.rows"
    )
    missing = cimsearch("explain", "tiny/99", "--layer", "x", cwd=tmp_path, expect=1).stderr
    assert "it has trials 0 to 3" in missing
    genes = [*arguments, "--genes", "0"]
    assert "--genes" in cimsearch(*genes, cwd=tmp_path, expect=2).stderr


HARD = """
schema: cimsearch/space/1
name: hard
summary: two layers with hard sigmoids
source: tests
family: vgg
input_shape: [1, 8, 8]
classes: 10
stages: [{width: [8], depth: [2], downsample: true}]
activation: [hard_sigmoid, relu]
genes: {weight_bits: [4], activation_bits: [4], prune_ratio: [0.0]}
first_layer: {placement: digital, bits: 8}
classifier: {placement: digital, bits: 8}
"""


def test_an_activation_is_explained(tmp_path: Path) -> None:
    (tmp_path / "hard.yaml").write_text(HARD, encoding="utf-8")
    layer = "stage0.layer1.hard_sigmoid"
    arguments = ("explain", "./hard.yaml", "--layer", layer, "--hardware", YU)
    text = unwrapped(cimsearch(*arguments, cwd=tmp_path).stdout)
    assert "hard_sigmoid" in text
    assert "a value = additions x addition = 3 * " in text
    assert "one, and a comparison at each end (assumed)" in text
