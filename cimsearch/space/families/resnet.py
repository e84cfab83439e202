"""ResNet: stages of blocks of two convolutions around a shortcut.

Where a block changes the shape its shortcut is a 1 x 1 convolution, which runs at the bits of the
block's first. Weight bits of 0 for the second remove both; the shortcut stays.
"""

from collections.abc import Iterator

from cimsearch.space.axes import Axis
from cimsearch.space.families.layers import (
    CONVOLUTION,
    PRUNED,
    Place,
    activation_axes,
    deeper,
    layer_axes,
    unremoved,
)
from cimsearch.space.layout import Layout
from cimsearch.space.steps import Plan, Width
from cimsearch.spec.optional_genes import RESIDUAL
from cimsearch.spec.space import SpaceSpec


def resnet_axes(spec: SpaceSpec) -> tuple[Axis, ...]:
    """Return the axes: of the network, of each stage its channels and depth, of each block."""
    axes = [*activation_axes(spec)]
    for s, stage in enumerate(spec.stages):
        axes += [
            Axis(f"stage{s}.width", stage.width),
            Axis(f"stage{s}.depth", stage.depth),
            # Widths that meet in residual adds are one group, hence one ratio a stage.
            Axis(f"stage{s}.prune_ratio", spec.genes.prune_ratio),
        ]
        for b in range(max(stage.depth)):
            axes += _block_axes(spec, s, b)
    return tuple(axes)


def _block_axes(spec: SpaceSpec, s: int, b: int) -> Iterator[Axis]:
    block, left = f"stage{s}.block{b}", f"stage{s}.block{b - 1}" if b else ""
    there = deeper(spec, s, b)
    main = (*there, *unremoved(spec, (s, b), f"{block}.conv2"))
    yield Place(block, main, left).axis("kernel", spec.kernels)
    left_of = {part: f"{left}.{part}" if left else "" for part in ("conv1", "conv2", "add")}
    first = Place(f"{block}.conv1", main, left_of["conv1"])
    yield from layer_axes(spec, PRUNED[:1], first)
    if _changes_shape(s, b):
        # Its bits are the shortcut's too.
        first = Place(first.name, there, first.left)
    yield from layer_axes(spec, PRUNED[1:], first)
    second = Place(f"{block}.conv2", there, left_of["conv2"])
    removable = spec.removable(s, b)
    yield from layer_axes(spec, CONVOLUTION, second, removable=removable)
    yield from layer_axes(spec, (RESIDUAL,), Place(f"{block}.add", main, left_of["add"]))


def _changes_shape(s: int, b: int) -> bool:
    # Structure must not depend on the pruned widths: it is decided by stage, not by size.
    return b == 0 and s > 0


def resnet_plan(spec: SpaceSpec) -> Plan:
    """Return the plan."""
    layout = Layout.of(spec)
    width = Width("stage0.width", "stage0.prune_ratio")
    kernel = (spec.kernels[0],) * 2
    layout.conv("stem", width, spec.first_layer, group="stage0", kernel=kernel)
    layout.same("stem.norm", "batchnorm")
    layout.activation("stem")
    for s, stage in enumerate(spec.stages):
        for b in range(max(stage.depth)):
            with layout.only(deeper(spec, s, b)):
                _block(layout, spec, s, b)
    return layout.finish(spec.classes, spec.classifier)


def _block(layout: Layout, spec: SpaceSpec, s: int, b: int) -> None:
    """Append conv-norm-relu-conv-norm, the shortcut, the add and the activation."""
    stage, block = f"stage{s}", f"stage{s}.block{b}"
    first, second, kernel = f"{block}.conv1", f"{block}.conv2", f"{block}.kernel"
    inner = Width(f"{stage}.width", f"{first}.prune_ratio")
    width = Width(f"{stage}.width", f"{stage}.prune_ratio")
    stride = (2, 2) if spec.stages[s].downsample and b == 0 else (1, 1)
    entry, entry_size = layout.last, layout.size
    main = unremoved(spec, (s, b), second)
    with layout.only(main):
        layout.conv(first, inner, first, group=first, kernel=kernel, stride=stride)
        layout.same(f"{first}.norm", "batchnorm")
        layout.activation(first)
        layout.conv(second, width, second, group=stage, kernel=kernel)
        layout.same(f"{second}.norm", "batchnorm")
    if not _changes_shape(s, b):
        with layout.only(main):
            layout.same(f"{block}.add", "add", other=entry)
        layout.activation(block, needed=main)
        return
    end = layout.last
    layout.last, layout.size = entry, entry_size
    layout.conv(f"{block}.shortcut", width, first, group=stage, stride=stride)
    layout.same(f"{block}.shortcut.norm", "batchnorm")
    shortcut, layout.last = layout.last, end
    with layout.only(main):
        layout.same(f"{block}.add", "add", other=shortcut, bypass=1)
    layout.activation(block)
