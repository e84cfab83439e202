"""What property tests of systems draw: published macros in systems of any options, networks."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from cimsearch.blueprint import Blueprint
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.catalogue import names
from cimsearch.spec.hardware import Hardware, System
from cimsearch.spec.study import Statistics

MACROS = [load_hardware(name) for name in names("hardware") if name.startswith("macros/")]
RESNET, VGG = (Space(load_space_spec(name)) for name in ("resnet8", "vgg_tiny"))
MESH = {
    "macros_per_tile": 4,
    "hop_mm": 0.5,
    "router_pj_per_bit": 0.1,
    "router_ns": 2.0,
    "link_gbps": 50.0,
    "tile_barrier_ns": 1.0,
}


def with_system(on: Hardware, **changes: Any) -> Hardware:
    system = System.model_validate(on.system.model_dump() | changes)
    return on.model_copy(update={"system": system})


def with_zero_skipping(on: Hardware, kind: str = "planes") -> Hardware:
    given_input = on.macro.input.model_copy(update={"zero_skipping": kind})
    macro = on.macro.model_copy(update={"input": given_input})
    return on.model_copy(update={"macro": macro})


@st.composite
def systems(draw: st.DrawFn) -> Hardware:
    """Draw a published macro in a system of any options."""
    on = draw(st.sampled_from(MACROS))
    macros = draw(st.one_of(st.just("enough"), st.integers(1, 200), st.integers(200, 20_000)))
    execution = draw(st.sampled_from(["layer_by_layer", "pipelined", "fused"]))
    per_array = ["one", "many"] if execution == "layer_by_layer" else ["one"]
    buffers = on.system.buffers.model_dump() | {"size_kib": draw(st.sampled_from([2, 8, 64]))}
    bus = on.system.interconnect.model_dump()
    bus |= {"mesh": draw(st.sampled_from([None, MESH]))}
    bus |= {"layer_barrier_ns": draw(st.sampled_from([0.0, 10.0]))}
    ping_pong = macros != 1 and draw(st.booleans())
    unit = on.system.digital.model_dump()
    unit |= {"pooling": draw(st.sampled_from(["stored", "in_stream"]))}
    memory = on.system.off_chip.model_dump() | {"reload": "allowed", "ping_pong": ping_pong}
    changed = with_system(
        on,
        macros=macros,
        execution=execution,
        duplicates=draw(st.sampled_from(["none"] if macros == "enough" else ["none", "fill"])),
        layers_per_array=draw(st.sampled_from(per_array)),
        buffers=buffers,
        interconnect=bus,
        digital=unit,
        off_chip=memory,
    )
    return with_zero_skipping(changed, draw(st.sampled_from(["none", "planes"])))


@st.composite
def statistics(draw: st.DrawFn) -> Statistics:
    activity = draw(st.sampled_from([0.1, 0.25, 0.5]))
    zero_planes = draw(st.sampled_from([0.0, 0.3, 0.5]))
    return Statistics(
        activity_frac=activity, zero_plane_frac=zero_planes, batch=draw(st.sampled_from([1, 8]))
    )


def bounded(network: Blueprint, on: Hardware) -> Blueprint:
    """Return ``network`` with no more bits than the macro has."""
    w_bits, x_bits = (
        max(int(bits) for bits in on.macro.choices(field))
        for field in ("weight_bits", "activation_bits")
    )
    nodes = (
        replace(n, w_bits=min(n.w_bits, w_bits), x_bits=min(n.x_bits, x_bits))
        for n in network.nodes
    )
    return replace(network, nodes=tuple(nodes))


@st.composite
def networks(draw: st.DrawFn) -> Blueprint:
    space = draw(st.sampled_from([RESNET, VGG]))
    return space.decode(space.sample_genes(1, draw(st.integers(0, 10_000)))[0]).blueprint
