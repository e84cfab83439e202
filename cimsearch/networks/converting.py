"""Which activations of a network the converters of a macro compute."""

from cimsearch.blueprint import Blueprint, Node, behind_layers
from cimsearch.cim import numerics_of
from cimsearch.cim.geometry import Geometry
from cimsearch.cost.converting import activation_of
from cimsearch.cost.layer_integers import input_planes, weight_slices
from cimsearch.spec.hardware import ConfigurableField, Macro


def by_converters(blueprint: Blueprint, macro: Macro | None) -> dict[str, tuple[Node, ...]]:
    """Return, by activation, the layer whose converters compute it, and a batch norm between.

    They are those that the cost model leaves out of the digital unit.

    Raises:
        HardwareError: A layer asks of the macro what it cannot do.
    """
    if macro is None or macro.adc is None or not macro.adc.activation:
        return {}
    return {
        name: before
        for name, before in behind_layers(blueprint).items()
        if activation_of(blueprint.node(name)) in macro.adc.activation
        and _makes_whole_sums(before[0], macro)
    }


def _makes_whole_sums(node: Node, macro: Macro) -> bool:
    """Return whether one conversion of a column's range makes the whole sum of an output."""
    numerics = numerics_of(node, macro)
    if numerics is None or not numerics.analog or numerics.range_policy != "column":
        return False
    weight_bits = _setting(macro, "weight_bits", numerics.w_bits)
    planes = input_planes(_setting(macro, "activation_bits", numerics.x_bits), numerics.dac_bits)
    slices = weight_slices(weight_bits, numerics.cell_bits, numerics.encoding)
    once = planes == slices == len(Geometry.of(node, numerics).row_groups) == 1
    return once and numerics.encoding == "differential"


def _setting(macro: Macro, field: ConfigurableField, bits: int) -> int:
    """Return the bits of the macro that so many are stored or applied in; themselves if none."""
    return min((k for k in map(int, macro.choices(field)) if k >= bits), default=bits)
