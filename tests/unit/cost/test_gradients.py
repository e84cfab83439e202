"""The same equations on torch tensors: equal prices, and gradients through every rounding."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import CostArrays, estimate_table
from cimsearch.layer_table import LayerTable, layer_table
from cimsearch.spec import load_hardware
from cimsearch.spec.hardware import Hardware

from .tiny import DIGITAL, conv, hardware

HARDWARE = [
    hardware(),
    hardware(**DIGITAL),
    hardware(system={"macros": 1}),
    *(load_hardware(f"macros/{name}") for name in ("jia_jssc_2020", "wan_nature_2022")),
]


def networks() -> LayerTable:
    first = conv("first", w_bits=4, x_bits=3)
    second = conv("second", in_shape=(3, 4, 4), out_shape=(12, 4, 4), groups=3, w_bits=2)
    digital = conv("third", placement="digital", w_bits=0, x_bits=0)
    norm = Node("norm", "batchnorm", ("first",), (3, 4, 4), (3, 4, 4))
    relu = Node("relu", "relu", ("second",), (12, 4, 4), (12, 4, 4))
    return layer_table(
        [
            Blueprint((2, 4, 4), 3, (first, norm, second, digital)),
            Blueprint((2, 4, 4), 3, (second, relu)),
        ]
    )


def tensors(table: LayerTable) -> LayerTable:
    return table.map(lambda column: torch.tensor(column, dtype=torch.float64))


def quantities(costs: CostArrays) -> dict[str, Any]:
    named = {n: getattr(costs, n) for n in ("energy_pj", "latency_ns", "area_um2", "utilization")}
    return named | costs.components | {f"node {n}": p for n, p in costs.nodes.components.items()}


@pytest.mark.parametrize("on", HARDWARE, ids=lambda on: on.name)
def test_torch_equals_numpy(on: Hardware) -> None:
    table = networks()
    exact = quantities(estimate_table(table, on))
    for name, found in quantities(estimate_table(tensors(table), on)).items():
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), exact[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("on", HARDWARE, ids=lambda on: on.name)
@pytest.mark.parametrize("column", ["out_channels", "in_channels", "w_bits", "x_bits"])
def test_more_costs_more_in_the_gradient(on: Hardware, column: str) -> None:
    table = tensors(networks())
    wanted = getattr(table, column).requires_grad_()
    estimate_table(table, on).energy_pj.sum().backward()
    gradient = wanted.grad[:, 0]
    assert torch.isfinite(wanted.grad).all()
    assert (gradient > 0).all()


def of_bits(bits: float) -> LayerTable:
    table = tensors(layer_table([Blueprint((2, 4, 4), 3, (conv(w_bits=5),))]))
    asked: Any = torch.full((1, 1), bits, dtype=torch.float64)
    return replace(table, w_bits=asked)


def test_bits_between_two_settings_are_priced_at_the_upper_one() -> None:
    """The tiny macro has 4 and 6 bits; a relaxed search may stand anywhere between."""
    prices = [float(estimate_table(of_bits(b), hardware()).energy_pj[0]) for b in (4, 4.5, 5, 6)]
    assert prices[0] < prices[1] == prices[2] == prices[3]
