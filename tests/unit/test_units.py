"""Units are read off names."""

import pytest

from cimsearch.units import label, quantity, show


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("energy_pj", 5210.0, "5.21 nJ"),
        ("energy_pj", 0.5, "500 fJ"),
        ("latency_ns", 12.0, "12 ns"),
        ("latency_ns", 3.5e7, "35 ms"),
        ("area_um2", 2.5e6, "2.5 mm²"),
        ("accuracy", 0.98765, "98.77 %"),
        ("macros", 3.0, "3"),
        ("energy_pj", 0.0, "0 pJ"),
    ],
)
def test_values_are_scaled_to_be_read(name: str, value: float, expected: str) -> None:
    assert show(name, value) == expected


def test_labels_carry_the_unit() -> None:
    assert label("energy_measured_pj") == "energy measured [pJ]"
    assert label("accuracy") == "accuracy"
    assert label("utilization") == "utilization"
    assert quantity("weight_bits") == "weight"
    assert quantity("area_um2") == "area"
