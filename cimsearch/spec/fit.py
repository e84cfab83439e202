"""Whether a study, its spaces and its hardware fit each other."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from cimsearch.errors import SpecError
from cimsearch.spec.adaptation import QUANTISED
from cimsearch.spec.document import Document, Loc
from cimsearch.spec.hardware import ConfigurableField, Hardware
from cimsearch.spec.loss_faults import loss_faults
from cimsearch.spec.openable import openable_faults
from cimsearch.spec.optional_genes import RESIDUAL, ROW_SPARSITY, WORD
from cimsearch.spec.recipe import Recipe
from cimsearch.spec.rung import without_effect
from cimsearch.spec.space import SpaceSpec
from cimsearch.spec.statistics import unmatched
from cimsearch.spec.study import StudySpec
from cimsearch.spec.workload import Workload, named

EXAMPLES = 5


def check_fit(
    document: Document, spec: StudySpec, workloads: Sequence[Workload], hardware: Hardware
) -> None:
    """Check that a study's parts fit each other: data, layers, genes, conditions, training.

    Raises:
        SpecError: They do not; all faults at once.
    """
    errors = unmatched(document, spec.statistics.layers, _layer_names(workloads))
    errors += without_effect(document, spec.rungs, hardware.macro, hardware.name)
    errors += _side_by_side_faults(document, workloads, hardware)
    errors += _training_faults(document, spec, workloads, hardware)
    errors += _adapting_faults(document, spec)
    for workload in workloads:
        errors += _data_faults(document, workload)
        errors += _gene_faults(document, spec, workload, hardware)
        errors += _word_faults(document, spec, workload, hardware)
        errors += _family_faults(document, spec, workload)
        errors += _end_faults(document, workload, hardware)
    errors += openable_faults(document, spec, hardware, [each.space for each in workloads])
    if errors:
        raise SpecError("\n".join(dict.fromkeys(error.message for error in errors)))


def _layer_names(workloads: Sequence[Workload]) -> tuple[str, ...]:
    """Return the names of the layers of a candidate, as they are priced."""
    if len(workloads) == 1:
        return workloads[0].space.layer_names
    return tuple(named(w.name, layer) for w in workloads for layer in w.space.layer_names)


def _side_by_side_faults(
    document: Document, workloads: Sequence[Workload], hardware: Hardware
) -> Iterator[SpecError]:
    """Yield why workloads cannot share a chip, or be told apart."""
    execution = hardware.system.execution
    if len(workloads) > 1 and execution != "layer_by_layer":
        yield document.error(
            ("also",),
            f"found {len(workloads)} workloads; on {hardware.name}, whose execution is "
            f"{execution}, allowed is one: several run in turn, layer by layer",
        )
    taken = {workloads[0].name: "that of space"}
    for workload in workloads[1:]:
        if workload.name in taken:
            found = f"found {workload.name}, {taken[workload.name]}"
            loc = (*workload.loc, "name")
            yield document.error(loc, f"{found}; allowed is a name that no other workload has")
        taken[workload.name] = "that of another workload"


def _data_faults(document: Document, workload: Workload) -> list[SpecError]:
    """Return what a workload's space does not take of its data."""
    data, space, loc = workload.data, workload.space, (*workload.loc, "data")
    errors = []
    if data.shape != space.input_shape:
        found = f"found {list(data.shape)}; the space takes {list(space.input_shape)}"
        errors.append(document.error((*loc, "shape"), found))
    if data.classes != space.classes:
        found = f"found {data.classes}; the space has {space.classes}"
        errors.append(document.error((*loc, "classes"), found))
    return errors


def _gene_faults(
    document: Document, spec: StudySpec, workload: Workload, hardware: Hardware
) -> list[SpecError]:
    """Return the choices that the hardware does not have."""
    macro, errors = hardware.macro, []
    own = (*workload.loc, "space") if workload.loc else ("hardware",)
    asked: dict[str, ConfigurableField] = {name: name for name in get_args(ConfigurableField)}
    for field, of in (asked | {"high_bits": "weight_bits"}).items():
        wanted = getattr(workload.space.genes, field)
        allowed = macro.choices(of)
        # Weight bits of 0 remove a layer: no hardware has to have it.
        refused = [value for value in wanted if value not in allowed and value != 0]
        if refused:
            loc = ("genes", field) if getattr(spec.genes, field) else own
            free = "may be" if of in macro.configurable else "is fixed at"
            errors.append(
                document.error(
                    loc,
                    f"found {field} {_listed(refused)}; on {hardware.name} {field} {free} "
                    f"{_listed(allowed)}",
                )
            )
    if any(workload.space.genes.row_sparsity) and not macro.array.row_group_skipping:
        loc = ("genes", ROW_SPARSITY) if spec.genes.row_sparsity else own
        found = f"found {ROW_SPARSITY} {_listed(workload.space.genes.row_sparsity)}"
        why = f"arrays of {hardware.name} skip no row groups (array.row_group_skipping)"
        errors.append(document.error(loc, f"{found}; {why}, so that allowed is 0"))
    return errors


