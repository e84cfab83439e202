"""The latency equation of a layer, with its numbers: the terms of ``cimsearch.cost.timing``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from cimsearch.cost.explain_adc import conversion_time
from cimsearch.cost.explain_call import call_delay
from cimsearch.cost.explain_expression import Expression, Operand, Term, applied
from cimsearch.cost.explain_logic import (
    accumulator_bits,
    executed_of,
    gate_delay,
    input_values,
    output_values,
    pulses_of,
    tree_levels,
    weight_bits,
    weights,
    window,
)
from cimsearch.cost.explain_system import inverse_batch, macs, mean_hops
from cimsearch.cost.explain_terms import (
    MHZ_NS,
    Product,
    constant,
    count,
    is_on_arrays,
    number,
    sum_of,
)
from cimsearch.cost.explain_traffic import (
    bits_of_macros,
    buffer_bits,
    bus_bits,
    is_op,
    is_second,
    is_weighted,
    off_chip_bits,
    waiting_values,
    waits_quantised,
)
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import CARRY_DELAYS, XOR_DELAYS
from cimsearch.cost.map_table import lines_per_adc
from cimsearch.cost.timing import working_ns

Products = tuple[Product, ...]

_CARRY = Term("carry", CARRY_DELAYS, how="gate delays of a bit's carry")
_XOR = Term("XOR", XOR_DELAYS, how="gate delays of an XOR")


@dataclass(frozen=True, slots=True)
class LatencyEquation:
    """The latency of a layer: the slowest of what overlaps, waiting, and loading of weights.

    Attributes:
        parts: What overlaps, by name: products of terms that add up to ns.
        waiting: Likewise of what is waited before the layer starts.
        loading: Likewise of loading weights; none if they stay in the macros.
        overlaps: Whether loading overlaps with the rest (ping-pong).
    """

    parts: Mapping[str, Products]
    waiting: Products
    loading: Products
    overlaps: bool

    @property
    def value_ns(self) -> float:
        """The terms put together, ns."""
        slowest = max(sum_of(part) for part in self.parts.values()) + sum_of(self.waiting)
        loading = sum_of(self.loading)
        return max(slowest, loading) if self.overlaps else slowest + loading

    @property
    def named(self) -> Mapping[str, Products]:
        """All parts by name."""
        more = {"waiting": self.waiting, "loading weights": self.loading}
        return dict(self.parts) | {name: products for name, products in more.items() if products}

    @property
    def terms(self) -> Iterable[Term]:
        """All factors."""
        return (term for part in self.named.values() for product in part for term in product)


def explain_latency(layers: Layers) -> LatencyEquation:
    """Explain the latency of a layer."""
    given, mesh = partial(constant, layers.hardware), layers.hardware.system.interconnect.mesh
    lanes, clock = given("system.digital.lanes"), given("system.digital.clock_mhz")
    steps = applied("ceil", _operations(layers) / lanes).named("steps")
    parts: dict[str, Products] = {
        "digital unit": ((steps, (MHZ_NS / clock).named("cycle", "ns")),),
        "buffer": (_moved(layers, buffer_bits(layers), "buffers"),),
        "bus": (_moved(layers, bus_bits(layers), "interconnect"),),
    }
    if is_on_arrays(layers):
        parts = {"macros": _arrays(layers)} | parts
        if mesh is not None:
            link = (1 / given("system.interconnect.mesh.link_gbps")).named(
                "time a bit of link", "ns/bit"
            )
            parts["mesh link"] = ((bits_of_macros(layers), link),)
    if moved := off_chip_bits(layers):
        parts["memory off the chip"] = tuple(_moved(layers, bits, "off_chip") for bits in moved)
    if is_second(layers):
        how = "what all units take for both parts, beyond their time for the first"
        parts = {
            "beside the other part": ((Term("more", number(working_ns(layers)), "ns", how=how),),)
        }
    stays = bool(number(1.0 * layers.resident)) or not is_on_arrays(layers)
    return LatencyEquation(
        parts=parts,
        waiting=_waiting(layers),
        loading=() if stays else (_loading(layers),),
        overlaps=layers.hardware.system.off_chip.ping_pong,
    )


def _moved(layers: Layers, bits: Term, unit: str) -> Product:
    bandwidth = constant(layers.hardware, f"system.{unit}.bandwidth_gbps")
    return bits, (1 / bandwidth).named(f"time a bit of {unit}", "ns/bit")


def _operations(layers: Layers) -> Term:
    """Return the operations of the digital unit's lanes."""
    count_: Operand = output_values(layers)
    if is_weighted(layers) and not is_second(layers):
        count_ = count_ + input_values(layers)
    if is_on_arrays(layers):
        for name in ("tile_adds", "input_sums", "corrections", "scale_multiplies"):
            count_ = count_ + count(layers, name)
    elif is_weighted(layers):
        count_ = count_ + macs(layers)
    if is_op(layers, "maxpool", "avgpool"):
        count_ = count_ + output_values(layers) * window(layers)
    if waits_quantised(layers):
        count_ = count_ + waiting_values(layers)
    return count_.expression.named("operations", how="of the lanes")


