"""What families have in common: the axes of a searched layer, and what existence depends on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cimsearch.space.axes import Axis
from cimsearch.space.conditions import Conditions, Unless, Value
from cimsearch.space.steps import NUMERIC_FIELDS, OF_ARRAYS
from cimsearch.spec.activation import ACTIVATION
from cimsearch.spec.channel_groups import GROUP_FIELDS
from cimsearch.spec.optional_genes import ROW_SPARSITY
from cimsearch.spec.space import LayerGenes, SpaceSpec

CONVOLUTION = (*NUMERIC_FIELDS, *GROUP_FIELDS, ROW_SPARSITY)
"""The axes of a convolution that reads all channels of its input."""

PRUNED = ("prune_ratio", *CONVOLUTION)
"""Those of one that has a prune ratio of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer is.

    Attributes:
        name: What its axes' names begin with.
        conditions: Whether it exists.
        left: The same of the layer to the left, or empty.
    """

    name: str
    conditions: Conditions = ()
    left: str = ""

    def axis(self, field: str, choices: tuple[Value, ...], also: Conditions = ()) -> Axis:
        """Return an axis of the layer; ``also`` is what else it depends on."""
        neighbour = f"{self.left}.{field}" if self.left else ""
        return Axis(f"{self.name}.{field}", choices, (*self.conditions, *also), neighbour)


def activation_axes(spec: SpaceSpec) -> Iterator[Axis]:
    """Yield the axis of a network's activations, where they are stated."""
    if spec.activation:
        yield Axis(ACTIVATION, spec.activation)


def deeper(spec: SpaceSpec, stage: int, position: int) -> Conditions:
    """Return the conditions of what exists where a stage's depth is more than ``position``."""
    shallow = tuple(depth for depth in spec.stages[stage].depth if depth <= position)
    return (Unless(f"stage{stage}.depth", shallow),) if shallow else ()


def unremoved(spec: SpaceSpec, place: tuple[int, int], last: str) -> Conditions:
    """Return the conditions of what goes with 0 bits for the layer ``last`` of block (s, b)."""
    return (Unless(f"{last}.weight_bits", (0,)),) if spec.removable(*place) else ()


def layer_axes(
    spec: SpaceSpec, fields: tuple[str, ...], place: Place, *, removable: bool = False
) -> Iterator[Axis]:
    """Yield the axes ``fields`` of a layer.

    Args:
        spec: The space.
        fields: Which ones; those without choices are left out.
        place: Where the layer is.
        removable: Whether its weight bits may be 0, where nothing else of it exists.
    """
    for field in fields:
        choices = getattr(spec.genes, field)
        removes = removable and field == "weight_bits"
        if field == "weight_bits" and not removable:
            choices = tuple(bits for bits in choices if bits)
        if choices:
            alive = (Unless(f"{place.name}.weight_bits", (0,)),) if removable else ()
            counts = group_conditions(spec.genes, fields, field, place.name)
            if removes:
                yield _removing_axis(spec, place.axis(field, choices), counts)
            else:
                yield place.axis(field, choices, (*alive, *counts))


def _removing_axis(spec: SpaceSpec, axis: Axis, counts: Conditions) -> Axis:
    """Return the axis of weight bits of which 0 removes the layer, and the others may not count.

    Args:
        spec: The space.
        axis: As it is without channel groups.
        counts: Where the others count.
    """
    if counts and set(spec.genes.high_share) <= set(counts[0].values):
        # No channel ever has them: one other choice than 0 says that the layer is there.
        there = next(bits for bits in axis.choices if bits)
        return replace(axis, choices=tuple(b for b in axis.choices if b in (0, there)))
    return replace(axis, matters=counts)


def group_conditions(
    genes: LayerGenes, fields: tuple[str, ...], field: str, layer: str
) -> Conditions:
    """Return where the axis ``field`` of a layer with channel groups counts.

    Args:
        genes: The choices of every layer.
        fields: Those that this layer has.
        field: One of them.
        layer: What the names of its axes begin with.
    """
    without = {"weight_bits": (1.0,), "high_bits": (0.0,)}.get(field)
    if without is None or not genes.high_share or "high_share" not in fields:
        return ()
    return (Unless(f"{layer}.high_share", without),)


def depthwise_axes(spec: SpaceSpec, place: Place) -> Iterator[Axis]:
    """Yield the axes of a depthwise convolution: window, execution and numerics."""
    yield place.axis("kernel", spec.kernels)
    yield place.axis("execution", spec.separable_blocks.depthwise)
    on_arrays = (*place.conditions, Unless(f"{place.name}.execution", ("digital",)))
    of_both = tuple(field for field in NUMERIC_FIELDS if field not in OF_ARRAYS)
    yield from layer_axes(spec, of_both, place)
    yield from layer_axes(spec, OF_ARRAYS, replace(place, conditions=on_arrays))
