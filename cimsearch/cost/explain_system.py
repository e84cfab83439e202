"""The energy equations of what happens around the macros, and latency, with their numbers.

Term by term what ``cimsearch.cost.system_energy``, ``timing`` and ``model`` compute; tests hold
them equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from cimsearch.blueprint import OPS
from cimsearch.cost.area import array_um2
from cimsearch.cost.explain_macro import unit_gate
from cimsearch.cost.explain_terms import (
    Equation,
    Product,
    Term,
    constant,
    count,
    number,
    product_of,
)
from cimsearch.cost.layers import Layers
from cimsearch.cost.logic import (
    REGISTER_CAPS,
    adder_caps,
    leakage_uw_per_mm2,
    multiplier_caps,
)
from cimsearch.cost.system_energy import lane_operations
from cimsearch.cost.timing import call_ns

_BUFFER = (
    "system.buffers.read_pj_per_bit_2kib",
    "system.buffers.size_kib",
    "system.buffers.size_exponent",
    "system.buffers.reference_node_nm",
    "system.buffers.reference_vdd_v",
    "macro.technology.node_nm",
    "macro.technology.vdd_v",
)


def explain_buffers(layers: Layers) -> Equation:
    """Explain the energy of reading and writing the activation buffer."""
    technology, buffers = layers.hardware.macro.technology, layers.hardware.system.buffers
    scale = (buffers.size_kib / 2) ** buffers.size_exponent
    scale *= technology.node_nm / buffers.reference_node_nm
    scale *= (technology.vdd_v / buffers.reference_vdd_v) ** 2
    how = (
        "read_pj_per_bit_2kib x (size_kib / 2)^size_exponent x (node_nm / reference_node_nm) "
        "x (vdd_v / reference_vdd_v)^2"
    )
    per_bit = Term("E_read", buffers.read_pj_per_bit_2kib * scale, "pJ/bit", _BUFFER, how)
    read = Term("bits read", number(layers.traffic.read), "bit", how="im2col patches and weights")
    written = Term("bits written", number(layers.traffic.written), "bit", how="the layer's input")
    ratio = constant(layers, "system.buffers.write_ratio_frac")
    return Equation("buffers", ((read, per_bit), (written, ratio, per_bit)), per_pj=1.0)


def explain_interconnect(layers: Layers) -> Equation:
    """Explain the energy of the bus."""
    moved = Term("bits moved", number(layers.traffic.bus), "bit", how="to the macros and back")
    volts = constant(layers, "macro.technology.vdd_v")
    length = constant(layers, "system.interconnect.length_mm")
    cap = constant(layers, "system.interconnect.cap_ff_per_mm")
    return Equation("interconnect", ((moved, length, cap, volts, volts),))


def explain_digital(layers: Layers) -> Equation:
    """Explain the energy of the digital unit."""
    word = layers.hardware.system.digital.word_bits
    unit = unit_gate(layers)
    products: list[Product] = []
    if number(1.0 * layers.digital_weighted):
        caps = number(multiplier_caps(layers.w_bits, layers.x_bits)) + adder_caps(word)
        how = "a multiplier of weight x activation bits and an addition of word_bits"
        mac = Term("multiply-add", float(caps), "NAND", ("system.digital.word_bits",), how)
        products.append((Term("macs", number(layers.macs)), mac, unit))
    values = number(layers.out_values)
    if number(1.0 * layers.weighted):
        values += number(layers.in_values)
    caps, how = _per_value(layers, word)
    each = Term("a value", caps, "NAND", ("system.digital.word_bits",), how)
    products.append((Term("values", values, how="outputs, and inputs to quantise"), each, unit))
    return Equation("digital", tuple(products))


def _per_value(layers: Layers, word: int) -> tuple[float, str]:
    """Return the NAND inputs that one value of this operation switches, and what they are."""
    add, multiply = float(adder_caps(word)), float(multiplier_caps(word, word))
    register, others = word * REGISTER_CAPS, number(layers.window) - 1
    fan_in = number(layers.table.fan_in)
    per_value: Mapping[str, tuple[float, str]] = {
        "conv": (add, "an addition"),
        "linear": (add, "an addition"),
        "batchnorm": (multiply + add, "a multiplication and an addition"),
        "relu": (word + register, "word_bits gates and a register"),
        "maxpool": (others * add + register, f"{others:g} comparisons and a register"),
        "avgpool": (
            others * add + multiply + register,
            f"{others:g} additions, a multiplication and a register",
        ),
        "add": ((fan_in - 1) * add + register, f"{fan_in - 1:g} additions and a register"),
        "flatten": (register, "a register"),
    }
    return per_value[OPS[int(number(layers.table.op))]]


def explain_weight_memory(layers: Layers) -> Equation:
    """Explain the energy of loading weights into the macros."""
    if number(1.0 * layers.resident):
        return Equation("weight_memory", (), why_zero="all weights of the network stay in macros")
    if not number(1.0 * layers.demand.cim):
        return Equation("weight_memory", (), why_zero="the layer is not on arrays")
    batch = Term("1 / batch", 1 / layers.batch, how=f"1 / {layers.batch}")
    weights = Term("weights", number(layers.weights))
    bits = Term("weight bits", number(layers.w_bits))
    read = constant(layers, "system.weight_memory.read_pj_per_bit")
    write = constant(layers, "macro.array.write_pj_per_cell")
    loaded = (weights, bits, read, batch)
    return Equation(
        "weight_memory", (loaded, (count(layers, "used_cells"), write, batch)), per_pj=1.0
    )


def explain_control(layers: Layers, dynamic_pj: float) -> Equation:
    """Explain the energy of control: a share of the components before it but weight memory."""
    dynamic = Term("dynamic energy", dynamic_pj, "pJ", how="cells to digital, summed")
    share = constant(layers, "macro.control_frac")
    return Equation("control", ((dynamic, share),), per_pj=1.0)


def explain_leakage(layers: Layers, area_um2: float, latency_ns: float) -> Equation:
    """Explain the leakage of the whole system while the layer runs."""
    paths = ("macro.technology.leakage_uw_per_mm2", "macro.technology.leakage_doubling_c")
    density = leakage_uw_per_mm2(layers.hardware.macro)
    how = "leakage_uw_per_mm2 at the macro's corner and temperature"
    array = f"arrays of {array_um2(layers.hardware.macro):.6g} um2, buffers, digital unit"
    return Equation(
        "leakage",
        (
            (
                Term("leakage", density, "uW/mm2", (*paths, "macro.temperature_c"), how),
                Term("area", area_um2 / 1e6, "mm2", how=array),
                Term("latency", latency_ns, "ns", how="of this layer"),
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class LatencyEquation:
    """The latency of a layer: the slowest of what overlaps, and the loading of weights.

    Attributes:
        parts: What overlaps, by name: terms that are multiplied to ns.
        loading: Likewise of loading weights; None if they stay in the macros.
        overlaps: Whether loading overlaps with the rest (ping-pong).
    """

    parts: Mapping[str, Product]
    loading: Product | None
    overlaps: bool

    @property
    def value_ns(self) -> float:
        """The terms put together, ns."""
        slowest = max(product_of(part) for part in self.parts.values())
        loading = product_of(self.loading) if self.loading else 0.0
        return max(slowest, loading) if self.overlaps else slowest + loading


def explain_latency(layers: Layers) -> LatencyEquation:
    """Explain the latency of a layer."""
    system, traffic = layers.hardware.system, layers.traffic
    lanes = system.digital.lanes
    steps = ceil(number(lane_operations(layers)) / lanes)
    buffered = number(traffic.read) + number(traffic.written)
    parts: dict[str, Product] = {
        "macros": _arrays(layers),
        "digital unit": (
            Term("steps", steps, "", ("system.digital.lanes",), "ceil(operations / lanes)"),
            _inverse("cycle", 1e3, layers, "system.digital.clock_mhz", "ns"),
        ),
        "buffer": (
            Term("bits", buffered, "bit", how="read and written"),
            _inverse("1 / bandwidth", 1.0, layers, "system.buffers.bandwidth_gbps", "ns/bit"),
        ),
        "bus": (
            Term("bits", number(traffic.bus), "bit", how="moved"),
            _inverse("1 / bandwidth", 1.0, layers, "system.interconnect.bandwidth_gbps", "ns/bit"),
        ),
    }
    resident = bool(number(1.0 * layers.resident)) or not number(1.0 * layers.demand.cim)
    loading = None if resident else _loading(layers)
    return LatencyEquation(parts, loading, system.weight_memory.ping_pong)


def _inverse(symbol: str, over: float, layers: Layers, path: str, unit: str) -> Term:
    below = constant(layers, path)
    return Term(symbol, over / below.value, unit, (path,), f"{over:g} / {below.value:g}")


def _rounds(layers: Layers) -> float:
    """Return how often the macros are filled to run the layer."""
    macros = layers.hardware.system.macros
    if macros == "enough":
        return 1.0
    halved = layers.hardware.system.weight_memory.ping_pong
    filled = max(macros // 2, 1) if halved else macros
    return float(ceil(number(layers.mapping.arrays) / filled))


def _arrays(layers: Layers) -> Product:
    serial, rounds = number(layers.mapping.serial_calls), _rounds(layers)
    calls = min(serial * rounds, number(layers.mapping.array_calls))
    macro = layers.hardware.macro
    paths = ["macro.input.settle_ns", "macro.technology.nand2_delay_ps"]
    paths += ["macro.technology.delay_voltage_exponent", "macro.supply_v"]
    if macro.adc is not None:
        paths += [
            f"macro.adc.model.{name}"
            for name in ("ns_per_bit", "step_ns", "points", "sample_rate_msps")
            if hasattr(macro.adc.model, name)
        ]
        paths.append("macro.adc.columns_per_adc")
    how = f"min(serial_calls x {rounds:g} fillings of the macros, array_calls)"
    called = "the longer of settling and converting, and of shift-and-add"
    return (
        Term("calls in sequence", calls, how=how),
        Term("call", number(call_ns(layers)), "ns", tuple(paths), called),
    )


def _loading(layers: Layers) -> Product:
    memory, array = layers.hardware.system.weight_memory, layers.hardware.macro.array
    bits = number(layers.weights * layers.w_bits)
    rows = min(number(layers.mapping.rows * layers.mapping.diagonal), array.rows)
    batch = Term("1 / batch", 1 / layers.batch, how=f"1 / {layers.batch}")
    written = rows * _rounds(layers)
    if bits / memory.bandwidth_gbps >= written * array.write_ns_per_row:
        path = "system.weight_memory.bandwidth_gbps"
        bandwidth = _inverse("1 / bandwidth", 1.0, layers, path, "ns/bit")
        return (Term("weight bits", bits, "bit", how="read from weight memory"), bandwidth, batch)
    per_row = constant(layers, "macro.array.write_ns_per_row")
    return (Term("rows written", written, how="rows of an array x fillings"), per_row, batch)
