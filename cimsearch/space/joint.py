"""Several networks on one chip, side by side: names, genes, blueprints and arrays put together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cimsearch.blueprint import Blueprint, Node
from cimsearch.space.genes import Gene
from cimsearch.spec.workload import named


def moved(gene: Gene, workload: str, by: int) -> Gene:
    """Return a workload's gene at its place behind ``by`` others."""
    return replace(
        gene,
        name=named(workload, gene.name),
        needs=tuple(replace(needs, gene=needs.gene + by) for needs in gene.needs),
        neighbour=gene.neighbour + by if gene.neighbour >= 0 else -1,
        alike=replace(gene.alike, gene=gene.alike.gene + by) if gene.alike else None,
    )


def joined_blueprint(networks: Mapping[str, Blueprint]) -> Blueprint:
    """Return networks side by side, to be priced as what one chip holds and runs in turn.

    It is no network that can be built: the input of each workload is ``WORKLOAD/input``; input
    shape and classes are those of the first.
    """
    first = next(iter(networks.values()))
    nodes = (_of(name, node) for name, network in networks.items() for node in network.nodes)
    return Blueprint(first.input_shape, first.classes, tuple(nodes))


def _of(workload: str, node: Node) -> Node:
    group = named(workload, node.prune_group) if node.prune_group else ""
    inputs = tuple(named(workload, name) for name in node.inputs)
    return replace(node, name=named(workload, node.name), inputs=inputs, prune_group=group)


def side_by_side(arrays: Sequence[Any]) -> Any:
    """Return arrays (n, k) or (1, k) as one of n rows and all columns."""
    if len(arrays) == 1:
        return arrays[0]
    rows = max(len(array) for array in arrays)
    return np.concatenate([np.broadcast_to(a, (rows, a.shape[1])) for a in arrays], axis=1)
