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
    return space.uniform(
        weight_bits=_nearest(macro.choices("weight_bits"), bits),
        activation_bits=_nearest(macro.choices("activation_bits"), bits),
        adc_bits=max(map(int, macro.choices("adc_bits"))) if opened else 0,
        range_policy=range_policy,
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
                suffix = f", {policy.replace('_', ' ')} range" if policy else ""
                found[f"uniform {bits} bit{suffix}"] = candidate
    return found
