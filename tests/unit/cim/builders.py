"""Small layers and codes for the tests of this room."""

from typing import Any, get_args

import numpy as np
import torch
from hypothesis import strategies as st

from cimsearch.blueprint import Node
from cimsearch.cim import CimLayer, LayerNumerics
from cimsearch.cim.engine import Product
from cimsearch.spec.hardware import Encoding
from tests.reference.crossbar_oracle import Floats, Ints, crossbar

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def analog(encoding: Encoding = "offset", **changes: Any) -> LayerNumerics:
    settings: dict[str, Any] = {
        "w_bits": 4,
        "x_bits": 4,
        "analog": True,
        "encoding": encoding,
        "adc_bits": 5,
        "rows": 128,
        "active_rows": 64,
    }
    return LayerNumerics(**(settings | changes))


def conv_node(channels: int = 12, outputs: int = 5, size: int = 6, **changes: Any) -> Node:
    settings: dict[str, Any] = {
        "name": "conv",
        "op": "conv",
        "inputs": ("input",),
        "in_shape": (channels, size, size),
        "out_shape": (outputs, size, size),
        "kernel": (3, 3),
        "placement": "cim",
    }
    return Node(**(settings | changes))


def linear_node(rows: int, outputs: int) -> Node:
    return conv_node(
        rows,
        outputs,
        1,
        op="linear",
        kernel=(1, 1),
        in_shape=(rows, 1, 1),
        out_shape=(outputs, 1, 1),
    )


def layer(node: Node, numerics: LayerNumerics, *, seed: int = 0) -> CimLayer:
    return CimLayer(node, numerics, generator=generator(seed))


def calibrate(built: CimLayer, x: torch.Tensor) -> None:
    built.calibrating = True
    with torch.no_grad():
        built(x)
    built.calibrating = False


def codes(numerics: LayerNumerics, rows: int, outputs: int, images: int) -> tuple[Ints, Ints]:
    """Random input codes (images, rows) and weight codes (rows, outputs)."""
    rng = np.random.default_rng(rows)
    lowest, highest = numerics.x_limits
    x = rng.integers(lowest, highest + 1, (images, rows))
    w = rng.integers(-numerics.w_limit, numerics.w_limit + 1, (rows, outputs))
    return x, w


def product(built: CimLayer, x: Ints, w: Ints) -> Product:
    """The codes of a linear layer as the engine takes them, with a scale of 1."""
    return Product(
        torch.from_numpy(x).float()[:, :, None, None],
        torch.from_numpy(np.ascontiguousarray(w.T)).float()[:, :, None, None],
        torch.ones(w.shape[1], 1, 1, 1),
        built.geometry,
    )


def oracle(x: Ints, w: Ints, numerics: LayerNumerics, **changes: Any) -> Floats:
    settings: dict[str, Any] = {
        "x_bits": numerics.x_bits,
        "w_bits": numerics.w_bits,
        "x_signed": numerics.x_signed,
        "encoding": numerics.encoding,
        "rows": numerics.rows,
        "dac_bits": numerics.dac_bits,
        "cell_bits": numerics.cell_bits,
        "active_rows": numerics.active_rows,
        "adc_bits": numerics.adc_bits,
    }
    return crossbar(x, w, **(settings | changes))


@st.composite
def numerics_strategy(draw: st.DrawFn) -> LayerNumerics:
    """Any valid numerics of an analog layer of few bits."""
    encoding = draw(st.sampled_from(ENCODINGS))
    dac_bits = draw(st.integers(1, 4))
    rows = draw(st.integers(4, 40))
    return analog(
        encoding,
        w_bits=draw(st.integers(2, 6)),
        x_bits=draw(st.integers(2, 6)),
        x_signed=dac_bits == 1 and draw(st.booleans()),
        dac_bits=dac_bits,
        cell_bits=1 if encoding == "twos_complement" else draw(st.integers(1, 4)),
        rows=rows,
        active_rows=draw(st.integers(1, rows)),
        adc_bits=draw(st.integers(1, 8)),
    )
