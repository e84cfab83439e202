"""The family of one network: the bits of its layers and the widths of its prune groups vary."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from cimsearch.blueprint import Blueprint, Node, behind_layers
from cimsearch.space.axes import Axis
from cimsearch.space.conditions import Conditions, Unless
from cimsearch.space.families.layers import CONVOLUTION, group_conditions
from cimsearch.space.steps import (
    NUMERIC_FIELDS,
    OF_ARRAYS,
    Plan,
    Step,
    Width,
    in_parts,
    kept,
)
from cimsearch.space.widths import check_whole, depthwise, multiples_of, widths_of
from cimsearch.spec.network import NetworkSpec
from cimsearch.spec.node import INPUT, NodeOp, NodeSpec
from cimsearch.spec.optional_genes import RESIDUAL, ROW_SPARSITY
from cimsearch.spec.space import LayerGenes


def network_axes(spec: NetworkSpec) -> tuple[Axis, ...]:
    """Return the axes: a prune ratio of each prune group, those of searched layers, additions."""
    template = _template(spec)
    widths, multiples, free = widths_of(template), multiples_of(template), depthwise(template)
    axes: dict[str, Axis] = {}
    for node in template.nodes:
        group = node.prune_group
        if group:
            full, ratio = f"{group}.width", f"{group}.prune_ratio"
            axes[full] = Axis(full, (widths[group],))
            axes[ratio] = Axis(
                ratio, _distinct(spec.genes.prune_ratio, widths[group], multiples[group])
            )
        if node.placement == "cim":
            layer = _layer_axes(spec, node, depthwise=node.name in free)
            axes |= {axis.name: axis for axis in layer}
        if node.op == "add" and spec.genes.residual_bits:
            kept = f"{node.name}.{RESIDUAL}"
            axes[kept] = Axis(kept, spec.genes.residual_bits)
    return tuple(axes.values())


def _layer_axes(spec: NetworkSpec, node: Node, *, depthwise: bool) -> Iterator[Axis]:
    """Yield the axes of a searched layer: how a depthwise one is executed, and its numerics."""
    execution = f"{node.name}.execution"
    on_arrays: Conditions = ()
    if depthwise:
        yield Axis(execution, spec.depthwise)
        on_arrays = (Unless(execution, ("digital",)),)
    searched = tuple(NUMERIC_FIELDS) if depthwise else (*NUMERIC_FIELDS, ROW_SPARSITY)
    searched = CONVOLUTION if _in_groups(spec, node) else searched
    for field in searched:
        if choices := getattr(spec.genes, field):
            counts = group_conditions(spec.genes, searched, field, node.name)
            there = on_arrays if field in OF_ARRAYS else counts
            yield Axis(f"{node.name}.{field}", choices, there)


def _distinct(ratios: Sequence[float], width: int, unit: int) -> tuple[float, ...]:
    """Return the prune ratios of which each leaves another number of channels."""
    found: dict[int, float] = {}
    for ratio in ratios:
        found.setdefault(kept(width, ratio, unit), ratio)
    return tuple(found.values())


def _in_groups(spec: NetworkSpec, node: Node) -> bool:
    """Return whether groups of a layer's channels may have weights of different bits."""
    searched = node.op == "conv" and node.placement == "cim"
    return bool(spec.genes.high_share and searched and node.groups == 1 and node.prune_group)


def network_plan(spec: NetworkSpec) -> Plan:
    """Return the plan: the nodes as they are, but for widths and bits."""
    template = _template(spec)
    units, free, behind = multiples_of(template), depthwise(template), behind_layers(template)

    def steps(node: Node) -> tuple[Step, ...]:
        layer, group = node.name if node.placement == "cim" else "", node.prune_group
        if node.name in free or not group:
            alone = node.name in free
            execution = f"{layer}.execution" if alone and layer else ""
            follows = node.name in behind
            return (
                Step(node, layer=layer, depthwise=alone, execution=execution, follows=follows),
            )
        width = Width(f"{group}.width", f"{group}.prune_ratio", unit=units[group])
        whole = Step(node, width, layer)
        return in_parts(whole) if _in_groups(spec, node) else (whole,)

    return Plan(spec.input_shape, spec.classes, _joined(map(steps, template.nodes)))


