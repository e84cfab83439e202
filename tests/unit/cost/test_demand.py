"""What a macro cannot do is refused with the node's name and what is allowed."""

from typing import Any

import pytest

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost import estimate, estimate_table
from cimsearch.errors import HardwareError
from cimsearch.layer_table import layer_table

from .tiny import DIGITAL, conv, hardware


@pytest.mark.parametrize(
    ("changes", "on", "message"),
    [
        ({"w_bits": 9}, {}, "weight bits: found 9; allowed are 1 to 8"),
        ({"w_bits": 0}, {}, "weight bits: found float; allowed are 1 to 8"),
        ({"x_bits": 16}, {}, "activation bits: found 16; allowed are 1 to 8"),
        ({"adc_bits": 8}, {}, "adc bits: found 8; allowed are 1, 2, 3, 4, 5"),
        ({"adc_bits": 3}, DIGITAL, "adc bits: found 3; allowed are 0"),
        ({"encoding": "offset"}, DIGITAL, "encoding: found offset; allowed are twos_complement"),
        ({"range_policy": "layer"}, DIGITAL, "range policy: found layer; allowed are full_scale"),
        ({"x_signed": True}, {"input": {"dac_bits": 2}}, "signed activations need"),
        ({"w_bits": 1, "encoding": "differential"}, {}, "at least 2 bits"),
        ({"w_bits": 6, "encoding": "differential"}, {}, "takes 10 columns; an array has 8"),
    ],
)
def test_refused(changes: dict[str, Any], on: dict[str, Any], message: str) -> None:
    with pytest.raises(HardwareError, match=message) as caught:
        estimate(conv("stage0.conv", **changes), hardware(**on))
    assert str(caught.value).startswith("stage0.conv: ")
    assert str(caught.value).endswith(" on tiny")


def test_a_table_names_network_and_node() -> None:
    good, bad = conv(), conv(w_bits=9)
    networks = [Blueprint((2, 4, 4), 3, (good,)), Blueprint((2, 4, 4), 3, (good, bad))]
    with pytest.raises(HardwareError, match=r"^network 1, node 1: weight bits: found 9"):
        estimate_table(layer_table(networks), hardware())


def test_digital_layers_may_be_anything() -> None:
    digital: dict[str, Any] = {"placement": "digital", "x_signed": True}
    floating = estimate(conv(w_bits=0, x_bits=0, **digital), hardware())
    sixteen = estimate(conv(w_bits=16, x_bits=16, **digital), hardware())
    assert floating.energy_pj > sixteen.energy_pj
    assert floating.precision == "float"


def test_own_settings_are_the_same_as_asking_for_them() -> None:
    own: dict[str, Any] = {
        "adc_bits": 3,
        "encoding": "twos_complement",
        "range_policy": "full_scale",
    }
    assert estimate(conv(**own), hardware()) == estimate(conv(), hardware())


def test_fewer_bits_than_the_chip_has_pay_for_the_next_setting() -> None:
    on = hardware(**DIGITAL)
    three, four = estimate(conv(w_bits=3), on), estimate(conv(w_bits=4), on)
    assert three.energy_pj == four.energy_pj
    assert estimate(conv(w_bits=2), on).energy_pj < four.energy_pj


def test_placement_is_what_puts_a_layer_on_arrays() -> None:
    relu = Node("relu", "relu", ("input",), (3, 4, 4), (3, 4, 4))
    assert estimate(relu, hardware()).macros == 0
