"""The mapping plan as it is delivered: every tile with its place, and every layer's scales."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cimsearch.blueprint import Blueprint
from cimsearch.cost.plan import Placement, mapping_plan
from cimsearch.export.integers import Tensors
from cimsearch.export.tiles import Layer
from cimsearch.spec.hardware import Hardware

MAPPING = "mapping.json"


def mapping(
    blueprint: Blueprint, hardware: Hardware, layers: Mapping[str, Layer], tensors: Tensors
) -> dict[str, Any]:
    """Return the mapping plan as plain data; ranges are [start, stop).

    Args:
        blueprint: The network's.
        hardware: What it runs on.
        layers: Those that are in arrays, by name.
        tensors: The network's integers.
    """
    plan = plan_of(blueprint, hardware, layers)
    adc = hardware.macro.adc
    return {
        "schema": "cimsearch/export_mapping/1",
        "hardware": hardware.name,
        "array": {
            "rows": hardware.macro.array.rows,
            "columns": hardware.macro.array.cols,
            "columns_per_adc": adc.columns_per_adc if adc else 0,
        },
        "layers": [_layer(layer, tensors) for layer in layers.values()],
        **_waiting(blueprint, tensors),
        "tiles": [
            {"tile": tile, "golden": first, **asdict(place)}
            for tile, (place, first) in enumerate(zip(plan, first_copies(plan), strict=True))
        ],
    }


def plan_of(
    blueprint: Blueprint, hardware: Hardware, layers: Mapping[str, Layer]
) -> tuple[Placement, ...]:
    """Return the mapping plan, without the row groups of layers that hold no weights."""
    skipped = {name: layer.geometry.skipped for name, layer in layers.items()}
    return mapping_plan(blueprint, hardware, skipped)


def first_copies(plan: Sequence[Placement]) -> list[int]:
    """Return for each tile the number of the one that holds the same weights in the first copy."""
    first = {_what(place): tile for tile, place in enumerate(plan) if place.copy == 0}
    return [first[_what(place)] for place in plan]


def _what(place: Placement) -> tuple[Any, ...]:
    """Return which weights a tile holds."""
    return place.layer, place.group, place.weight_rows, place.outputs


def _waiting(blueprint: Blueprint, tensors: Tensors) -> dict[str, Any]:
    """Return how what waits for additions is kept, where it is in few bits; else nothing."""
    found = [
        {
            "addition": node.name,
            "waits": node.inputs[1],
            "bits": node.x_bits,
            "signed": node.x_signed,
            "step": float(tensors[f"{node.name}/x_step"]),
        }
        for node in blueprint.nodes
        if node.op == "add" and node.x_bits
    ]
    return {"residuals": found} if found else {}


def _layer(layer: Layer, tensors: Tensors) -> dict[str, Any]:
    numerics, ranges = layer.numerics, layer.ranges
    found: dict[str, Any] = {
        "layer": layer.name,
        "encoding": numerics.encoding,
        "w_bits": numerics.w_bits,
        "x_bits": numerics.x_bits,
        "x_signed": numerics.x_signed,
        "plane_weights": list(numerics.plane_weights),
        "slice_weights": list(numerics.slice_weights),
        "offset": numerics.offset,
        "x_step": float(tensors[f"{layer.name}/x_step"]),
        "w_step": tensors[f"{layer.name}/w_step"].tolist(),
    }
    if ranges is not None:
        found |= {
            "adc_bits": numerics.adc_bits,
            "range_policy": numerics.range_policy,
            "adc_lo": ranges.lo.tolist(),
            "adc_lsb": ranges.lsb.tolist(),
        }
    return found
