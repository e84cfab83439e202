"""Layers on macros with converters, for signal to noise."""

from math import inf
from typing import Any

import numpy as np

from cimsearch.blueprint import Node
from cimsearch.cost import LayerFidelity, NodeStatistics
from cimsearch.spec.hardware import Hardware
from tests.unit.cost.tiny import hardware

ENCODINGS = ["offset", "twos_complement", "differential", "differential_digital"]


def chip(
    encoding: str = "offset",
    *,
    rows: int = 128,
    active_rows: int = 64,
    cell_bits: int = 1,
    dac_bits: int = 1,
    adc_bits: int = 5,
    policy: str = "full_scale",
    cell_sigma_frac: float = 0.0,
    adc_sigma_frac: float = 0.0,
) -> Hardware:
    return hardware(
        array={"rows": rows, "cols": 64, "active_rows": active_rows, "cell_bits": cell_bits},
        weights={"encoding": encoding},
        adc={"bits": adc_bits, "range_policy": policy},
        input={"dac_bits": dac_bits},
        noise={"cell_sigma_frac": cell_sigma_frac, "adc_sigma_frac": adc_sigma_frac},
        configurable={
            "weight_bits": {"values": list(range(1, 9)), "follows": "columns"},
            "activation_bits": {"values": list(range(1, 9)), "follows": "planes"},
        },
    )


def linear(rows: int = 576, outputs: int = 120, **changes: Any) -> Node:
    given_: dict[str, Any] = {"placement": "cim", "w_bits": 4, "x_bits": 4}
    return Node("fc", "linear", ("input",), (rows, 1, 1), (outputs, 1, 1), **(given_ | changes))


def statistics(activity: float, density: float) -> NodeStatistics:
    return NodeStatistics(np.array(activity), np.array(density))


def snr_db(layer: LayerFidelity) -> float:
    return inf if layer.snr_db is None else layer.snr_db
