"""No step from a machine to the next saves something that nobody pays for.

Winners are the ends of a search; this is about its way. On random networks and machines of every
kind, one field goes up or down by one choice. If a price falls and no other rises and no layer has
less signal to its noise, there is one of a few reasons, each of which is checked.
"""

from collections import Counter
from functools import cache

import pytest
import torch

from cimsearch.api import estimate, fidelity
from cimsearch.blueprint import Node
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.ir_drop import with_ir_drop
from cimsearch.cim.layout import layout_of
from cimsearch.cim.node_numerics import numerics_of
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware, ResistiveCell
from cimsearch.spec.hardware_genes import Settings
from cimsearch.spec.settings import with_settings
from tests.loopholes.kinds import HERE, KINDS, field_on
from tests.loopholes.steps import REASONS, Step, free_steps, reasons, steps

NETWORKS = 25
FURTHER = 120

# Fields that only ever pay where a network's layers leave none of a larger array idle, which those
# of these small networks do: test_arrays_that_are_full_cost_more_in_halves.
PAYING_WHERE_FULL = ("rows", "cols")

# Where charges are summed, more active rows are a larger swing, and nearly always better for that.
PAYING_BY_SWING = "active_rows"


@cache
def tried(kind: str) -> list[Step]:
    """Return steps on the machines of a kind."""
    return list(steps(field_on(kind, "any"), NETWORKS))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_paid_for_or_was_wasted(kind: str) -> None:
    for step in tried(kind):
        assert not step.is_free or reasons(step), str(step)


@pytest.mark.slow
def test_nor_elsewhere_and_no_reason_is_idle() -> None:
    found: set[str] = set()
    for kind in KINDS:
        for step in free_steps(field_on(kind, "any"), FURTHER):
            assert reasons(step), str(step)
            found |= set(reasons(step))
    assert found == set(REASONS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_a_choice(kind: str) -> None:
    found = Counter((step.name, step.is_free) for step in tried(kind))
    known = {*PAYING_WHERE_FULL, PAYING_BY_SWING}
    for name in {step.name for step in tried(kind)} - known:
        assert found[name, False] > 0, f"{name} is always better one way"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "digital"])
def test_supply_and_sharing_are_never_free_on_analog_arrays(kind: str) -> None:
    names = ("supply_v", "columns_per_adc")
    assert not [str(step) for step in tried(kind) if step.name in names and step.is_free]


@pytest.mark.parametrize("name", PAYING_WHERE_FULL)
@pytest.mark.parametrize("kind", ["qs", "is", "resistive", "digital"])
def test_arrays_that_are_full_cost_more_in_halves(kind: str, name: str) -> None:
    """As many cells: inputs go to twice the arrays; drivers or converters are twice as many."""
    hardware = load_hardware(str(HERE / f"{kind}.yaml"))
    own: Settings = (("rows", 128), ("cols", 128), ("active_rows", 64))
    if hardware.macro.adc is not None:
        own = (*own, ("columns_per_adc", 16))
    halved: Settings = tuple((n, v // 2 if n == name else v) for n, v in own)
    whole, half = (with_settings(hardware, settings) for settings in (own, halved))
    shapes = (256, 4, 4), (64, 4, 4)
    full = Node("full", "conv", ("x",), *shapes, placement="cim", w_bits=8, x_bits=4)
    before, after = (estimate(full, machine) for machine in (whole, half))
    assert before.utilization == after.utilization == 1.0
    assert after.macros == 2 * before.macros
    assert after.energy_pj > before.energy_pj
    assert after.area_um2 > before.area_um2
    assert [layer.snr_db for layer in fidelity(full, whole)] == [
        layer.snr_db for layer in fidelity(full, half)
    ] or (name == "rows" and hardware.macro.compute_model == "QS")


@pytest.mark.parametrize(
    ("name", "few", "many"), [("active_rows", 32, 64), ("rows", 64, 256), ("cols", 64, 128)]
)
@pytest.mark.parametrize("kind", ["resistive", "pulses"])
def test_longer_wires_with_more_currents_lose_more(
    kind: str, name: str, few: int, many: int
) -> None:
    """What the closed form of signal to noise leaves out, the numerics pay: the drop of wires."""
    hardware = load_hardware(str(HERE / f"{kind}.yaml"))
    full = Node(
        "full", "linear", ("x",), (256, 1, 1), (64, 1, 1), placement="cim", w_bits=8, x_bits=4
    )
    own = {"rows": 256, "cols": 128, "active_rows": 64, "columns_per_adc": 8, "dac_bits": 1}
    kept = [
        _kept(full, with_settings(hardware, tuple((own | {name: value}).items())))
        for value in (few, many)
    ]
    assert 0 < kept[1] < kept[0] < 1


def _kept(node: Node, machine: Hardware) -> float:
    """Return the mean share of the current of cells that are all on, after the drop of wires."""
    numerics = numerics_of(node, machine.macro)
    assert numerics is not None
    rows, outputs = node.in_shape[0], node.out_shape[0]
    layout = layout_of(numerics, Geometry.of(node, numerics), rows, outputs)
    cells, slices, _ = layout.bitlines.shape
    cell, ir_drop = machine.macro.cell, machine.macro.noise.ir_drop
    assert isinstance(cell, ResistiveCell)
    assert ir_drop is not None
    g = torch.ones((cells, slices, rows, outputs), dtype=torch.float64)
    return float(with_ir_drop(g, ir_drop, cell.g_on_us, layout).mean())
