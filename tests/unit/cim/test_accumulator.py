"""The register of the sums: equal to whole-number arithmetic, in the engine and in layers."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.cim import CrossbarScheme, Mode, crossbar_matmul
from cimsearch.cim.accumulator import Register, accumulated
from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import Accumulator
from tests.reference.crossbar_oracle import crossbar
from tests.unit.cim.builders import ENCODINGS, analog, calibrate, conv_node, generator, layer


def kept(value: int, register: Accumulator) -> int:
    """What a register keeps of a sum, in Python's whole numbers."""
    if register.bits is not None:
        half = 1 << (register.bits - 1)
        if register.overflow == "wrap":
            value = (value + half) % (2 * half) - half
        else:
            value = min(max(value, -half), half - 1)
    if register.drop_bits:
        half = (1 << register.drop_bits) // 2 if register.rounding == "nearest" else 0
        value = ((value + half) >> register.drop_bits) << register.drop_bits
    return value


REGISTERS = st.builds(
    Accumulator,
    bits=st.one_of(st.none(), st.integers(8, 48)),
    overflow=st.sampled_from(["saturate", "wrap"]),
    drop_bits=st.integers(0, 6),
    rounding=st.sampled_from(["floor", "nearest"]),
)


@given(REGISTERS, st.lists(st.integers(-(2**22), 2**22), min_size=1, max_size=20))
def test_a_register_keeps_what_whole_numbers_say(register: Accumulator, sums: list[int]) -> None:
    found = accumulated(torch.tensor(sums, dtype=torch.float32) * 0.25, Register(register, 0.25))
    assert (found * 4).tolist() == [kept(value, register) for value in sums]


@settings(deadline=None, max_examples=60)
@given(REGISTERS, st.sampled_from(ENCODINGS), st.sampled_from([0.5, 1.0, 4.0]))
def test_a_product_ends_in_the_register(
    register: Accumulator, encoding: Any, adc_lsb: float
) -> None:
    rng = np.random.default_rng(1)
    x, w = rng.integers(0, 16, (5, 40)), rng.integers(-7, 8, (40, 3))
    settings_: dict[str, Any] = {"x_bits": 4, "w_bits": 4, "rows": 16, "encoding": encoding}
    converter: dict[str, Any] = {"adc_bits": 5, "adc_lsb": adc_lsb, "adc_lo": -2 * adc_lsb}
    scheme = CrossbarScheme(**settings_, **converter, accumulator=register)
    found = crossbar_matmul(torch.from_numpy(x), torch.from_numpy(w), scheme).numpy()
    offset = scheme.offset * x.sum(axis=1, keepdims=True)
    sums = (crossbar(x, w, **settings_, **converter) + offset) / adc_lsb
    whole = np.vectorize(lambda value: kept(round(value), register))(sums)
    assert np.array_equal(found, whole * adc_lsb - offset)


def test_several_steps_have_no_one_register() -> None:
    with pytest.raises(HardwareError, match="accumulator: found 3 steps of converters"):
        CrossbarScheme(4, 4, 16, adc_bits=4, adc_lsb=torch.ones(3), accumulator=Accumulator())
    with pytest.raises(HardwareError, match="accumulator: found one beside range_policy column"):
        analog(range_policy="column", accumulator=Accumulator(bits=8))


@torch.no_grad()
def test_calibration_does_not_see_a_register_that_never_overflows() -> None:
    """Steps and ranges of an analog layer are those without one."""
    x = torch.rand(4, 12, 6, 6, generator=generator(3))
    found = []
    for kind in (None, Accumulator(bits=12, overflow="wrap")):
        built = layer(conv_node(), analog("differential", adc_bits=3, accumulator=kind))
        built.calibrating = True
        found.append(built(x))
        built.calibrating = False
    assert torch.equal(*found)


@pytest.mark.parametrize("level", ["L1", "L2"])
@torch.no_grad()
def test_a_layer_ends_in_the_register(level: Any) -> None:
    """A wide one changes nothing, a narrow one caps outputs at its end, times the step."""
    x = torch.rand(4, 12, 6, 6, generator=generator(3))
    outputs = {}
    for bits in (None, 24, 9):
        kind = None if bits is None else Accumulator(bits=bits)
        built = layer(conv_node(), analog("twos_complement", accumulator=kind))
        calibrate(built, x)
        built.mode = Mode(level, noise_scale=0.0)
        one, _, _ = built.quantised(x, built.weight)
        assert built._ranges is not None
        outputs[bits] = built(x) / one.by_channel / float(built._ranges.lsb.flat[0])
    assert torch.allclose(outputs[None], outputs[24], atol=1e-3)
    assert outputs[None].abs().max() > 256
    assert torch.allclose(outputs[9], outputs[None].clamp(-256, 255), atol=1e-3)


@torch.no_grad()
def test_a_digital_macro_has_one_too() -> None:
    numerics = analog("twos_complement", analog=False, accumulator=Accumulator(bits=6))
    built = layer(conv_node(), numerics)
    x = torch.rand(4, 12, 6, 6, generator=generator(3))
    calibrate(built, x)
    one, _, _ = built.quantised(x, built.weight)
    whole = (built(x) / one.by_channel).round()
    assert whole.min() == -32
    assert whole.max() == 31
