"""A network of any family with other widths, as a space of its own."""

from pathlib import Path

from cimsearch.blueprint import Blueprint
from cimsearch.errors import SpaceError
from cimsearch.space.network_family import network_spec
from cimsearch.spec.network import AnySpaceSpec, DigitalLayers, NetworkSpec
from cimsearch.spec.space import LayerGenes


def resized_spec(
    blueprint: Blueprint, of: AnySpaceSpec, to: Path, summary: str, *, weights_sha256: str = ""
) -> NetworkSpec:
    """Return the space of a network, whose bits are searched as those of ``of``.

    Its widths are as they are, and its digital layers stay digital.

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
    head = {"name": to.stem, "summary": summary, "source": of.source}
    spec = network_spec(blueprint, _genes(of.genes), head, weights_sha256=weights_sha256)
    return spec.model_copy(update={"digital": _digital(blueprint)})


def _genes(genes: LayerGenes) -> LayerGenes:
    """Return the choices of bits alone; a network has no block that 0 bits would remove."""
    bits = tuple(bits for bits in genes.weight_bits if bits)
    return genes.model_copy(update={"weight_bits": bits, "prune_ratio": (0.0,)})


def _digital(blueprint: Blueprint) -> DigitalLayers:
    nodes = [node for node in blueprint.nodes if node.placement == "digital" and node.has_weights]
    bits = sorted({node.w_bits for node in nodes}) or [8]
    if len(bits) > 1:
        raise SpaceError(
            f"digital layers: found {' and '.join(map(str, bits))} weight bits; allowed is one "
            "number for all of them",
            "name other genes: those of depthwise layers in the digital unit are the bits of the "
            "first layer and the classifier",
        )
    return DigitalLayers(layers=tuple(node.name for node in nodes), bits=bits[0])
