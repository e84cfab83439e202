"""The uniform baselines that a search is measured against."""

from collections.abc import Mapping
from itertools import product
from typing import Literal

from cimsearch.space import AnySpace, Candidate, Gene, space_of
from cimsearch.space.genes import most_of
from cimsearch.space.study_space import HARDWARE
from cimsearch.spec import Hardware, Study
from cimsearch.spec.hardware import RangePolicy
from cimsearch.spec.optional_genes import RESIDUAL, WORD
from cimsearch.spec.settings import setting_of


def uniform_candidate(
    space: AnySpace, hardware: Hardware, bits: int, range_policy: RangePolicy | Literal[""] = ""
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
            candidate = uniform_candidate(space_of(study), study.hardware, bits, policy)
            if all(candidate.hash != other.hash for other in found.values()):
                w_bits, x_bits = uniform_bits(study.hardware, bits)
                name = f"uniform {w_bits if w_bits == x_bits else f'{w_bits}/{x_bits}'} bit"
                suffix = f", {policy.replace('_', ' ')} range" if policy else ""
                found[name + suffix] = candidate
    return found


def uniform_genes(study: Study) -> list[tuple[int, ...]]:
    """Return genes of what a space has nearest to the uniform baselines, in their order.

    Not every space has a baseline: compare the hashes of what they decode to.
    """
    space, macro = space_of(study), study.hardware.macro
    opened = study.spec.genes.hardware.opened()
    own = {f"{HARDWARE}.{name}": setting_of(study.hardware, name) for name, _ in opened}
    policies: tuple[str, ...] = study.space.genes.range_policy or ("",)
    found = []
    for bits, policy in product((8, 4), policies):
        weight_bits, activation_bits = uniform_bits(study.hardware, bits)
        fixed: dict[str, int | float | str] = {
            "weight_bits": weight_bits,
            "activation_bits": activation_bits,
            "adc_bits": max(map(int, macro.choices("adc_bits"))),
            "range_policy": policy,
            "encoding": "",
            "prune_ratio": 0.0,
            "high_share": 0.0,
            RESIDUAL: WORD,
            "row_sparsity": 0.0,
        }
        found.append(tuple(_index(gene, fixed | own) for gene in space.genes))
    return found


def _index(gene: Gene, fixed: Mapping[str, int | float | str]) -> int:
    kind = gene.name if gene.name in fixed else gene.name.rsplit(".", 1)[-1]
    wanted = fixed[kind] if kind in fixed else most_of(gene.choices)
    if wanted in gene.choices:
        return gene.choices.index(wanted)
    if kind == RESIDUAL:
        return gene.choices.index(most_of(gene.choices))
    # Weight bits of 0 remove a block, which a baseline has.
    return int(kind == "weight_bits" and gene.choices[0] == 0)
