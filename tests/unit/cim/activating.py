"""A macro whose converters compute activations, and networks on it."""

from dataclasses import replace
from typing import Any

from cimsearch.blueprint import Blueprint
from cimsearch.space import Candidate
from cimsearch.space.conditions import Value
from cimsearch.spec.hardware import Hardware
from tests.unit.cost.tiny import hardware
from tests.unit.space.activations import PLAIN, searching

EVERY = ("relu", "clipped", "hard_sigmoid")
SPACE = searching(PLAIN["vgg"], "relu", "relu6", "hard_sigmoid")
NOISE = {"cell_sigma_frac": 0.0, "adc_sigma_frac": 0.0}


def machine(*activations: str, **changes: Any) -> Hardware:
    """Return large arrays with weights of 5 bits in a pair of cells and inputs of 4 at once."""
    given: dict[str, Any] = {
        "array": {"rows": 512, "cols": 64, "active_rows": 512, "cell_bits": 4},
        "adc": {
            "bits": 4,
            "range_policy": "column",
            "columns_per_adc": 1,
            "activation": list(activations),
        },
        "weights": {"encoding": "differential", "max_bits": 8},
        "input": {"max_bits": 8, "dac_bits": 4, "dac_cap_ff_per_bit": 0.1},
        "noise": NOISE,
        "configurable": {
            "weight_bits": {"values": [2, 3, 4, 5, 8], "follows": "columns"},
            "activation_bits": {"values": [2, 4, 8], "follows": "planes"},
            "adc_bits": {"values": [1, 2, 3, 4, 5, 8, 12], "follows": "steps"},
            "encoding": {"values": ["differential", "offset"], "follows": "columns"},
            "range_policy": {"values": ["column", "layer", "full_scale"], "follows": "scales"},
        },
    }
    for part, change in changes.items():
        given[part] = {**given.get(part, {}), **change}
    return hardware(**given)


def candidate(activation: str, **values: Value) -> Candidate:
    """Return a network of 4-bit weights and inputs, pruned by half; other ``values`` by ending."""
    fixed: dict[str, Value] = {
        "activation": activation,
        "weight_bits": 4,
        "activation_bits": 4,
        "prune_ratio": 0.5,
    }
    fixed |= values
    chosen = {g.name: fixed.get(g.name.rsplit(".", 1)[-1], g.choices[-1]) for g in SPACE.genes}
    return SPACE.decode(SPACE.encode(chosen))


def with_adc_bits(blueprint: Blueprint, bits: int) -> Blueprint:
    """Return a network whose layers on arrays have converters of so many bits."""
    nodes = (replace(n, adc_bits=bits) if n.placement == "cim" else n for n in blueprint.nodes)
    return replace(blueprint, nodes=tuple(nodes))
