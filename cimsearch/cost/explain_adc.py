"""What one conversion takes, by the converter's model: the terms of ``cimsearch.cost.adc``."""

from collections.abc import Sequence
from functools import partial

from cimsearch.cost.adc import SURVEY_LEAST_BITS
from cimsearch.cost.explain_expression import Expression, Operand, Term, applied
from cimsearch.cost.explain_logic import adc_bits, supply_v2
from cimsearch.cost.explain_terms import constant, number
from cimsearch.cost.layers import Layers
from cimsearch.cost.mapping import FULL_SCALE
from cimsearch.spec.hardware import (
    Adc,
    CapacitiveAdc,
    Hardware,
    RampAdc,
    SurveyAdc,
)

_MODEL = "macro.adc.model"


def conversion_energy(layers: Layers, adc: Adc) -> Term:
    """Return the energy of one conversion, fJ."""
    hardware, model, bits = layers.hardware, adc.model, adc_bits(layers)
    given = partial(_of_model, hardware)
    resolved = _resolved(layers, adc, bits)
    if isinstance(model, CapacitiveAdc):
        charged = given("k1_ff") * bits + given("k2_ff") * 4**resolved
        energy = charged * supply_v2(hardware)
    elif isinstance(model, RampAdc):
        energy = given("step_fj") * (2**bits - 1)
    elif isinstance(model, SurveyAdc):
        energy = given("energy_factor") * _survey(hardware, resolved)
    else:
        points = [(point.bits, point.energy_fj) for point in model.points]
        energy = given("energy_factor") * _between(points, bits, "energy_fj", "fJ")
    return energy.named("E_conversion", "fJ", how=f"a conversion, model {model.kind}")


def conversion_time(layers: Layers, adc: Adc) -> Term:
    """Return the time of one conversion, ns."""
    model, bits = adc.model, adc_bits(layers)
    given = partial(_of_model, layers.hardware)
    if isinstance(model, CapacitiveAdc):
        time = given("ns_per_bit") * bits
    elif isinstance(model, RampAdc):
        time = given("step_ns") * (2**bits - 1)
    elif isinstance(model, SurveyAdc):
        time = Term("1000 MS/s ns", 1000.0, "MS/s ns") / given("sample_rate_msps")
    else:
        points = [(point.bits, point.conversion_ns) for point in model.points]
        time = _between(points, bits, "conversion_ns", "ns").expression
    return time.named("conversion time", "ns", how=f"model {model.kind}")


def _of_model(hardware: Hardware, field: str) -> Term:
    return constant(hardware, f"{_MODEL}.{field}")


def _resolved(layers: Layers, adc: Adc, bits: Term) -> Operand:
    """Return the bits that noise is priced at: more over a range that the chip itself lacks."""
    whole = number(1.0 * (layers.demand.range_policy == FULL_SCALE)) == 1
    if whole or adc.range_policy != "full_scale":
        return bits
    finer = applied("log2", constant(layers.hardware, "macro.adc.range_frac"))
    return (bits - finer).named("resolved bits", how="finer steps over a smaller range")


def _survey(hardware: Hardware, resolved: Operand) -> Term:
    """Return the energy of a good published converter: the regression of ``survey_fj``."""
    rate = _of_model(hardware, "sample_rate_msps")
    node = constant(hardware, "macro.technology.node_nm")
    bits = applied("max", resolved, SURVEY_LEAST_BITS).named("ENOB")
    sndr = (6.02 * bits + 1.76).named("SNDR", "dB")
    by_rate = 213.78 - 2.872 * applied("log", rate * 1_000_000)
    merit = applied("min", by_rate, 128.31 + 3.2205 * applied("ceil", bits)).named("merit", "dB")
    bound = 0.5 * 10 ** ((sndr - merit) / 10)
    scaled = applied(
        "exp", 26.05 + 1.88 * applied("log", node) - 2.829 * applied("log", bits) - 1.47
    )
    return (bound * scaled * 1000).named("survey", "fJ", how="regression on published converters")


def _between(points: Sequence[tuple[int, float]], bits: Term, field: str, unit: str) -> Term:
    """Return a measured value between two points, exponential in the bits."""
    known = sorted(points)
    low = max((point for point in known if point[0] <= bits.value), default=known[0])
    high = min((point for point in known if point[0] > bits.value), default=low)
    below, above = (_point(point, field, unit) for point in (low, high))
    if low == high or low[0] >= bits.value:
        return below
    share = (bits - low[0]) / (high[0] - low[0])
    between: Expression = below * (above / below) ** share
    return between.named(f"measured {field}", unit)


def _point(point: tuple[int, float], field: str, unit: str) -> Term:
    path = f"{_MODEL}.points.{field}"
    return Term(f"{field} at {point[0]} bits", point[1], unit, path)
