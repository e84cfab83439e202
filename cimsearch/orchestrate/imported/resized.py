"""A network of any family with other widths, as a space of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from cimsearch.blueprint import Blueprint, Node
from cimsearch.errors import SpaceError
from cimsearch.space.network_family import network_spec
from cimsearch.space.widths import depthwise
from cimsearch.spec.network import AnySpaceSpec, Depthwise, DigitalLayers, NetworkSpec
from cimsearch.spec.space import LayerGenes


def resized_spec(
    blueprint: Blueprint, of: AnySpaceSpec, to: Path, summary: str, *, weights_sha256: str = ""
) -> NetworkSpec:
    """Return the space of a network, whose bits are searched as those of ``of``.

    Its widths are as they are. Depthwise convolutions whose execution ``of`` searches have the
    same choices, first that of the network where it is one for all of them; a grouped convolution
    in the place of one stays. Other digital layers stay digital.

    Args:
        blueprint: The network, with its bits.
        of: The space that it comes from.
        to: The file that it is written to, ``NAME.yaml``.
        summary: What the file says of it.
        weights_sha256: Of the file of its float weights; empty if it has none yet.

    Raises:
        ValueError: It is no network that a space can hold.
        SpaceError: It has layers in parts, or digital layers of several weight bits.
    """
    nodes = [node for node in blueprint.nodes if node.has_weights]
    searched = [node for node in nodes if node.name in _searched_depthwise(blueprint, of)]
    digital = [node for node in nodes if node.placement == "digital" and node not in searched]
    head = {"name": to.stem, "summary": summary, "source": of.source}
    spec = network_spec(blueprint, _genes(of.genes), head, weights_sha256=weights_sha256)
    changed: dict[str, object] = {"digital": _digital(digital)}
    if searched:
        changed["depthwise"] = _executions(searched, of)
    return spec.model_copy(update=changed)


def _genes(genes: LayerGenes) -> LayerGenes:
    """Return the choices of bits alone; a network has no block that 0 bits would remove."""
    bits = tuple(bits for bits in genes.weight_bits if bits)
    return genes.model_copy(update={"weight_bits": bits, "prune_ratio": (0.0,)})


def _searched_depthwise(blueprint: Blueprint, of: AnySpaceSpec) -> frozenset[str]:
    """Return the names of the depthwise convolutions whose execution is a gene of ``of``."""
    stay = of.digital_layers if isinstance(of, NetworkSpec) else frozenset[str]()
    return depthwise(blueprint) - stay


def _executions(searched: Sequence[Node], of: AnySpaceSpec) -> tuple[Depthwise, ...]:
    """Return how ``searched`` may be executed, first as all of them are if that is one way."""
    known = get_args(Depthwise)
    ways = of.depthwise if isinstance(of, NetworkSpec) else of.separable_blocks.depthwise
    used = {"digital" if node.placement == "digital" else "diagonal" for node in searched}
    choices = [cast(Depthwise, how) for how in ways if how in known]
    return tuple(sorted(choices, key=lambda how: used != {how}))


def _digital(nodes: Sequence[Node]) -> DigitalLayers:
    bits = sorted({node.w_bits for node in nodes}) or [8]
    if len(bits) > 1:
        raise SpaceError(
            f"digital layers: found {' and '.join(map(str, bits))} weight bits; allowed is one "
            "number for all of them",
            "give first_layer and classifier of the space the same bits",
        )
    return DigitalLayers(layers=tuple(node.name for node in nodes), bits=bits[0])
