"""Every option of macro and system: the explained price is the model's, term by term."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from cimsearch.blueprint import Blueprint, Node, Op
from cimsearch.cost.explain import Explanation
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics

from .explaining import check_arithmetic, explained_layers
from .tiny import DIGITAL, conv, hardware

ZEROS = Statistics(activity_frac=0.3, density_frac=0.4, zero_plane_frac=0.2, batch=2)
SKIPPING = {"zero_skipping": "planes"}


def passed_on(name: str, op: Op, *inputs: str, height: int = 8, out: int = 8) -> Node:
    """Return a node without weights on 3 channels."""
    window = (height // out, height // out)
    return Node(name, op, inputs, (3, height, height), (3, out, out), window)


def network() -> Blueprint:
    """Return a network with every operation, on arrays and off them."""
    image = {"in_shape": (2, 8, 8), "out_shape": (3, 8, 8)}
    second = conv("second", in_shape=(3, 8, 8), out_shape=(3, 8, 8))
    grouped = conv("grouped", in_shape=(3, 8, 8), out_shape=(3, 8, 8), groups=3)
    return Blueprint(
        (2, 8, 8),
        5,
        (
            conv("first", **image),
            passed_on("norm", "batchnorm", "first"),
            passed_on("relu", "relu", "norm"),
            replace(second, inputs=("relu",)),
            passed_on("add", "add", "second", "relu"),
            replace(grouped, inputs=("add",)),
            passed_on("most", "maxpool", "grouped", out=4),
            replace(
                conv("off", in_shape=(3, 4, 4), out_shape=(3, 4, 4), placement="digital"),
                inputs=("most",),
                w_bits=8,
                x_bits=8,
            ),
            passed_on("mean", "avgpool", "off", height=4, out=4),
            Node("flat", "flatten", ("mean",), (3, 4, 4), (48, 1, 1)),
            replace(
                conv("classifier", in_shape=(48, 1, 1), out_shape=(5, 1, 1), kernel=(1, 1)),
                op="linear",
                inputs=("flat",),
            ),
        ),
    )


def on_arrays() -> Blueprint:
    """Return the layers of that network that are on arrays, but for one of two alike."""
    first, _, grouped, classifier = (n for n in network().nodes if n.placement == "cim")
    reads = replace(grouped, inputs=("first",)), replace(classifier, inputs=("grouped",))
    return replace(network(), nodes=(first, *reads))


def check_options(machine: Hardware, asked: Blueprint | None = None) -> dict[str, Explanation]:
    """Check every layer of a network, and return their explanations by name."""
    asked = asked or network()
    layers = {found.layer: found for found in explained_layers(asked, machine, ZEROS)}
    for found in layers.values():
        check_arithmetic(found)
    return layers


def simulated(bits: tuple[int, ...], *components: str) -> dict[str, Any]:
    """Return a table of array calls that grow with bits, rows and activity."""
    points = [
        {
            "bits": b,
            "rows": rows,
            "activity_frac": activity,
            "energy_pj": 0.1 * b**2 + rows * activity,
            "delay_ns": 1.0 + 0.5 * b + 0.1 * rows,
        }
        for b, rows, activity in product(bits, (1, 3, 4), (0.1, 0.35, 1.0))
    ]
    return {"components": list(components), "density_frac": 0.5, "points": points}


RESISTIVE = {
    "device": "rram",
    "compute_model": "resistive",
    "cell": {
        "kind": "resistive",
        "v_read_v": 0.2,
        "g_on_us": 50.0,
        "on_off_ratio": 10.0,
        "t_read_ns": 5.0,
    },
}
CAPACITIVE = {"kind": "capacitive", "k1_ff": 20.0, "k2_ff": 0.3, "ns_per_bit": 1.5, "area_um2": 9}
SURVEY = {"kind": "survey", "sample_rate_msps": 50.0, "energy_factor": 1.3, "area_um2": 9.0}
MEASURED = {
    "kind": "measured",
    "energy_factor": 0.9,
    "area_um2": 9.0,
    "points": [
        {"bits": 2, "energy_fj": 10.0, "conversion_ns": 1.0},
        {"bits": 5, "energy_fj": 90.0, "conversion_ns": 4.0},
    ],
}
UNSET = {"adc_bits": {"values": [2, 3, 4, 5], "follows": "points"}}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gated columns": {"array": {"gating": ["columns"]}},
    "whole kernels": {"packing": "whole_kernel"},
    "pulses": {"input": {"dac_bits": 2, "dac_cap_ff_per_bit": 3.0, "drive": "pulses"}},
    "shifters": {"input": {"level_shifter_cap_ff": 2.0}, "corner": "ss", "temperature_c": 85.0},
    "zero skipping": {"input": SKIPPING},
    "resistive": RESISTIVE,
    "capacitive": {"adc": {"model": CAPACITIVE}},
    "survey": {"adc": {"model": SURVEY, "bits": 5}},
    "measured": {"adc": {"model": MEASURED}, "configurable": UNSET},
}
ENCODINGS = ("twos_complement", "offset", "differential", "differential_digital")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("policy", ["full_scale", "layer", "column"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_macro_options_are_the_model(variant: str, policy: str, encoding: str) -> None:
    changes = VARIANTS[variant]
    adc = {"range_policy": policy, "range_switch_fj": 5.0} | changes.get("adc", {})
    array = {"cols": 16} | changes.get("array", {})
    given = changes | {"adc": adc, "array": array, "weights": {"encoding": encoding}}
    check_options(hardware(**given), on_arrays())


@pytest.mark.parametrize("policy", ["layer", "column"])
@pytest.mark.parametrize("model", [CAPACITIVE, SURVEY])
def test_a_range_that_the_chip_lacks_resolves_finer_steps(
    model: dict[str, Any], policy: str
) -> None:
    machine = hardware(adc={"model": model, "bits": 5})
    nodes = tuple(replace(node, range_policy=policy) for node in on_arrays().nodes)
    layers = check_options(machine, replace(network(), nodes=nodes))
    adc = next(e for e in layers["first"].equations if e.component == "adc")
    assert any(term.symbol == "resolved bits" for term in layers["first"].terms)
    assert adc.value_pj > 0


@pytest.mark.parametrize("skipping", [{}, {"input": SKIPPING}])
@pytest.mark.parametrize("gating", [[], ["rows"], ["columns"], ["rows", "columns"]])
@pytest.mark.parametrize("covered", [(), ("adder_tree",), ("cells", "drivers", "shift_add")])
def test_digital_macros_are_the_model(
    skipping: dict[str, Any], gating: list[str], covered: tuple[str, ...]
) -> None:
    table = simulated((2, 4, 8), *covered) if covered else None
    machine = hardware(
        **DIGITAL, **skipping, array={"gating": gating, "cols": 16}, array_call=table
    )
    layers = check_options(machine, on_arrays())
    assert (layers["first"].energies_pj["array_call"] > 0) == bool(covered)


@pytest.mark.parametrize("gating", [[], ["rows"]])
@pytest.mark.parametrize("active_rows", [1, 3, 6])
@pytest.mark.parametrize("dac_bits", [1, 2, 4])
def test_digital_macros_of_any_size_are_the_model(
    dac_bits: int, active_rows: int, gating: list[str]
) -> None:
    array = {"active_rows": active_rows, "rows": 12, "cols": 16, "gating": gating}
    machine = hardware(**DIGITAL, array=array, input={"dac_bits": dac_bits})
    layers = check_options(machine, on_arrays())
    codes = next(e for e in layers["first"].equations if e.component == "shift_add")
    assert ("place adders" in codes.text) == (dac_bits > 1)


@pytest.mark.parametrize("skipping", [{}, {"input": SKIPPING}])
@pytest.mark.parametrize(
    "covered", [("cells", "adc"), ("cells", "drivers", "adc"), ("adc", "shift_add")]
)
def test_simulated_calls_are_the_model(skipping: dict[str, Any], covered: tuple[str, ...]) -> None:
    table = simulated((2, 4), *covered)
    machine = hardware(**skipping, array_call=table, configurable={})
    layers = check_options(machine, on_arrays())
    found = {equation.component: equation for equation in layers["first"].equations}
    assert found["adc"].why_zero == "the table array_call covers it"
    # 3 bits and an activity between two points: linear along two axes.
    inner = found["array_call"].products[0][-1].inner
    assert any(" x (1 - share of adc bits) + " in term.formula for term in inner)


MESH = {
    "macros_per_tile": 2,
    "hop_mm": 0.5,
    "router_pj_per_bit": 0.02,
    "router_ns": 3.0,
    "link_gbps": 10.0,
    "tile_barrier_ns": 7.0,
}
SMALL = {
    "size_kib": 0.05,
    "reads": [
        {"size_kib": 0.03, "pj_per_bit": 0.01},
        {"size_kib": 0.06, "pj_per_bit": 0.02},
    ],
}
SYSTEMS: dict[str, dict[str, Any]] = {
    "enough": {},
    "owned": {"macros": 64},
    "loaded": {"macros": 3},
    "ping-pong": {"macros": 3, "off_chip": {"ping_pong": True}},
    "copies in 16": {"macros": 16, "duplicates": "fill"},
    "copies in 64": {"macros": 64, "duplicates": "fill"},
    "pipelined": {"execution": "pipelined", "digital": {"lanes": 512}},
    "pipelined, few lanes": {"execution": "pipelined"},
    "pipelined, loaded": {"execution": "pipelined", "macros": 3},
    "pipelined copies": {"execution": "pipelined", "macros": 64, "duplicates": "fill"},
    "fused": {"execution": "fused", "digital": {"lanes": 512}},
    "fused, loaded": {"execution": "fused", "macros": 9},
    "fused, in rounds": {"execution": "fused", "macros": 3},
    "fused, ping-pong": {"execution": "fused", "macros": 12, "off_chip": {"ping_pong": True}},
    "fused, pooled": {"execution": "fused", "macros": 9, "digital": {"pooling": "in_stream"}},
    "many": {"layers_per_array": "many"},
    "many copies": {"layers_per_array": "many", "macros": 64, "duplicates": "fill"},
    "mesh": {"interconnect": {"mesh": MESH, "layer_barrier_ns": 11.0}},
    "fast mesh": {"interconnect": {"mesh": MESH | {"link_gbps": 5000.0, "tile_barrier_ns": 0.0}}},
    "pipelined mesh": {"execution": "pipelined", "interconnect": {"mesh": MESH}},
    "pipelined fast mesh": {
        "execution": "pipelined",
        "interconnect": {"mesh": MESH | {"link_gbps": 5000.0}},
    },
    "chip side": {"interconnect": {"length_mm": "chip_side"}},
    "chip side, owned": {"macros": 64, "interconnect": {"length_mm": "chip_side"}},
    "barrier": {"interconnect": {"layer_barrier_ns": 11.0}},
    "mesh, copies": {"macros": 64, "duplicates": "fill", "interconnect": {"mesh": MESH}},
    "pooling in the stream": {"digital": {"pooling": "in_stream"}},
    "small buffer": {"buffers": SMALL},
    "small buffer, loaded": {"buffers": SMALL, "macros": 3},
    "small buffer, pipelined": {"buffers": SMALL, "execution": "pipelined"},
    "small buffer, fused": {"buffers": SMALL, "execution": "fused", "macros": 9},
    "one read": {"buffers": {"reads": [{"size_kib": 8, "pj_per_bit": 0.02}]}},
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("skipping", [{}, {"input": SKIPPING}])
def test_system_options_are_the_model(system: str, skipping: dict[str, Any]) -> None:
    check_options(hardware(**skipping, system=SYSTEMS[system]))


def counts_of(found: Explanation) -> dict[str, int]:
    return {count.name: count.value for count in found.mapping}


def test_copies_are_told() -> None:
    layers = check_options(hardware(system=SYSTEMS["copies in 64"]))
    told = counts_of(layers["first"])
    assert told["copies"] == layers["first"].copies > 1
    assert told["vectors_of_copy"] == -(-64 // told["copies"])
    bus = next(e for e in layers["first"].equations if e.component == "interconnect")
    assert "selection levels x selection" in bus.text
    assert layers["relu"].copies == 0


def test_spilled_activations_are_told() -> None:
    layers = check_options(hardware(system=SYSTEMS["small buffer"]))
    first = layers["first"]
    assert first.energies_pj["off_chip"] > 0
    assert "memory off the chip" in first.latency.parts
    reads = first.constants["system.buffers.reads.size_kib"]
    assert reads.value == (0.03, 0.06)
    assert reads.unit == "KiB"
    assert not layers["relu"].energies_pj["off_chip"]
    # Half of the buffer does not hold the weights of the digital unit.
    off = {term.symbol: term for term in layers["off"].terms}
    assert off["weights off chip"].value == pytest.approx(648 - 0.05 * 8192 / 2)


def test_windows_share_the_buffer_of_a_pipeline() -> None:
    first = check_options(hardware(system=SYSTEMS["small buffer, pipelined"]))["first"]
    spilled = next(term for term in first.terms if term.symbol == "bits off chip")
    assert "max(windows - room, 0) / windows" in spilled.formula


def test_what_windows_leave_is_told_of_a_tensor_between_groups() -> None:
    layers = check_options(hardware(system=SYSTEMS["small buffer, fused"]))
    assert {found.group[: len("group 1 of 3")] for found in layers.values()} == {
        f"group {at} of 3" for at in (1, 2, 3)
    }
    grouped = next(t for t in layers["grouped"].terms if t.symbol == "half the room")
    assert grouped.formula.startswith("max(room - windows beside, 0) / (2 x batch)")
    inside = next(t for t in layers["second"].terms if t.symbol == "windows")
    assert inside.how == "of all layers of the group at once"


def test_why_layers_are_not_pipelined_is_told() -> None:
    found = check_options(hardware(system=SYSTEMS["pipelined, loaded"]))["first"]
    assert not found.network
    assert found.not_pipelined.endswith(
        "macros and the chip has 3, so its layers run one after another, each for a batch of 2"
    )
    for system in ("pipelined", "loaded"):
        assert not check_options(hardware(system=SYSTEMS[system]))["first"].not_pipelined


def test_the_slower_of_bus_and_link_is_told() -> None:
    named = {}
    for system in ("pipelined mesh", "pipelined fast mesh"):
        found = check_options(hardware(system=SYSTEMS[system]))["first"]
        named[system] = {term.symbol: term.how for term in found.terms}
    assert "of it is the link" in named["pipelined mesh"]["bus or mesh link"]
    assert named["pipelined fast mesh"]["bus"] == "over all layers"
    assert "bus or mesh link" not in named["pipelined fast mesh"]


def test_factors_between_units_are_written_with_them() -> None:
    layers = check_options(hardware(system=SYSTEMS["pipelined mesh"]))
    text = {e.component: (e.text, e.filled) for e in layers["first"].equations}
    for written in text["interconnect"]:
        assert written.endswith(" / (1000 fJ/pJ)")
        assert " x 1000 fJ/pJ)" in written
    assert "1000" not in "".join(text["buffers"])


def test_a_pipelined_network_leaks_for_its_interval() -> None:
    found = check_options(hardware(system=SYSTEMS["pipelined"]))["first"]
    latency, interval = found.network
    assert interval.value < latency.value
    leakage = found.equations[-1]
    assert leakage.component == "leakage"
    overlap = next(term for term in leakage.terms if term.symbol == "overlap")
    assert overlap.formula == "interval / sum of layers"
    assert not check_options(hardware())["first"].network


def test_shared_arrays_are_told() -> None:
    layers = check_options(hardware(array={"cols": 64}, system=SYSTEMS["many"]))
    second = counts_of(layers["second"])
    assert second["shared_arrays"] > 0
    assert second["first_column"] > 0
    assert second["whole_arrays"] + second["shared_arrays"] == second["arrays"]