def _vectors(layers: Layers) -> Term:
    """Return the input vectors of one copy."""
    vectors = count(layers, "vectors")
    if number(layers.copies) == 1:
        return vectors
    shared = vectors / Term("copies", number(layers.copies))
    return applied("ceil", shared).named("vectors of a copy")


def _rounds(layers: Layers) -> Operand | float:
    """Return how often the macros are filled to run the layer."""
    system = layers.hardware.system
    # The second part of a layer may have no arrays of its own: nothing is filled for it.
    if system.macros == "enough" or number(layers.mapping.arrays) == 1:
        return 1.0
    filled: Operand = constant(layers.hardware, "system.macros")
    if system.off_chip.ping_pong:
        filled = applied("max", applied("floor", filled / 2), 1).named("half the macros")
    return applied("ceil", count(layers, "arrays") / filled).named("fillings")


def _arrays(layers: Layers) -> Products:
    """Return the array calls in sequence, and the waiting of row tiles for each other."""
    vectors, mesh = _vectors(layers), layers.hardware.system.interconnect.mesh
    serial: Operand = vectors
    for name in ("planes", "serial_row_groups", "serial_turns"):
        serial = serial * count(layers, name)
    calls = applied("min", serial * _rounds(layers), count(layers, "array_calls"))
    called: Product = (calls.named("calls in sequence"),)
    row_tiles, arrays = number(layers.mapping.row_tiles), number(layers.mapping.arrays)
    if arrays == number(layers.mapping.column_tiles):
        called = (*called, *executed_of(layers))
    busy: Product = (*called, _call(layers))
    if mesh is None or not mesh.tile_barrier_ns:
        return (busy,)
    if row_tiles == 1 or arrays <= mesh.macros_per_tile:
        return (busy,)
    barrier = constant(layers.hardware, "system.interconnect.mesh.tile_barrier_ns")
    return busy, (vectors, barrier)


def _call(layers: Layers) -> Term:
    """Return the time of one array call; shift-and-add overlaps with the next."""
    macro, gate = layers.hardware.macro, gate_delay(layers.hardware)
    if macro.array_call is None:
        called: Operand = _converted(layers, gate)
    else:
        called = call_delay(layers, macro.array_call)
    if macro.input.zero_skipping == "planes":
        called = called + gate * tree_levels(layers.hardware)
    if "shift_add" not in macro.simulated:
        adding = (accumulator_bits(layers) * _CARRY * gate).named("shift-and-add", "ns")
        called = applied("max", called, adding)
    return called.expression.named("call", "ns")


def _converted(layers: Layers, gate: Term) -> Expression:
    """Return the time of settling and converting; in a digital macro of its trees."""
    macro = layers.hardware.macro
    settling = constant(layers.hardware, "macro.input.settle_ns").expression
    if macro.input.drive == "pulses":
        settling = settling * (pulses_of(layers) / count(layers, "planes"))
    if macro.adc is None:
        converting: Operand = (gate * _tree_delays(layers)).named("tree", "ns")
    else:
        lines = number(lines_per_adc(layers.demand, macro))
        swept = Term("lines a converter", lines, how="a differential pair is one line")
        converting = (conversion_time(layers, macro.adc) * swept).named("sweep", "ns")
    return settling.named("settling", "ns") + converting


def _tree_delays(layers: Layers) -> Expression:
    """Return the gate delays of an adder tree."""
    levels = tree_levels(layers.hardware)
    carries = (weight_bits(layers) + levels - 2) * _CARRY
    return (levels - 1) * 2 * _XOR + _XOR + _CARRY + carries


def _waiting(layers: Layers) -> Products:
    """Return what a layer on arrays waits for before it starts."""
    bus, given = layers.hardware.system.interconnect, partial(constant, layers.hardware)
    if not is_on_arrays(layers) or is_second(layers):
        return ()
    products: list[Product] = []
    if bus.mesh is not None:
        products.append((mean_hops(layers), given("system.interconnect.mesh.router_ns")))
    if bus.layer_barrier_ns:
        products.append((given("system.interconnect.layer_barrier_ns"),))
    return tuple(products)


def _loading(layers: Layers) -> Product:
    """Return the time of loading weights: bound by the memory or by writing rows."""
    given = partial(constant, layers.hardware)
    reading = weights(layers) * weight_bits(layers) / given("system.off_chip.bandwidth_gbps")
    rows = applied(
        "min", count(layers, "rows") * count(layers, "diagonal"), given("macro.array.rows")
    )
    writing = rows * _rounds(layers) * given("macro.array.write_ns_per_row")
    longer = applied("max", reading.named("reading", "ns"), writing.named("writing rows", "ns"))
    return longer.named("loading", "ns"), inverse_batch(layers)
