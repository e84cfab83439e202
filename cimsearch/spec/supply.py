"""A macro at another supply than that of its file: for a measurement there, or as a gene."""

from math import isclose
from typing import Any, TypeVar

from cimsearch.spec.adc import AdcModel, MeasuredAdc, RampAdc, SurveyAdc
from cimsearch.spec.base import Spec
from cimsearch.spec.macro import Macro

SpecT = TypeVar("SpecT", bound=Spec)


def at_supply(macro: Macro, supply_v: float) -> Macro:
    """Return ``macro`` at another supply; wordlines driven from the supply follow it.

    What its file states as an energy or a time at its own supply, of a conversion or of a
    simulated call, is scaled as the technology's logic is: energy with the square of the supply
    (or the exponent of its file), time with the delay of a gate. A survey's converter keeps its
    rate, and settling and reading take the time that the file says.
    """
    if isclose(supply_v, macro.supply_v):
        return macro
    moved = macro.model_copy(update={"supply_v": supply_v})
    energy, time = moved.energy_v2 / macro.energy_v2, slower(macro, supply_v)
    changes: dict[str, Any] = {}
    if drives_from_supply(macro):
        changes["input"] = macro.input.model_copy(update={"wordline_v": supply_v})
    if macro.adc:
        changes["adc"] = macro.adc.model_copy(
            update={
                "model": _converter(macro.adc.model, energy, time),
                "range_switch_fj": (macro.adc.range_switch_fj or 0.0) * energy,
            }
        )
    if macro.array_call:
        calls = tuple(
            _times(each, energy_pj=energy, delay_ns=time) for each in macro.array_call.points
        )
        changes["array_call"] = macro.array_call.model_copy(update={"points": calls})
    return moved.model_copy(update=changes)


def drives_from_supply(macro: Macro) -> bool:
    """Return whether wordlines hang on the macro's supply: their voltage is that of it."""
    return isclose(macro.input.wordline_v, macro.supply_v)


def slower(macro: Macro, supply_v: float) -> float:
    """Return how much longer a gate takes at another supply than at the macro's own."""
    return float((macro.supply_v / supply_v) ** macro.technology.delay_voltage_exponent)


def _converter(model: AdcModel, energy: float, time: float) -> AdcModel:
    """Return a converter with the energies and times that its file states scaled."""
    if isinstance(model, RampAdc):
        return _times(model, step_fj=energy, step_ns=time)
    if isinstance(model, SurveyAdc):
        return _times(model, energy_factor=energy)
    if isinstance(model, MeasuredAdc):
        points = tuple(
            _times(point, energy_fj=energy, conversion_ns=time) for point in model.points
        )
        return model.model_copy(update={"points": points})
    return _times(model, ns_per_bit=time)


def _times(part: SpecT, **factors: float) -> SpecT:
    """Return ``part`` with fields times factors."""
    return part.model_copy(
        update={name: getattr(part, name) * factor for name, factor in factors.items()}
    )
