"""Families of networks: the axes they can be searched along, and pure functions to a blueprint.

A family reads its choices from a mapping of axis names to values. Layers carry the kept widths:
what is priced is what is built. With ``parent=True`` the same layout comes out with nothing
pruned and no bits: the float parent that a candidate's weights are taken from.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cimsearch.blueprint import Blueprint
from cimsearch.space.layout import FLOAT, Layout, Numerics, kept
from cimsearch.spec.space import SpaceSpec

Value = int | float | str
Values = Mapping[str, Value]

NUMERIC_AXES = ("weight_bits", "activation_bits", "adc_bits", "encoding", "range_policy")
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
    """A family: its axes and how a blueprint is made of their values."""

    axes: Callable[[SpaceSpec], tuple[Axis, ...]]
    build: Callable[[SpaceSpec, Values, bool], Blueprint]


def _layer_axes(spec: SpaceSpec, fields: tuple[str, ...], place: Axis) -> Iterator[Axis]:
    """Yield the axes ``fields`` of the layer at ``place`` (its name, depth and neighbour)."""
    for field in fields:
        choices = getattr(spec.genes, field)
        if choices:
            neighbour = f"{place.neighbour}.{field}" if place.neighbour else ""
            yield Axis(f"{place.name}.{field}", choices, place.depth, place.position, neighbour)


def _numerics(values: Values, layer: str, *, parent: bool) -> Numerics:
    """Return the numerics of a searched layer, which runs on the macro."""
    if parent:
        return FLOAT
    return Numerics(
        "cim",
        w_bits=int(values[f"{layer}.weight_bits"]),
        x_bits=int(values[f"{layer}.activation_bits"]),
        adc_bits=int(values.get(f"{layer}.adc_bits", 0)),
        encoding=str(values.get(f"{layer}.encoding", "")),
        range_policy=str(values.get(f"{layer}.range_policy", "")),
    )


def _kept(values: Values, stage: int, ratio_axis: str, *, parent: bool) -> int:
    width = int(values[f"stage{stage}.width"])
    return width if parent else kept(width, float(values[ratio_axis]))


def _vgg_axes(spec: SpaceSpec) -> tuple[Axis, ...]:
    axes: list[Axis] = []
    for s, stage in enumerate(spec.stages):
        depth = f"stage{s}.depth"
        axes += [Axis(f"stage{s}.width", stage.width), Axis(depth, stage.depth)]
        for i in range(max(stage.depth)):
            # The very first layer has stated bits, so only its width is searched.
            fields = ("prune_ratio",) if s == i == 0 else ("prune_ratio", *NUMERIC_AXES)
            searched_left = i > (1 if s == 0 else 0)
            left = f"stage{s}.layer{i - 1}" if searched_left else ""
            axes += _layer_axes(spec, fields, Axis(f"stage{s}.layer{i}", (), depth, i, left))
    return tuple(axes)


def _vgg_build(spec: SpaceSpec, values: Values, parent: bool) -> Blueprint:
    layout = Layout(spec.input_shape)
    for s, stage in enumerate(spec.stages):
        for i in range(int(values[f"stage{s}.depth"])):
            layer = f"stage{s}.layer{i}"
            width = _kept(values, s, f"{layer}.prune_ratio", parent=parent)
            numerics = _numerics_or_end(spec, values, layer, parent=parent, first=s == i == 0)
            layout.conv(layer, width, numerics, group=layer, kernel=spec.kernel)
            layout.same(f"{layer}.norm", "batchnorm")
            layout.same(f"{layer}.relu", "relu")
        if stage.downsample:
            layout.max_pool(f"stage{s}.pool")
    return _headed(layout, spec, parent=parent)


def _numerics_or_end(
    spec: SpaceSpec, values: Values, layer: str, *, parent: bool, first: bool
) -> Numerics:
    if first:
        return FLOAT if parent else Numerics.of_end(spec.first_layer)
    return _numerics(values, layer, parent=parent)


def _headed(layout: Layout, spec: SpaceSpec, *, parent: bool) -> Blueprint:
    layout.head(spec.classes, FLOAT if parent else Numerics.of_end(spec.classifier))
    return layout.blueprint(spec.classes)


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
                ("conv1", ("prune_ratio", *NUMERIC_AXES)),
                ("conv2", NUMERIC_AXES),
            ):
                left = f"stage{s}.block{b - 1}.{conv}" if b else ""
                place = Axis(f"stage{s}.block{b}.{conv}", (), depth, b, left)
                axes += _layer_axes(spec, fields, place)
    return tuple(axes)


def _resnet_build(spec: SpaceSpec, values: Values, parent: bool) -> Blueprint:
    layout = Layout(spec.input_shape)
    stem = FLOAT if parent else Numerics.of_end(spec.first_layer)
    width = _kept(values, 0, "stage0.prune_ratio", parent=parent)
    layout.conv("stem", width, stem, group="stage0", kernel=spec.kernel)
    layout.same("stem.norm", "batchnorm")
    layout.same("stem.relu", "relu")
    for s, stage in enumerate(spec.stages):
        width = _kept(values, s, f"stage{s}.prune_ratio", parent=parent)
        for b in range(int(values[f"stage{s}.depth"])):
            stride = 2 if stage.downsample and b == 0 else 1
            _residual_block(layout, spec, values, (s, b), (width, stride), parent=parent)
    return _headed(layout, spec, parent=parent)


def _residual_block(
    layout: Layout,
    spec: SpaceSpec,
    values: Values,
    place: tuple[int, int],
    shape: tuple[int, int],
    *,
    parent: bool,
) -> None:
    """Append conv-norm-relu-conv-norm, the shortcut, the add and the activation."""
    (s, b), (width, stride) = place, shape
    block = f"stage{s}.block{b}"
    inner = _kept(values, s, f"{block}.conv1.prune_ratio", parent=parent)
    first = _numerics(values, f"{block}.conv1", parent=parent)
    second = _numerics(values, f"{block}.conv2", parent=parent)
    entry, entry_shape = layout.last, layout.shape
    layout.conv(
        f"{block}.conv1", inner, first, group=f"{block}.conv1", kernel=spec.kernel, stride=stride
    )
    layout.same(f"{block}.conv1.norm", "batchnorm")
    layout.same(f"{block}.conv1.relu", "relu")
    layout.conv(f"{block}.conv2", width, second, group=f"stage{s}", kernel=spec.kernel)
    layout.same(f"{block}.conv2.norm", "batchnorm")
    main, shortcut = layout.last, entry
    # Structure must not depend on the pruned widths: the parent decides by stage, not by size.
    if b == 0 and s > 0:
        layout.last, layout.shape = entry, entry_shape
        layout.conv(f"{block}.shortcut", width, first, group=f"stage{s}", kernel=1, stride=stride)
        layout.same(f"{block}.shortcut.norm", "batchnorm")
        shortcut = layout.last
    layout.last = main
    layout.same(f"{block}.add", "add", other=shortcut)
    layout.same(f"{block}.relu", "relu")


FAMILIES: dict[str, Family] = {
    "vgg": Family(_vgg_axes, _vgg_build),
    "resnet": Family(_resnet_axes, _resnet_build),
}
