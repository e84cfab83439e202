"""What a hardware file may say: parts that fit, choices that exist, numbers with a basis."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cimsearch.errors import SpecError
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import basis_of, numbers

from .tiny import DIGITAL, hardware


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"array": {"active_rows": 9}}, "allowed is 1 to rows = 8"),
        ({"array": {"cell_bits": 2}}, "with array.cell_bits 2 allowed are offset"),
        ({"adc": None}, "missing; needed where compute_model is QS"),
        (
            {"compute_model": "digital"},
            "found one; allowed is none where compute_model is digital",
        ),
        (
            DIGITAL | {"noise": {"cell_sigma_frac": 0.1}},
            "found some; allowed is none where compute_model is digital",
        ),
        (
            DIGITAL | {"device": "rram"},
            "found rram; allowed is sram where compute_model is digital",
        ),
        ({"device": "rram"}, "found charge; allowed is resistive where device is rram"),
        ({"adc": {"columns_per_adc": 3}}, "a divisor of array.cols = 8"),
        ({"supply_v": 0.0}, "greater than 0"),
        ({"supplyv": 1.0}, "Extra inputs are not permitted"),
        ({"configurable": {"adc_bits": {"values": [1, 2], "follows": "x"}}}, "own setting 3"),
        ({"configurable": {"weight_bits": {"values": [9], "follows": "x"}}}, "found 9; allowed"),
        ({"configurable": {"encoding": {"values": ["sign"], "follows": "x"}}}, "found sign"),
        (
            DIGITAL | {"configurable": {"adc_bits": {"values": [1], "follows": "x"}}},
            "found one; allowed is none where compute_model is digital",
        ),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        hardware(**changes)


def test_choices_are_configurable_values_or_the_own_setting() -> None:
    macro = hardware().macro
    assert macro.choices("adc_bits") == (1, 2, 3, 4, 5)
    fixed = hardware(configurable={}).macro
    assert fixed.choices("adc_bits") == (3,)
    assert fixed.choices("weight_bits") == (8,)
    assert fixed.choices("encoding") == ("twos_complement",)
    assert fixed.choices("range_policy") == ("full_scale",)
    assert hardware(**DIGITAL).macro.choices("adc_bits") == (0,)


def test_hash_is_of_content() -> None:
    assert hardware().hash == hardware().model_copy(update={"name": "other"}).hash
    assert hardware().hash != hardware(supply_v=0.6).hash


def test_numbers_and_their_basis() -> None:
    data = {"a": {"b": 1, "c": [{"d": 2.0}, {"d": 3.0}]}, "basis": {"a": 1}, "e": True, "f": "x"}
    assert numbers(data) == ["a.b", "a.c.d"]
    assert basis_of("a.c.d", {"a": "assumed", "a.c": "derived"}) == "derived"
    assert basis_of("a.b", {"a": "assumed", "a.c": "derived"}) == "assumed"
    assert basis_of("b", {"a": "assumed"}) is None


def test_a_number_without_a_basis_is_pointed_at(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "schema: cimsearch/hardware/1\nkind: macro\nextends: macros/yu_cicc_2020\nname: mine\n"
        "summary: mine\nsource: me\nnoise:\n  cell_sigma_frac: 0.1\nbasis: {noise: measured}\n"
    )
    with pytest.raises(SpecError, match=r"mine\.yaml:9:9: basis\.noise"):
        load_hardware(str(path))
    path.write_text(path.read_text().replace("measured", "assumed"))
    assert load_hardware(str(path)).macro.noise.cell_sigma_frac == 0.1
