"""Macros with effects on their cells, and what the cells of their chips hold."""

from dataclasses import replace
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from cimsearch.cim.cells import Cells, chip_cells
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.layout import Layout, layout_of
from cimsearch.cim.node_numerics import numerics_of
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.slicing import weight_slice_values
from cimsearch.spec import load_hardware
from cimsearch.spec.condition import AS_STATED, Condition
from cimsearch.spec.hardware import Macro, Noise
from tests.unit.cim.builders import generator, linear_node

RESISTIVE = load_hardware("macros/wan_nature_2022").macro
CURRENT = load_hardware("macros/yu_cicc_2020").macro
CAPACITOR = load_hardware("macros/jia_jssc_2020").macro


def numerics(
    noise: dict[str, Any],
    *,
    base: Macro = RESISTIVE,
    w_bits: int = 2,
    encoding: str = "offset",
    array: dict[str, Any] | None = None,
    cell: dict[str, Any] | None = None,
    **macro: Any,
) -> LayerNumerics:
    """Numerics on a macro with these effects alone; by default one cell of 2 bits a weight."""
    cells = {"rows": 128, "cols": 64, "active_rows": 64, "cell_bits": 2}
    settings = {name: getattr(base, name) for name in Macro.model_fields} | {
        "noise": Noise.model_validate(noise),
        "array": base.array.model_copy(update=cells | (array or {})),
        "cell": base.cell.model_copy(update=cell or {}),
        "weights": base.weights.model_copy(update={"encoding": encoding}),
        "calibration": None,
        "configurable": {},
    }
    built = Macro.model_validate(settings | macro)
    found = numerics_of(replace(linear_node(8, 8), w_bits=w_bits, x_bits=4), built)
    assert found is not None
    return found


def layout(made: LayerNumerics, rows: int, outputs: int) -> Layout:
    return layout_of(made, Geometry.of(linear_node(rows, outputs), made), rows, outputs)


def hold(
    stored: Tensor,
    made: LayerNumerics,
    *,
    seed: int = 0,
    chip: int = 1000,
    condition: Condition = AS_STATED,
) -> Cells:
    """What cells hold in the layer ``seed`` of ``chip``."""
    places = layout(made, *stored.shape[2:])
    return chip_cells(stored, made, places, generator(seed), generator(chip), condition)


def level(value: float, rows: int = 512, outputs: int = 400) -> Tensor:
    """One slice, all of its cells at one level."""
    return torch.full((1, 1, rows, outputs), float(value))


def random_stored(made: LayerNumerics, rows: int, outputs: int) -> Tensor:
    """The slices of random weights."""
    limit = made.w_limit
    codes = torch.randint(-limit, limit + 1, (rows, outputs), generator=generator(7))
    return weight_slice_values(codes, made)


def conductance(values: Tensor, made: LayerNumerics) -> Tensor:
    """The conductances behind levels whose off current was taken off as ideal."""
    g_min, top = lowest(made), 2**made.cell_bits - 1
    return values.double().mul(1 - g_min).div(top).add(g_min)


def distinct(values: Tensor) -> set[float]:
    """The values that there are."""
    return set(values.flatten().tolist())


def lowest(made: LayerNumerics) -> float:
    assert made.macro is not None
    return float(1 / getattr(made.macro.cell, "on_off_ratio", float("inf")))


def assert_moments(x: Tensor, mean: float, std: float) -> None:
    """The moments of many independent draws, within five standard errors of normal ones."""
    count = x.numel()
    x = x.double()
    assert abs(float(x.mean()) - mean) <= 5 * std / sqrt(count) + 1e-6 * abs(mean)
    assert abs(float(x.std()) / std - 1) <= 5 / sqrt(2 * count)
