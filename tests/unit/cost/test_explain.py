"""An explanation is the model's own arithmetic: multiplied out, it gives the model's figures."""

from types import MappingProxyType
from typing import Any

import pytest

from cimsearch.blueprint import Blueprint
from cimsearch.cost.explain import explain
from cimsearch.errors import HardwareError
from cimsearch.search.baselines import uniform_candidate
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec, names
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.provenance import load_basis
from cimsearch.spec.study import Statistics

from .explaining import check_arithmetic, explained_layers
from .tiny import conv, hardware

HARDWARE = [name for name in names("hardware") if name.startswith("macros/")]
HARDWARE += ["systems/edge_soc"]


def network_on(machine: Hardware, space: str = "vgg_tiny") -> Blueprint:
    """Return the uniform baseline of a space."""
    return uniform_candidate(Space(load_space_spec(space)), machine, 8).blueprint


@pytest.mark.parametrize("name", HARDWARE)
def test_equations_of_every_macro_are_the_model(name: str) -> None:
    machine = load_hardware(name)
    origins = load_basis(name)
    for found in explained_layers(network_on(machine), machine):
        check_arithmetic(found)
        for path in found.constants:
            assert path in origins or _is_default(machine, path), path


def _is_default(machine: Hardware, path: str) -> bool:
    """Return whether no file states the constant: it is the default of its model."""
    *parents, field = path.split(".")
    owner: Any = machine
    for parent in parents:
        owner = getattr(owner, parent)
    return bool(getattr(owner, field) == type(owner).model_fields[field].default)


@pytest.mark.parametrize("ping_pong", [False, True])
def test_a_network_that_does_not_fit_is_loaded(ping_pong: bool) -> None:
    machine = load_hardware("macros/chih_isscc_2021")
    memory = machine.system.off_chip.model_copy(
        update={"ping_pong": ping_pong, "reload": "allowed"}
    )
    system = machine.system.model_copy(update={"macros": 1, "off_chip": memory})
    gated = machine.macro.array.model_copy(update={"gating": ("rows",)})
    macro = machine.macro.model_copy(update={"array": gated})
    small = machine.model_copy(update={"system": system, "macro": macro})
    data = Statistics(activity_frac=0.3, density_frac=0.4, batch=4)
    layers = list(explained_layers(network_on(machine), small, data))
    assert any(found.energies_pj["off_chip"] > 0 for found in layers)
    assert any(found.latency.loading for found in layers)


def test_rows_by_hand() -> None:
    """18 rows of 3 x 3 x 2 on arrays of 8 rows, 4 active: 3 tiles, 5 row groups."""
    found = explain(Blueprint((2, 4, 4), 3, (conv(),)), hardware(), conv().name)
    counts = {count.name: (count.value, count.arithmetic) for count in found.mapping}
    assert counts["rows"] == (18, "3 * 3 * 2 / 1")
    assert counts["row_tiles"] == (3, "ceil(18 / 8)")
    assert counts["row_groups"][0] == 5


def test_constants_have_basis_file_and_line() -> None:
    name = "macros/yu_cicc_2020"
    machine = load_hardware(name)
    network = network_on(machine)
    layer = next(node.name for node in network.nodes if node.placement == "cim")
    found = explain(network, machine, layer, origins=MappingProxyType(load_basis(name)))
    rows = found.constants["macro.array.rows"]
    assert rows.origin is not None
    assert (rows.value, rows.origin.basis) == (machine.macro.array.rows, "reported")
    assert rows.origin.file.endswith("yu_cicc_2020.yaml")
    assert rows.origin.line > 1
    assert rows.origin.source == machine.source
    inherited = found.constants["macro.technology.vdd_v"].origin
    assert inherited is not None
    assert inherited.file.endswith("cmos_65nm.yaml")
    assert inherited.source != machine.source
    assert 0 < found.validated_frac < 1


def test_an_unknown_layer_is_one_error() -> None:
    with pytest.raises(HardwareError, match="no layer 'nothing'"):
        explain(Blueprint((2, 4, 4), 3, (conv(),)), hardware(), "nothing")
