"""Families of networks: the axes they can be searched along, and the plan of their layers.

A plan is laid out without any values: it names the axes that decide a layer's width, bits and
existence. ``cimsearch.space.realise`` puts values in, for one network or for many.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cimsearch.space.layout import NUMERIC_FIELDS, Layout, Plan, Width
from cimsearch.space.realise import Value
from cimsearch.spec.space import SpaceSpec

UNORDERED = ("encoding", "range_policy")


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that can be chosen, also where there is only one choice (then it is no gene).

    Attributes:
        name: Such as ``stage1.layer0.weight_bits``.
        choices: What it may be.
        depth: The axis that decides whether this one exists in a network, or empty: always.
        position: It exists when the value of ``depth`` is greater than this.
        neighbour: The same axis one layer to the left, or empty.
    """

    name: str
    choices: tuple[Value, ...]
    depth: str = ""
    position: int = 0
    neighbour: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """A family: its axes and the plan of its layers."""

    axes: Callable[[SpaceSpec], tuple[Axis, ...]]
    plan: Callable[[SpaceSpec], Plan]


def _layer_axes(spec: SpaceSpec, fields: tuple[str, ...], place: Axis) -> Iterator[Axis]:
    """Yield the axes ``fields`` of the layer at ``place`` (its name, depth and neighbour)."""
    for field in fields:
        choices = getattr(spec.genes, field)
        if choices:
            neighbour = f"{place.neighbour}.{field}" if place.neighbour else ""
            yield Axis(f"{place.name}.{field}", choices, place.depth, place.position, neighbour)


def _vgg_axes(spec: SpaceSpec) -> tuple[Axis, ...]:
    axes: list[Axis] = []
    for s, stage in enumerate(spec.stages):
        depth = f"stage{s}.depth"
        axes += [Axis(f"stage{s}.width", stage.width), Axis(depth, stage.depth)]
        for i in range(max(stage.depth)):
            # The very first layer has stated bits, so only its width is searched.
            fields = ("prune_ratio",) if s == i == 0 else ("prune_ratio", *NUMERIC_FIELDS)
            searched_left = i > (1 if s == 0 else 0)
            left = f"stage{s}.layer{i - 1}" if searched_left else ""
            axes += _layer_axes(spec, fields, Axis(f"stage{s}.layer{i}", (), depth, i, left))
    return tuple(axes)


def _vgg_plan(spec: SpaceSpec) -> Plan:
    layout = Layout(spec.input_shape)
    for s, stage in enumerate(spec.stages):
        for i in range(max(stage.depth)):
            layer = f"stage{s}.layer{i}"
            width = Width(f"stage{s}.width", f"{layer}.prune_ratio")
            numerics = spec.first_layer if s == i == 0 else layer
            with layout.deeper_than(f"stage{s}.depth", i):
                layout.conv(layer, width, numerics, group=layer, kernel=spec.kernel)
                layout.same(f"{layer}.norm", "batchnorm")
                layout.same(f"{layer}.relu", "relu")
        if stage.downsample:
            layout.max_pool(f"stage{s}.pool")
    return layout.finish(spec.classes, spec.classifier)


def _resnet_axes(spec: SpaceSpec) -> tuple[Axis, ...]:
    axes: list[Axis] = []
    for s, stage in enumerate(spec.stages):
        depth = f"stage{s}.depth"
        axes += [
            Axis(f"stage{s}.width", stage.width),
            Axis(depth, stage.depth),
            # Widths that meet in residual adds are one group, hence one ratio a stage.
            Axis(f"stage{s}.prune_ratio", spec.genes.prune_ratio),
        ]
        for b in range(max(stage.depth)):
            for conv, fields in (
                ("conv1", ("prune_ratio", *NUMERIC_FIELDS)),
                ("conv2", tuple(NUMERIC_FIELDS)),
            ):
                left = f"stage{s}.block{b - 1}.{conv}" if b else ""
                place = Axis(f"stage{s}.block{b}.{conv}", (), depth, b, left)
                axes += _layer_axes(spec, fields, place)
    return tuple(axes)


def _resnet_plan(spec: SpaceSpec) -> Plan:
    layout = Layout(spec.input_shape)
    width = Width("stage0.width", "stage0.prune_ratio")
    layout.conv("stem", width, spec.first_layer, group="stage0", kernel=spec.kernel)
    layout.same("stem.norm", "batchnorm")
    layout.same("stem.relu", "relu")
    for s, stage in enumerate(spec.stages):
        for b in range(max(stage.depth)):
            stride = 2 if stage.downsample and b == 0 else 1
            with layout.deeper_than(f"stage{s}.depth", b):
                _residual_block(layout, spec.kernel, (s, b), stride)
    return layout.finish(spec.classes, spec.classifier)


def _residual_block(layout: Layout, kernel: int, place: tuple[int, int], stride: int) -> None:
    """Append conv-norm-relu-conv-norm, the shortcut, the add and the activation."""
    s, b = place
    stage, block = f"stage{s}", f"stage{s}.block{b}"
    first, second = f"{block}.conv1", f"{block}.conv2"
    inner = Width(f"{stage}.width", f"{first}.prune_ratio")
    width = Width(f"{stage}.width", f"{stage}.prune_ratio")
    entry, entry_size = layout.last, layout.size
    layout.conv(first, inner, first, group=first, kernel=kernel, stride=stride)
    layout.same(f"{first}.norm", "batchnorm")
    layout.same(f"{first}.relu", "relu")
    layout.conv(second, width, second, group=stage, kernel=kernel)
    layout.same(f"{second}.norm", "batchnorm")
    main, shortcut = layout.last, entry
    # Structure must not depend on the pruned widths: it is decided by stage, not by size.
    if b == 0 and s > 0:
        layout.last, layout.size = entry, entry_size
        layout.conv(f"{block}.shortcut", width, first, group=stage, kernel=1, stride=stride)
        layout.same(f"{block}.shortcut.norm", "batchnorm")
        shortcut = layout.last
    layout.last = main
    layout.same(f"{block}.add", "add", other=shortcut)
    layout.same(f"{block}.relu", "relu")


FAMILIES: dict[str, Family] = {
    "vgg": Family(_vgg_axes, _vgg_plan),
    "resnet": Family(_resnet_axes, _resnet_plan),
}