def _word_faults(
    document: Document, spec: StudySpec, workload: Workload, hardware: Hardware
) -> Iterator[SpecError]:
    """Yield the bits of what waits for additions that a word of the digital unit does not hold."""
    word, wanted = hardware.system.digital.word_bits, workload.space.genes.residual_bits
    if wider := [bits for bits in wanted if bits > word]:
        stated = ("genes", RESIDUAL) if spec.genes.residual_bits else (*workload.loc, "space")
        found = f"found {RESIDUAL} {_listed(wider)}; words of {hardware.name} have {word} bits"
        yield document.error(stated, f"{found}: allowed is up to {word}, or {WORD}, the word")


def _family_faults(document: Document, spec: StudySpec, workload: Workload) -> Iterator[SpecError]:
    """Yield the choices that no layer of a workload's networks can have."""
    space, faults = workload.space, list[tuple[str, str]]()
    if isinstance(space, SpaceSpec):
        faults += space.gene_faults()
    else:
        faults += space.gene_faults()
        if 0 in space.genes.weight_bits:
            found = f"found 0; {space.name} is one network: allowed is 2 to 16"
            faults.append(("weight_bits", found))
    pruning = spec.adapt.pruning if spec.adapt is not None else None
    if space.genes.high_share and pruning is not None and pruning.order == QUANTISED:
        yield document.error(
            ("adapt", "pruning", "order"),
            f"found {pruning.order}; where layers have groups of channels with different bits "
            f"(high_share of {space.name}) allowed are prune_then_quantise and alternating",
        )
    for field, text in faults:
        loc = ("genes", field) if getattr(spec.genes, field) else (*workload.loc, "space")
        yield document.error(loc, text)


def _adapting_faults(document: Document, spec: StudySpec) -> Iterator[SpecError]:
    """Yield what of a file's ``adapt`` would change nothing.

    Studies that were stored before this was checked are read without it.
    """
    how = spec.adapt
    if how is None and "adapt" in document.data:
        yield document.error(
            ("adapt",),
            "found nothing below it; needed is training, such as training: {epochs: 8, "
            "train_level: L0, score_level: L2, chips: 4}, or leave adapt out",
        )
    if how is not None and how.pruning is None and "rounds" in how.model_fields_set and how.rounds:
        yield document.error(
            ("adapt", "rounds"),
            f"found {how.rounds} beside pruning: null, where nothing is pruned in rounds; allowed "
            "is 0: leave rounds out, or say how to prune",
        )


def _end_faults(document: Document, workload: Workload, hardware: Hardware) -> list[SpecError]:
    """Return the bits of the first and last layers that the hardware does not have."""
    macro, errors = hardware.macro, []
    for end in ("first_layer", "classifier"):
        layer = getattr(workload.space, end)
        limits = {
            "weight_bits": macro.choices("weight_bits"),
            "activation_bits": macro.choices("activation_bits"),
        }
        for field, choices in limits.items():
            largest = max(map(int, choices))
            if layer.placement == "cim" and layer.bits > largest:
                errors.append(
                    document.error(
                        (*workload.loc, "space"),
                        f"{end} has {layer.bits} bits on the macro; on {hardware.name} "
                        f"{field} may be {largest} at most",
                    )
                )
    return errors


def _training_faults(
    document: Document, spec: StudySpec, workloads: Sequence[Workload], hardware: Hardware
) -> list[SpecError]:
    """Return what of the recipes is of no layer, level or converter that there is."""
    own = {w.loc for w, entry in zip(workloads[1:], spec.also, strict=True) if entry.recipe}
    shared = [workload for workload in workloads if workload.loc not in own]
    errors = _recipe_faults(document, ("recipe",), spec, shared, hardware)
    for workload in workloads:
        if workload.loc in own:
            loc = (*workload.loc, "recipe")
            errors += _recipe_faults(document, loc, spec, [workload], hardware)
    return errors


def _recipe_faults(
    document: Document,
    loc: Loc,
    spec: StudySpec,
    workloads: Sequence[Workload],
    hardware: Hardware,
) -> list[SpecError]:
    """Return what of a recipe is of no layer of the workloads that it trains."""
    recipe: Recipe = workloads[0].recipe
    names = [name for workload in workloads for name in workload.space.layer_names]
    errors = [
        document.error(
            (*loc, "noise", index, "layers"),
            f"found {entry.layers}; allowed is a pattern that matches a layer of the space, such "
            f"as {_listed(names[:EXAMPLES])}",
        )
        for index, entry in enumerate(recipe.noise)
        if not any(map(entry.of, names))
    ]
    errors += loss_faults(document, (*loc, "losses"), workloads, hardware)
    if recipe.partial_sum_steps == "calibrated":
        return errors
    loc = (*loc, "partial_sum_steps")
    for level in sorted({rung.train_level for rung in spec.rungs} - {"L1"}):
        found = f"found learned at train_level {level}"
        errors.append(document.error(loc, f"{found}; allowed is L1, which has them"))
    adc = hardware.macro.adc
    own = (adc.range_policy,) if adc else ("full_scale",)
    if any("full_scale" in (workload.space.genes.range_policy or own) for workload in workloads):
        errors.append(
            document.error(
                loc,
                "found learned beside range_policy full_scale, which is fixed; allowed are layer "
                "and column",
            )
        )
    return errors


def _listed(values: Any) -> str:
    return ", ".join(map(str, values))