def _joined(layers: Iterable[tuple[Step, ...]]) -> tuple[Step, ...]:
    """Return the steps of all layers, those behind a layer in parts reading what joins these."""
    made: list[Step] = []
    for steps in layers:
        joins = {step.node.inputs[0]: step.node.name for step in made if step.node.op == "concat"}
        own = {step.node.name for step in steps}
        for step in steps:
            inputs = tuple(n if n in own else joins.get(n, n) for n in step.node.inputs)
            made.append(replace(step, node=replace(step.node, inputs=inputs)))
    return tuple(made)


def _template(spec: NetworkSpec) -> Blueprint:
    """Return the network with all its channels; searched layers have no bits yet."""
    shapes, groups = spec.shapes(), spec.prune_groups()

    def made(node: NodeSpec, inputs: tuple[str, ...]) -> Node:
        digital = node.name in spec.digital_layers
        bits = spec.digital.bits if digital else 0
        return Node(
            node.name,
            node.op,
            inputs,
            shapes[inputs[0]],
            shapes[node.name],
            kernel=node.window,
            stride=node.step,
            groups=node.groups,
            prune_group=groups.get(node.name, ""),
            placement=("digital" if digital else "cim") if node.has_weights else "",
            w_bits=bits,
            x_bits=bits,
            padding=node.padding,
            limit=node.limit,
        )

    reads = _waiting_last(spec) if spec.genes.residual_bits else spec.reads()
    nodes = tuple(map(made, spec.nodes, reads))
    return Blueprint(spec.input_shape, spec.classes, nodes)


def _waiting_last(spec: NetworkSpec) -> tuple[tuple[str, ...], ...]:
    """Return what each node reads, of an addition last what waits: it may be kept in few bits.

    Where one input is computed from the other, that other waits; else it is the second.
    """
    before: dict[str, frozenset[str]] = {INPUT: frozenset()}
    found = []
    for node, inputs in zip(spec.nodes, spec.reads(), strict=True):
        before[node.name] = frozenset(inputs).union(*(before[name] for name in inputs))
        needed = node.op == "add" and inputs[0] in before[inputs[1]]
        found.append(inputs[::-1] if needed else inputs)
    return tuple(found)


def network_spec(
    blueprint: Blueprint, genes: LayerGenes, head: Mapping[str, str], *, weights_sha256: str
) -> NetworkSpec:
    """Return the space of one network: what of a blueprint of any family is searched further.

    Its prune groups follow from its nodes, and may be called otherwise than in ``blueprint``; the
    names of nodes stay. Its first and last layer are digital.

    Args:
        blueprint: The network, of the widths that its float parent has.
        genes: The choices of every searched layer.
        head: ``name``, ``summary`` and ``source`` of the space.
        weights_sha256: Of the file of the float parent's weights; empty if it has none yet.

    Raises:
        ValueError: It is no network that a space can hold.
        SpaceError: It has layers in parts.
    """
    check_whole(blueprint)
    return NetworkSpec(
        schema_="cimsearch/space/1",
        name=head["name"],
        summary=head["summary"],
        source=head["source"],
        family="network",
        input_shape=blueprint.input_shape,
        classes=blueprint.classes,
        weights_sha256=weights_sha256,
        genes=genes,
        nodes=tuple(map(_node_spec, blueprint.nodes)),
    )


def _node_spec(node: Node) -> NodeSpec:
    return NodeSpec.of(
        node.name,
        cast(NodeOp, node.op),
        node.inputs,
        channels=node.out_shape[0],
        kernel=node.kernel,
        stride=node.stride,
        groups=node.groups,
        padding=node.pads,
        limit=node.limit,
    )
