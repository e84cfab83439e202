"""The layers of a delivered network that are in arrays, made of its integers."""

from collections.abc import Iterator

from cimsearch.cim import CimLayer
from cimsearch.cim.converter import Ranges
from cimsearch.export.integers import Tensors
from cimsearch.export.tiles import Layer
from cimsearch.networks import Network


def layers_in_arrays(network: Network, tensors: Tensors) -> Iterator[Layer]:
    """Yield the layers of a network that are in arrays, in order of execution.

    Args:
        network: What has the layers; neither its weights nor its ranges are read.
        tensors: Its integers.
    """
    for node in network.blueprint.nodes:
        layer = network.module(node.name) if node.has_weights else None
        if isinstance(layer, CimLayer) and node.placement == "cim":
            yield Layer(
                name=node.name,
                codes=tensors[f"{node.name}/codes"].float(),
                numerics=layer.numerics,
                geometry=layer.geometry,
                ranges=_ranges(node.name, tensors) if layer.numerics.analog else None,
            )


def _ranges(name: str, tensors: Tensors) -> Ranges:
    lo, lsb, clip = (
        tensors[f"{name}/{part}"].numpy() for part in ("adc_lo", "adc_lsb", "clip_power")
    )
    return Ranges(lo, lsb, clip)
