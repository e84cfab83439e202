"""``cimsearch network fill``: a network with the widths that fill a budget of arrays."""

import json
from pathlib import Path

import pytest

from cimsearch import load_hardware, load_space
from cimsearch.cost.budget import ArrayBudget
from cimsearch.space.widths import widths_of
from cimsearch.spec.network import NetworkSpec
from tests.commands import cimsearch

MACRO = "macros/yu_cicc_2020"
FILL = ("network", "fill", "vgg_tiny", "--hardware", MACRO)


@pytest.mark.parametrize(
    ("unit", "limit"), [("bitlines", 2048), ("macros", 10), ("cells", 150_000)]
)
def test_the_filled_network_uses_more_of_the_budget(tmp_path: Path, unit: str, limit: int) -> None:
    done = cimsearch(*FILL, "--budget", str(limit), "--unit", unit, "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    uniform, filled = found["uniform"], found["filled"]
    assert max(uniform["units"], filled["units"]) <= found["budget"] == limit
    assert uniform["usage_frac"] < filled["usage_frac"] <= 1
    assert uniform["weights"] < filled["weights"]
    assert any(width["uniform"] != width["filled"] for width in found["widths"].values())


def test_what_it_writes_is_the_space_of_the_filled_network(tmp_path: Path) -> None:
    told = cimsearch(*FILL, "--budget", "2048", "--to", "filled.yaml", "--json", cwd=tmp_path)
    found = json.loads(told.stdout)
    space = load_space(str(tmp_path / "filled.yaml"))
    network = space.uniform(weight_bits=8, activation_bits=8, adc_bits=5).blueprint
    assert widths_of(network) == {name: w["filled"] for name, w in found["widths"].items()}
    budget = ArrayBudget(2048, load_hardware(MACRO))
    assert budget.units(network) == found["filled"]["units"]
    assert isinstance(space.spec, NetworkSpec)
    assert not space.spec.weights_sha256
    assert {g.name.rsplit(".")[-1] for g in space.genes} == {"weight_bits", "activation_bits"}


def test_a_printed_table_has_both_networks_and_all_groups(tmp_path: Path) -> None:
    text = cimsearch(*FILL, "--budget", "2048", "--least", "8", cwd=tmp_path).stdout
    assert "vgg_tiny in 2048 bitlines of yu_cicc_2020" in text
    assert all(name in text for name in ("uniform", "filled", "stage2.layer1"))


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    cimsearch(*FILL, "--budget", "2048", "--to", "filled.yaml", cwd=tmp_path)
    again = cimsearch(*FILL, "--budget", "2048", "--to", "filled.yaml", cwd=tmp_path, expect=2)
    assert "is there already" in again.stderr
    small = cimsearch(*FILL, "--budget", "20", "--to", "small.yaml", cwd=tmp_path, expect=3)
    assert "20 bitlines; the network takes" in small.stderr
    assert not (tmp_path / "small.yaml").exists()
    named = cimsearch(*FILL, "--budget", "2048", "--to", "Filled.yaml", cwd=tmp_path, expect=2)
    assert "allowed is a name of a-z" in named.stderr
