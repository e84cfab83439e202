"""What one conversion costs, by the converter's model and bits.

Tables over bits are computed once for a macro; the equations look them up for every node.
"""

from math import exp, log, log2

import numpy as np
from numpy.typing import NDArray

from cimsearch.spec.hardware import Adc, Macro, MeasuredAdc, RampAdc, SurveyAdc

MAX_BITS = 16
SURVEY_LEAST_BITS = 4
"""The survey has no converters below this: its value is held, as the fit rises again there."""

Table = NDArray[np.float64]


def conversion_fj(macro: Macro) -> tuple[Table, Table]:
    """Return the energy of a conversion by bits (0 to 16), over the full scale and over a range.

    Over a range smaller than the full scale the same bits resolve finer steps: what is limited by
    noise is priced at ``bits + log2(full scale / range)``. A chip that has such a range anyway has
    its constants for it.
    """
    adc = macro.adc
    if adc is None:
        return np.zeros(MAX_BITS + 1), np.zeros(MAX_BITS + 1)
    finer = -log2(adc.range_frac) if adc.range_policy == "full_scale" else 0.0
    swing = macro.energy_v2
    full, ranged = (
        [
            0.0,
            *(_conversion_fj(adc, swing, macro.technology.node_nm, bits, extra) for bits in _BITS),
        ]
        for extra in (0.0, finer)
    )
    return np.array(full), np.array(ranged)


def conversion_ns(macro: Macro) -> Table:
    """Return the time of a conversion by bits (0 to 16)."""
    adc = macro.adc
    if adc is None:
        return np.zeros(MAX_BITS + 1)
    return np.array([0.0, *(_conversion_ns(adc, bits) for bits in _BITS)])


_BITS = range(1, MAX_BITS + 1)


def _conversion_fj(adc: Adc, swing_v2: float, node_nm: float, bits: int, finer: float) -> float:
    model = adc.model
    if isinstance(model, RampAdc):
        return float(model.step_fj * (2**bits - 1))
    if isinstance(model, MeasuredAdc):
        return model.energy_factor * _between([(p.bits, p.energy_fj) for p in model.points], bits)
    if isinstance(model, SurveyAdc):
        return model.energy_factor * survey_fj(bits + finer, node_nm, model.sample_rate_msps)
    return float((model.k1_ff * bits + model.k2_ff * 4 ** (bits + finer)) * swing_v2)


def _conversion_ns(adc: Adc, bits: int) -> float:
    model = adc.model
    if isinstance(model, RampAdc):
        return float(model.step_ns * (2**bits - 1))
    if isinstance(model, MeasuredAdc):
        return _between([(p.bits, p.conversion_ns) for p in model.points], bits)
    if isinstance(model, SurveyAdc):
        return 1e3 / model.sample_rate_msps
    return float(model.ns_per_bit * bits)


def survey_fj(enob: float, node_nm: float, sample_rate_msps: float) -> float:
    """Return the energy of a conversion of a good published converter, fJ.

    The regression of the Accelergy ADC plug-in (T. Andrulis et al.) on B. Murmann's ADC
    performance survey: Schreier's figure of merit bounds the energy, scaled by node and bits.
    """
    bits = max(enob, SURVEY_LEAST_BITS)
    sndr_db = 6.02 * bits + 1.76
    merit_db = min(
        213.78 - 2.872 * log(sample_rate_msps * 1e6), 128.31 + 3.2205 * float(np.ceil(bits))
    )
    bound_j = 0.5 * 10 ** ((sndr_db - merit_db) / 10)
    scaled_pj = bound_j * exp(26.050 + 1.880 * log(node_nm) - 2.829 * log(bits) - 1.470)
    return float(scaled_pj * 1e3)


def _between(points: list[tuple[int, float]], bits: int) -> float:
    """Return a measured value between two points, exponential in the bits; held outside them."""
    known, values = zip(*sorted(points), strict=True)
    return float(exp(np.interp(bits, known, np.log(values))))
