"""A network with other widths: what pruning and morphing make of one."""

from collections.abc import Mapping
from dataclasses import replace
from math import lcm
from types import MappingProxyType

from cimsearch.blueprint import NETWORK_INPUT, Blueprint, parent_names
from cimsearch.errors import SpaceError
from cimsearch.space.steps import high_channels

Shares = Mapping[str, float]
"""The share of channels with more bits, by the name of the first part of a layer in parts."""

AS_THEY_ARE: Shares = MappingProxyType({})
"""No share is asked: each is that of the channels there are."""


def depthwise(blueprint: Blueprint) -> frozenset[str]:
    """Return the names of the convolutions with a group for each channel, of one output each.

    Their outputs are in the prune group of their inputs, as a channel goes with its filter; a
    convolution of stated groups has a group of its own.
    """
    read = groups_read(blueprint)
    return frozenset(
        node.name
        for node in blueprint.nodes
        if node.op == "conv"
        and node.groups == node.in_shape[0] == node.out_shape[0]
        and node.prune_group == read[node.name]
    )


def widths_of(blueprint: Blueprint) -> dict[str, int]:
    """Return how many channels each prune group has, in order of execution."""
    return {node.prune_group: node.out_shape[0] for node in blueprint.nodes if node.prune_group}


def multiples_of(blueprint: Blueprint) -> dict[str, int]:
    """Return what the channels of each prune group have to be a multiple of.

    A convolution of g groups needs g equal parts of its inputs and of its outputs; a depthwise one
    has as many groups as there are channels, and needs nothing.
    """
    multiples = dict.fromkeys(widths_of(blueprint), 1)
    read, free = groups_read(blueprint), depthwise(blueprint)
    for node in blueprint.nodes:
        if node.op == "conv" and node.groups > 1 and node.name not in free:
            for group in {read[node.name], node.prune_group} - {""}:
                multiples[group] = lcm(multiples[group], node.groups)
    return multiples


def groups_read(blueprint: Blueprint) -> dict[str, str]:
    """Return the prune group of the channels that each node reads; empty if there is none."""
    read, of = {}, {NETWORK_INPUT: ""}
    for node in blueprint.nodes:
        read[node.name] = of[node.inputs[0]]
        own = node.has_weights or node.op == "concat"
        of[node.name] = node.prune_group if own else read[node.name]
    return read


def with_widths(
    blueprint: Blueprint, widths: Mapping[str, int], shares: Shares = AS_THEY_ARE
) -> Blueprint:
    """Return the network with other numbers of channels, and otherwise the same.

    Of a layer in parts the part of more bits has its share, rounded by ``high_channels``.

    Args:
        blueprint: What to change.
        widths: Output channels by prune group; groups that are left out stay as they are.
        shares: What was asked of layers in parts. Of one that is left out it is the share of
            channels that it has, which was rounded before.

    Raises:
        SpaceError: There is no such group, it would have no channels, it cannot be cut into the
            groups of a convolution or into the parts of a layer.
    """
    _check(blueprint, widths)
    free, of_parts = depthwise(blueprint), _widths_of_parts(blueprint, widths, shares)
    channels = {NETWORK_INPUT: blueprint.input_shape[0]}
    nodes = []
    for node in blueprint.nodes:
        given = channels[node.inputs[0]]
        if node.has_weights or node.op == "concat":
            out = of_parts.get(node.name, widths.get(node.prune_group, node.out_shape[0]))
        elif node.op == "flatten":
            out = given * node.in_shape[1] * node.in_shape[2]
        else:
            out = given
        channels[node.name] = out
        nodes.append(
            replace(
                node,
                in_shape=(given, *node.in_shape[1:]),
                out_shape=(out, *node.out_shape[1:]),
                groups=out if node.name in free else node.groups,
            )
        )
    return replace(blueprint, nodes=tuple(nodes))


def _widths_of_parts(
    blueprint: Blueprint, widths: Mapping[str, int], shares: Shares
) -> dict[str, int]:
    """Return the output channels of the parts of layers, by the name of the part."""
    found = {}
    for node in blueprint.nodes:
        if node.op == "concat":
            low, high = node.inputs
            out = widths.get(node.prune_group, node.out_shape[0])
            own = blueprint.node(high).out_shape[0] / node.out_shape[0]
            found[high] = high_channels(out, shares.get(low, own))
            found[low] = out - found[high]
    return found


def least_widths(blueprint: Blueprint) -> dict[str, int]:
    """Return the fewest channels that each prune group may have: one in each part of a layer."""
    least = multiples_of(blueprint)
    for node in blueprint.nodes:
        if node.op == "concat" and node.prune_group:
            unit = least[node.prune_group]
            least[node.prune_group] = unit * -(-len(node.inputs) // unit)
    return least


def with_whole_layers(blueprint: Blueprint) -> Blueprint:
    """Return the float network of the same layers, those in parts put together again."""
    names = parent_names(blueprint)
    joins = {node.inputs[0]: node for node in blueprint.nodes if node.op == "concat"}
    nodes = []
    for node in blueprint.nodes:
        if names[node.name] != node.name:
            continue
        made = replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))
        if join := joins.get(node.name):
            made = replace(made, out_shape=join.out_shape, prune_group=join.prune_group)
        if node.has_weights:
            made = replace(made, placement="digital", w_bits=0, x_bits=0, adc_bits=0)
            made = replace(made, encoding="", range_policy="", row_sparsity=0.0)
        elif node.x_bits:
            made = replace(made, x_bits=0, x_signed=False)
        nodes.append(made)
    return replace(blueprint, nodes=tuple(nodes))


def check_whole(blueprint: Blueprint) -> None:
    """Check that no layer is in parts, where widths have to decide all there is.

    Raises:
        SpaceError: One is.
    """
    for node in blueprint.nodes:
        if node.op == "concat":
            raise SpaceError(
                f"{node.inputs[0]}: found groups of channels with different weight bits; allowed "
                "is a layer of one weight_bits",
                "leave high_share out",
            )


def _check(blueprint: Blueprint, widths: Mapping[str, int]) -> None:
    multiples, least = multiples_of(blueprint), least_widths(blueprint)
    for group, width in widths.items():
        if group not in multiples:
            known = ", ".join(multiples) or "none"
            raise SpaceError(f"prune group {group!r}: there is none of that name; known: {known}")
        if width < 1 or width % multiples[group]:
            raise SpaceError(
                f"prune group {group}: found {width} channels; allowed is a multiple of "
                f"{multiples[group]}"
            )
        if width < least[group]:
            raise SpaceError(
                f"prune group {group}: found {width} channel of a layer in parts of different "
                f"bits; allowed are {least[group]} or more"
            )
