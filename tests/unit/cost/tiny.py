"""A small macro with round numbers, for prices computed by hand."""

import json
from typing import Any

from cimsearch.blueprint import Node
from cimsearch.spec.hardware import Hardware

TINY: dict[str, Any] = {
    "name": "tiny",
    "summary": "round numbers",
    "source": "tests",
    "system_name": "tiny",
    "macro": {
        "device": "sram",
        "compute_model": "QS",
        "technology": {
            "node_nm": 45.0,
            "vdd_v": 1.0,
            "nand2_cap_ff": 1.0,
            "nand2_area_um2": 1.0,
            "nand2_delay_ps": 10.0,
            "sram_bit_area_um2": 0.5,
            "leakage_uw_per_mm2": 10.0,
            "delay_voltage_exponent": 1.0,
        },
        "supply_v": 0.5,
        "array": {
            "rows": 8,
            "cols": 8,
            "active_rows": 4,
            "cell_bits": 1,
            "cell_area_um2": 2.0,
            "bitline_cap_ff_per_cell": 1.0,
            "write_pj_per_cell": 0.5,
            "write_ns_per_row": 10.0,
        },
        "cell": {"kind": "charge", "cap_ff": 8.0},
        "weights": {"encoding": "twos_complement", "max_bits": 8},
        "input": {
            "dac_bits": 1,
            "max_bits": 8,
            "wordline_cap_ff_per_cell": 2.0,
            "wordline_v": 1.0,
            "dac_cap_ff_per_bit": 0.0,
            "driver_area_um2": 3.0,
            "settle_ns": 2.0,
        },
        "adc": {
            "bits": 3,
            "columns_per_adc": 2,
            "range_switch_fj": 0.0,
            "range_policy": "full_scale",
            "sample_cap_ff": 4.0,
            "model": {"kind": "ramp", "step_fj": 10.0, "step_ns": 1.0, "area_um2": 5.0},
        },
        "logic_factor": 2.0,
        "control_frac": 0.1,
        "configurable": {
            "weight_bits": {"values": [1, 2, 3, 4, 6, 8], "follows": "columns"},
            "activation_bits": {"values": [1, 2, 3, 4, 6, 8], "follows": "planes"},
            "adc_bits": {"values": [1, 2, 3, 4, 5], "follows": "steps"},
            "encoding": {
                "values": ["offset", "twos_complement", "differential", "differential_digital"],
                "follows": "columns",
            },
            "range_policy": {"values": ["full_scale", "layer", "column"], "follows": "scales"},
        },
    },
    "system": {
        "macros": "enough",
        "buffers": {
            "size_kib": 8.0,
            "reads": [
                {"size_kib": 2, "pj_per_bit": 0.01},
                {"size_kib": 8, "pj_per_bit": 0.02},
                {"size_kib": 128, "pj_per_bit": 0.08},
            ],
            "write_ratio_frac": 0.5,
            "reference_node_nm": 45.0,
            "reference_vdd_v": 1.0,
            "bandwidth_gbps": 1000.0,
        },
        "interconnect": {"length_mm": 2.0, "cap_ff_per_mm": 50.0, "bandwidth_gbps": 1000.0},
        "digital": {"lanes": 4, "clock_mhz": 100.0, "word_bits": 16, "activity_frac": 0.5},
        "off_chip": {"read_pj_per_bit": 3.0, "bandwidth_gbps": 1.0},
    },
}

DIGITAL: dict[str, Any] = {
    "compute_model": "digital",
    "adc": None,
    "cell": {"kind": "digital", "gate_cap_ff": 0.5},
    "configurable": {
        "weight_bits": {"values": [2, 4, 8], "follows": "trees"},
        "activation_bits": {"values": [1, 2, 3, 4, 6, 8], "follows": "cycles"},
    },
}


def hardware(**changes: Any) -> Hardware:
    """Return the tiny hardware with parts of its macro (or ``system``) replaced.

    A dictionary is laid over the part it names, everything else replaces it.
    """
    data = json.loads(json.dumps(TINY))
    system = changes.pop("system", {})
    _lay_over(data["macro"], changes)
    _lay_over(data["system"], system)
    return Hardware.model_validate_json(json.dumps(data))


def _lay_over(data: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        known = data.get(key)
        tagged = isinstance(value, dict) and ("kind" in value or key == "configurable")
        if isinstance(known, dict) and isinstance(value, dict) and not tagged:
            _lay_over(known, value)
        else:
            data[key] = value


def conv(name: str = "conv", **changes: Any) -> Node:
    """Return a 3 x 3 convolution of 2 to 3 channels on 4 x 4 images, 2 bit x 2 bit, on arrays."""
    given: dict[str, Any] = {
        "in_shape": (2, 4, 4),
        "out_shape": (3, 4, 4),
        "kernel": (3, 3),
        "placement": "cim",
        "w_bits": 2,
        "x_bits": 2,
    }
    return Node(name, "conv", ("input",), **(given | changes))
