"""Whether a study, its space and its hardware fit each other."""

from typing import Any, get_args

from cimsearch.errors import SpecError
from cimsearch.spec.document import Document
from cimsearch.spec.hardware import ConfigurableField, Hardware
from cimsearch.spec.openable import openable_faults
from cimsearch.spec.rung import without_effect
from cimsearch.spec.space import SpaceSpec
from cimsearch.spec.statistics import unmatched
from cimsearch.spec.study import StudySpec

EXAMPLES = 5


def check_fit(document: Document, spec: StudySpec, space: SpaceSpec, hardware: Hardware) -> None:
    """Check that a study's parts fit each other: data, layers, genes, conditions, training.

    Raises:
        SpecError: They do not; all faults at once.
    """
    macro = hardware.macro
    errors = unmatched(document, spec.statistics.layers, space.layer_names)
    errors += without_effect(document, spec.rungs, macro, hardware.name)
    errors += _training_faults(document, spec, space, hardware)
    errors += _data_faults(document, spec, space)
    errors += _gene_faults(document, spec, space, hardware)
    errors += _end_faults(document, space, hardware)
    errors += openable_faults(document, spec, hardware)
    if errors:
        raise SpecError("\n".join(error.message for error in errors))


def _data_faults(document: Document, spec: StudySpec, space: SpaceSpec) -> list[SpecError]:
    """Return what the space does not take of the data."""
    errors = []
    if spec.data.shape != space.input_shape:
        errors.append(
            document.error(
                ("data", "shape"),
                f"found {list(spec.data.shape)}; the space takes {list(space.input_shape)}",
            )
        )
    if spec.data.classes != space.classes:
        errors.append(
            document.error(
                ("data", "classes"), f"found {spec.data.classes}; the space has {space.classes}"
            )
        )
    return errors


def _gene_faults(
    document: Document, spec: StudySpec, space: SpaceSpec, hardware: Hardware
) -> list[SpecError]:
    """Return the choices that the hardware does not have."""
    macro, errors = hardware.macro, []
    for field in get_args(ConfigurableField):
        wanted = getattr(space.genes, field)
        allowed = macro.choices(field)
        refused = [value for value in wanted if value not in allowed]
        if refused:
            loc = ("genes", field) if getattr(spec.genes, field) else ("hardware",)
            free = "may be" if field in macro.configurable else "is fixed at"
            errors.append(
                document.error(
                    loc,
                    f"found {field} {_listed(refused)}; on {hardware.name} {field} {free} "
                    f"{_listed(allowed)}",
                )
            )
    return errors


def _end_faults(document: Document, space: SpaceSpec, hardware: Hardware) -> list[SpecError]:
    """Return the bits of the first and last layers that the hardware does not have."""
    macro, errors = hardware.macro, []
    for end in ("first_layer", "classifier"):
        layer = getattr(space, end)
        limits = {
            "weight_bits": macro.choices("weight_bits"),
            "activation_bits": macro.choices("activation_bits"),
        }
        for field, choices in limits.items():
            largest = max(map(int, choices))
            if layer.placement == "cim" and layer.bits > largest:
                errors.append(
                    document.error(
                        ("space",),
                        f"{end} has {layer.bits} bits on the macro; on {hardware.name} "
                        f"{field} may be {largest} at most",
                    )
                )
    return errors


def _training_faults(
    document: Document, spec: StudySpec, space: SpaceSpec, hardware: Hardware
) -> list[SpecError]:
    """Return what of the recipe is of no layer, level or converter that there is."""
    recipe, names = spec.recipe, space.layer_names
    errors = [
        document.error(
            ("recipe", "noise", index, "layers"),
            f"found {entry.layers}; allowed is a pattern that matches a layer of the space, such "
            f"as {_listed(names[:EXAMPLES])}",
        )
        for index, entry in enumerate(recipe.noise)
        if not any(map(entry.of, names))
    ]
    if recipe.partial_sum_steps == "calibrated":
        return errors
    loc = ("recipe", "partial_sum_steps")
    for level in sorted({rung.train_level for rung in spec.rungs} - {"L1"}):
        found = f"found learned at train_level {level}"
        errors.append(document.error(loc, f"{found}; allowed is L1, which has them"))
    adc = hardware.macro.adc
    own = (adc.range_policy,) if adc else ("full_scale",)
    if "full_scale" in (space.genes.range_policy or own):
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
