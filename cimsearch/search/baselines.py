"""The uniform baselines that a search is measured against."""

from typing import Literal

from cimsearch.space import Candidate, Space
from cimsearch.spec import Hardware, Study
from cimsearch.spec.hardware import RangePolicy


def uniform_candidate(
    space: Space, hardware: Hardware, bits: int, range_policy: RangePolicy | Literal[""] = ""
) -> Candidate:
    """Return the largest network at uniform ``bits``, or the nearest the macro can, unpruned.

    It uses the macro's largest ADC setting, and the macro's own range policy unless one is given.
    """
    macro = hardware.macro
    opened = "adc_bits" in macro.configurable
    weight_bits, activation_bits = uniform_bits(hardware, bits)
    return space.uniform(
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        adc_bits=max(map(int, macro.choices("adc_bits"))) if opened else 0,
        range_policy=range_policy,
    )


def uniform_bits(hardware: Hardware, bits: int) -> tuple[int, int]:
    """Return the weight and activation bits nearest to ``bits`` that the macro can do."""
    macro = hardware.macro
    return (
        _nearest(macro.choices("weight_bits"), bits),
        _nearest(macro.choices("activation_bits"), bits),
    )


def _nearest(choices: tuple[int | str, ...], bits: int) -> int:
    """Return the largest choice up to ``bits``, or the smallest there is."""
    known = sorted(map(int, choices))
    return max((choice for choice in known if choice <= bits), default=known[0])


def baselines(study: Study) -> dict[str, Candidate]:
    """Return the uniform baselines by name: 8 and 4 bit, for every range policy in the search."""
    found: dict[str, Candidate] = {}
    policies: tuple[RangePolicy | Literal[""], ...] = study.space.genes.range_policy or ("",)
    for bits in (8, 4):
        for policy in policies:
            candidate = uniform_candidate(Space(study.space), study.hardware, bits, policy)
            if all(candidate.hash != other.hash for other in found.values()):
                w_bits, x_bits = uniform_bits(study.hardware, bits)
                name = f"uniform {w_bits if w_bits == x_bits else f'{w_bits}/{x_bits}'} bit"
                suffix = f", {policy.replace('_', ' ')} range" if policy else ""
                found[name + suffix] = candidate
    return found
