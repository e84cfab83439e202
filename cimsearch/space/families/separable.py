"""Separable convolutions (MobileNetV1, DS-CNN): depthwise, then 1 x 1, each with activation."""

from collections.abc import Iterator

from cimsearch.space.axes import Axis
from cimsearch.space.families.layers import (
    PRUNED,
    Place,
    activation_axes,
    deeper,
    depthwise_axes,
    layer_axes,
)
from cimsearch.space.layout import Layout
from cimsearch.space.steps import Plan, Width
from cimsearch.spec.space import SpaceSpec


def separable_axes(spec: SpaceSpec) -> tuple[Axis, ...]:
    """Return the axes: of the network, of the stem, of each stage, of each block."""
    axes = [*stem_axes(spec)]
    for s, stage in enumerate(spec.stages):
        axes += [Axis(f"stage{s}.width", stage.width), Axis(f"stage{s}.depth", stage.depth)]
        for b in range(max(stage.depth)):
            block, left = f"stage{s}.block{b}", f"stage{s}.block{b - 1}" if b else ""
            first, second = (
                Place(f"{block}.{x}", deeper(spec, s, b), f"{left}.{x}" if left else "")
                for x in ("depthwise", "pointwise")
            )
            axes += [*depthwise_axes(spec, first), *layer_axes(spec, PRUNED, second)]
    return tuple(axes)


def separable_plan(spec: SpaceSpec) -> Plan:
    """Return the plan."""
    layout = Layout.of(spec)
    append_stem(layout, spec)
    for s, stage in enumerate(spec.stages):
        for b in range(max(stage.depth)):
            stride = (2, 2) if stage.downsample and b == 0 else (1, 1)
            depthwise, pointwise = (f"stage{s}.block{b}.{x}" for x in ("depthwise", "pointwise"))
            width = width_of(spec, f"stage{s}.width", f"{pointwise}.prune_ratio")
            with layout.only(deeper(spec, s, b)):
                layout.depthwise(depthwise, stride=stride)
                append_activation(layout, depthwise)
                layout.conv(pointwise, width, pointwise, group=pointwise)
                append_activation(layout, pointwise)
    return layout.finish(spec.classes, spec.classifier)


def stem_axes(spec: SpaceSpec) -> Iterator[Axis]:
    """Yield the axes of the whole network and of its first convolution, whose bits are stated."""
    yield from activation_axes(spec)
    if spec.separable_blocks.width_multiplier:
        yield Axis("width_multiplier", spec.separable_blocks.width_multiplier)
    yield Axis("stem.width", spec.separable_blocks.stem.width)
    yield Axis("stem.prune_ratio", spec.genes.prune_ratio)


def append_stem(layout: Layout, spec: SpaceSpec) -> None:
    """Append the first convolution."""
    stem, width = spec.separable_blocks.stem, width_of(spec, "stem.width", "stem.prune_ratio")
    layout.conv(
        "stem", width, spec.first_layer, group="stem", kernel=stem.kernel, stride=stem.stride
    )
    append_activation(layout, "stem")


def append_activation(layout: Layout, layer: str) -> None:
    """Append batch norm and activation."""
    layout.same(f"{layer}.norm", "batchnorm")
    layout.activation(layer)


def width_of(spec: SpaceSpec, full: str, ratio: str, expansion: str = "") -> Width:
    """Return the width of the axes given, scaled as the space has it."""
    multiplier = "width_multiplier" if spec.separable_blocks.width_multiplier else ""
    return Width(full, ratio, multiplier, expansion, spec.separable_blocks.unit)
