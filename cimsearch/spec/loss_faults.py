"""Losses of a recipe that would change nothing, told where the study's file has them."""

from collections.abc import Iterator, Sequence
from typing import get_args

from cimsearch.errors import SpecError
from cimsearch.spec.document import Document, Loc
from cimsearch.spec.hardware import Hardware, Macro, RangePolicy
from cimsearch.spec.losses import BINARY_BITS, LayerLoss
from cimsearch.spec.workload import Workload

EXAMPLES = 5

_Fault = tuple[str, str]
"""The field below ``losses``, with dots, and what is wrong with it."""


def loss_faults(
    document: Document, loc: Loc, workloads: Sequence[Workload], hardware: Hardware
) -> Iterator[SpecError]:
    """Yield what of a recipe's losses is of no layer, bit or converter that there is.

    Args:
        document: The study's file.
        loc: Where it has the losses.
        workloads: Which the recipe trains.
        hardware: What they are on.
    """
    for of in (_layer_faults, _bit_faults, _hardware_faults):
        for field, text in of(workloads, hardware):
            yield document.error((*loc, *field.split(".")), text)


def _layer_faults(workloads: Sequence[Workload], _hardware: Hardware) -> Iterator[_Fault]:
    names = [name for workload in workloads for name in workload.space.layer_names]
    for name, entry in workloads[0].recipe.losses:
        if isinstance(entry, LayerLoss) and not any(map(entry.of, names)):
            such = ", ".join(names[:EXAMPLES])
            found = f"found {entry.layers}; allowed is a pattern that matches a layer of the space"
            yield f"{name}.layers", f"{found}, such as {such}"


def _bit_faults(workloads: Sequence[Workload], _hardware: Hardware) -> Iterator[_Fault]:
    """Yield that no layer's weights can be of one size."""
    if not workloads[0].recipe.losses.binarisation:
        return
    choices: set[int] = set()
    for space in (workload.space for workload in workloads):
        choices |= {
            *space.genes.weight_bits,
            *space.genes.high_bits,
            space.first_layer.bits,
            space.classifier.bits,
        }
    if BINARY_BITS not in choices:
        told = ", ".join(map(str, sorted(choices - {0})))
        yield (
            "binarisation",
            f"found weights of {told} bits; allowed is a space that has weights of {BINARY_BITS} "
            "bits, as no other has a single size",
        )


def _hardware_faults(workloads: Sequence[Workload], hardware: Hardware) -> Iterator[_Fault]:
    """Yield what would be minimised already on this hardware, or saves nothing there."""
    recipe, macro, name = workloads[0].recipe, hardware.macro, hardware.name
    if recipe.losses.bit_sparsity and not ones_cost(macro):
        yield (
            "bit_sparsity",
            f"found one on {name}, whose table of simulated array calls is for one density: fewer "
            "ones save no energy there; allowed is a macro whose cells are priced by what they "
            "hold",
        )
    if recipe.losses.noise_insensitivity and macro.adc is None and not recipe.noise:
        yield (
            "noise_insensitivity",
            f"found one on {name}, which is digital and has no noise; allowed is an analog macro, "
            "or noise under recipe.noise",
        )
    if recipe.losses.adc_overflow and (limit := _unlimited(workloads, macro)):
        yield "adc_overflow", f"found one on {name}, {limit}"


def _unlimited(workloads: Sequence[Workload], macro: Macro) -> str:
    """Return why no sum can be beyond a converter's range; nothing if one can."""
    if macro.adc is None:
        return "which is digital; allowed is a macro with converters"
    own: tuple[RangePolicy, ...] = (macro.adc.range_policy,)
    policies = {p for w in workloads for p in w.space.genes.range_policy or own}
    if policies == {"full_scale"}:
        other = " or ".join(policy for policy in get_args(RangePolicy) if policy != "full_scale")
        return f"whose full scale holds every sum; allowed is range_policy {other}"
    return ""


def ones_cost(macro: Macro) -> bool:
    """Return whether the cost model has a macro take less energy for fewer stored ones.

    Cells and, on a digital macro, the adder trees are priced by density; what a table of
    simulated array calls covers is not.
    """
    by_density = {"cells"} if macro.adc else {"cells", "adder_tree"}
    return not by_density <= macro.simulated
