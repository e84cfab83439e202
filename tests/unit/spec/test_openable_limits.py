"""How far choices of opened fields may go: supplies, and what the study's networks need."""

from pathlib import Path
from typing import Any

import pytest

from cimsearch.spec import Study, load_hardware
from cimsearch.spec.document import Document, Position
from cimsearch.spec.hardware_genes import HardwareGenes
from cimsearch.spec.openable import openable_faults, supply_limits
from cimsearch.spec.study import OpenGenes


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("charge_28nm", (0.63, 1.17)),
        ("yu_cicc_2020", (0.45, 0.585)),
        ("mori_isscc_2023", (0.63, 0.91)),
    ],
)
def test_supplies_are_near_the_macro_s_and_the_technology_s(
    name: str, limits: tuple[float, float]
) -> None:
    macro = load_hardware(f"macros/{name}").macro
    assert supply_limits(macro) == pytest.approx(limits)
    low, high = supply_limits(macro)
    assert low <= macro.supply_v <= high


@pytest.mark.parametrize(
    ("field", "values", "changes", "expected"),
    [
        (
            "dac_bits",
            (1, 2),
            {"first_layer": {"placement": "cim"}},
            "the first layer of vgg_tiny is on arrays, and its signed inputs need 1",
        ),
        ("adc_bits", (5, 6), {"adc_bits": (5,)}, "genes.adc_bits sets the bits of each layer's"),
    ],
)
def test_what_a_space_asks_stays_possible(
    tiny_study: Study, field: str, values: tuple[int, int], changes: dict[str, Any], expected: str
) -> None:
    hardware = load_hardware("macros/charge_28nm")
    opened = OpenGenes(hardware=HardwareGenes.model_validate({field: values}))
    spec = tiny_study.spec.model_copy(update={"genes": opened})
    space = tiny_study.space
    bits = {"adc_bits": changes.get("adc_bits", ())}
    free = space.model_copy(update={"genes": space.genes.model_copy(update={"adc_bits": ()})})
    asking = free.model_copy(update={"genes": free.genes.model_copy(update=bits)})
    if "first_layer" in changes:
        first = free.first_layer.model_copy(update=changes["first_layer"])
        asking = asking.model_copy(update={"first_layer": first})
    place = Position("tiny.yaml", 1, 1)
    document = Document(Path("tiny.yaml"), {}, {("genes", "hardware", field): place})
    assert openable_faults(document, spec, hardware, [free]) == []
    (fault,) = openable_faults(document, spec, hardware, [free, asking])
    assert expected in fault.message
