"""VGG: stages of convolutions, each with batch norm and activation, and pooling between them."""

from cimsearch.space.axes import Axis
from cimsearch.space.families.layers import PRUNED, Place, activation_axes, deeper, layer_axes
from cimsearch.space.layout import Layout
from cimsearch.space.steps import Plan, Width
from cimsearch.spec.space import SpaceSpec


def vgg_axes(spec: SpaceSpec) -> tuple[Axis, ...]:
    """Return the axes: of the network, of each stage its width and depth, of each layer."""
    axes = [*activation_axes(spec)]
    for s, stage in enumerate(spec.stages):
        axes += [Axis(f"stage{s}.width", stage.width), Axis(f"stage{s}.depth", stage.depth)]
        for i in range(max(stage.depth)):
            searched_left = i > (1 if s == 0 else 0)
            left = f"stage{s}.layer{i - 1}" if searched_left else ""
            place = Place(f"stage{s}.layer{i}", deeper(spec, s, i), left)
            if s == i == 0:
                # The very first layer has stated bits, so only its width is searched.
                axes += layer_axes(spec, ("prune_ratio",), place)
            else:
                axes += [place.axis("kernel", spec.kernels), *layer_axes(spec, PRUNED, place)]
    return tuple(axes)


def vgg_plan(spec: SpaceSpec) -> Plan:
    """Return the plan."""
    layout = Layout.of(spec)
    for s, stage in enumerate(spec.stages):
        for i in range(max(stage.depth)):
            layer, first = f"stage{s}.layer{i}", s == i == 0
            width = Width(f"stage{s}.width", f"{layer}.prune_ratio")
            numerics = spec.first_layer if first else layer
            kernel = (spec.kernels[0],) * 2 if first else f"{layer}.kernel"
            with layout.only(deeper(spec, s, i)):
                layout.conv(layer, width, numerics, group=layer, kernel=kernel)
                layout.same(f"{layer}.norm", "batchnorm")
                layout.activation(layer)
        if stage.downsample:
            layout.max_pool(f"stage{s}.pool")
    return layout.finish(spec.classes, spec.classifier)
