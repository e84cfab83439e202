"""Inverted residuals (MobileNetV2): a block expands, filters each channel, projects linearly.

The first block of a stage changes the shape; the others add their input. Weight bits of 0 for the
projection of one of these remove all of it. At an expansion of 1 nothing expands: the depthwise
convolution reads the block's input.
"""

from collections.abc import Iterator

from cimsearch.space.axes import Axis
from cimsearch.space.conditions import Conditions, Unless
from cimsearch.space.families.layers import (
    CONVOLUTION,
    PRUNED,
    Place,
    deeper,
    depthwise_axes,
    layer_axes,
    unremoved,
)
from cimsearch.space.families.separable import (
    append_activation,
    append_stem,
    stem_axes,
    width_of,
)
from cimsearch.space.layout import Layout
from cimsearch.space.steps import Plan
from cimsearch.spec.optional_genes import RESIDUAL
from cimsearch.spec.space import SpaceSpec


def inverted_axes(spec: SpaceSpec) -> tuple[Axis, ...]:
    """Return the axes: of the network, of the stem, of each stage, of each block, of the head."""
    axes = [*stem_axes(spec)]
    for s, stage in enumerate(spec.stages):
        axes += [
            Axis(f"stage{s}.width", stage.width),
            Axis(f"stage{s}.depth", stage.depth),
            # Widths that meet in residual adds are one group, hence one ratio a stage.
            Axis(f"stage{s}.prune_ratio", spec.genes.prune_ratio),
            Axis(f"stage{s}.expansion", spec.separable_blocks.expansion),
        ]
        for b in range(max(stage.depth)):
            axes += _block_axes(spec, s, b)
    if spec.separable_blocks.head:
        axes.append(Axis("head.width", spec.separable_blocks.head))
        axes += layer_axes(spec, PRUNED, Place("head"))
    return tuple(axes)


def _block_axes(spec: SpaceSpec, s: int, b: int) -> Iterator[Axis]:
    block = f"stage{s}.block{b}"
    left = {x: f"stage{s}.block{b - 1}.{x}" if b else "" for x in (*_LAYERS, "add")}
    there = deeper(spec, s, b)
    main = (*there, *unremoved(spec, (s, b), f"{block}.project"))
    if expands := _expands(spec, s):
        place = Place(f"{block}.expand", (*main, *expands), left["expand"])
        yield from layer_axes(spec, PRUNED, place)
    yield from depthwise_axes(spec, Place(f"{block}.depthwise", main, left["depthwise"]))
    place, removable = Place(f"{block}.project", there, left["project"]), spec.removable(s, b)
    yield from layer_axes(spec, CONVOLUTION, place, removable=removable)
    if b:
        yield from layer_axes(spec, (RESIDUAL,), Place(f"{block}.add", main, left["add"]))


_LAYERS = ("expand", "depthwise", "project")


def _expands(spec: SpaceSpec, s: int) -> Conditions:
    """Return the conditions of what expands in a stage; none if nothing ever does."""
    return (
        (Unless(f"stage{s}.expansion", (1,)),) if max(spec.separable_blocks.expansion) > 1 else ()
    )


def inverted_plan(spec: SpaceSpec) -> Plan:
    """Return the plan."""
    layout, before = Layout.of(spec), "stem"
    append_stem(layout, spec)
    for s, stage in enumerate(spec.stages):
        for b in range(max(stage.depth)):
            with layout.only((*deeper(spec, s, b), *_unremoved(spec, s, b))):
                _block(layout, spec, (s, b), before)
            before = f"stage{s}"
    if spec.separable_blocks.head:
        width = width_of(spec, "head.width", "head.prune_ratio")
        layout.conv("head", width, "head", group="head")
        append_activation(layout, "head")
    return layout.finish(spec.classes, spec.classifier)


def _unremoved(spec: SpaceSpec, s: int, b: int) -> Conditions:
    return unremoved(spec, (s, b), f"stage{s}.block{b}.project")


def _block(layout: Layout, spec: SpaceSpec, place: tuple[int, int], before: str) -> None:
    """Append a block; ``before`` is whose width its input has."""
    s, b = place
    stage, block, entry = f"stage{s}", f"stage{s}.block{b}", layout.last
    expand, depthwise, project = (f"{block}.{x}" for x in _LAYERS)
    if expands := _expands(spec, s):
        inner = width_of(spec, f"{before}.width", f"{expand}.prune_ratio", f"{stage}.expansion")
        with layout.only(expands):
            layout.conv(expand, inner, expand, group=expand)
            append_activation(layout, expand)
    layout.depthwise(depthwise, stride=(2, 2) if spec.stages[s].downsample and b == 0 else (1, 1))
    append_activation(layout, depthwise)
    width = width_of(spec, f"{stage}.width", f"{stage}.prune_ratio")
    layout.conv(project, width, project, group=stage)
    layout.same(f"{project}.norm", "batchnorm")
    if b:
        layout.same(f"{block}.add", "add", other=entry)
