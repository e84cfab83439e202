"""The space file of one network: its nodes, whose bits and widths are searched, and its weights.

It is what ``cimsearch network import`` makes of a model from outside; it can be written by hand.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cimsearch.spec.base import Count, FileSpec, Spec, WeightBits
from cimsearch.spec.channel_groups import HIGH, JOINED
from cimsearch.spec.coupling import prune_groups
from cimsearch.spec.document import FieldError
from cimsearch.spec.node import NodeShape, NodeSpec, reads_of, shapes_of
from cimsearch.spec.optional_genes import residual_faults
from cimsearch.spec.space import EndLayers, LayerGenes, SpaceSpec, refuse_repeats

Depthwise = Literal["digital", "diagonal"]

_ENDS = 2
"""Layers at the ends of a network: the first and the last."""

_ON_ARRAYS: tuple[Depthwise, ...] = ("diagonal",)


class DigitalLayers(Spec):
    """The layers that run in the digital unit, outside the search, and their bits.

    Without ``layers`` they are the first and the last that have weights, or none where there are
    no others.
    """

    layers: tuple[str, ...] | None = None
    bits: WeightBits = 8


class NetworkSpec(FileSpec):
    """A file of ``spaces/`` that holds one network: bits and prune ratios of its layers vary.

    ``nodes`` are in an order of execution; the last one gives the logits. ``weights_sha256`` is
    the SHA-256 of the file with the trained float weights: ``NAME.safetensors`` beside
    ``NAME.yaml``. Without it a float parent is trained as the study's recipe says.

    ``depthwise`` are the ways to execute each searched depthwise convolution: in the digital unit,
    or on the diagonals of arrays; the first is that of the uniform baselines.
    """

    schema_: Annotated[Literal["cimsearch/space/1"], Field(alias="schema")]
    family: Literal["network"]
    input_shape: Annotated[tuple[Count, Count, Count], Field()]
    classes: Annotated[int, Field(ge=2)]
    weights_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    genes: LayerGenes
    depthwise: Annotated[tuple[Depthwise, ...], Field(min_length=1)] = _ON_ARRAYS
    digital: DigitalLayers = DigitalLayers()
    nodes: Annotated[tuple[NodeSpec, ...], Field(min_length=1, max_length=4096)]

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``depthwise`` where nothing is searched: the hash stays that of without it."""
        data: dict[str, Any] = handler(self)
        return {k: v for k, v in data.items() if k != "depthwise" or self.depthwise != _ON_ARRAYS}

    @model_validator(mode="after")
    def _is_a_network(self) -> Self:
        *_, (last, shape) = self.shapes().items()
        where = f"nodes.{len(self.nodes) - 1}"
        if shape != (self.classes, 1, 1):
            found = " x ".join(map(str, shape))
            raise FieldError(where, f"{last}: gives {found}; allowed are {self.classes} classes")
        read = {name for inputs in self.reads() for name in inputs}
        for index, node in enumerate(self.nodes[:-1]):
            if node.name not in read:
                raise FieldError(f"nodes.{index}.name", f"found {node.name}, which nobody reads")
        return self

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        refuse_repeats({"depthwise": self.depthwise})
        layers, own = self.whole_layers, self.digital.layers or ()
        if not layers:
            raise FieldError("nodes", "found no conv or linear; allowed is one or more")
        for index, name in enumerate(own):
            if name not in layers:
                known = ", ".join(layers)
                raise FieldError(f"digital.layers.{index}", f"found {name}; allowed are {known}")
        if self.digital_layers.issuperset(layers):
            found = "found all layers, of which none is left to search"
            raise FieldError("digital.layers", f"{found}; allowed are some of {', '.join(layers)}")
        if 0 in self.genes.weight_bits:
            found = "found 0, which removes a block"
            raise FieldError("genes.weight_bits", f"{found}; allowed is 2 to 16")
        for field, text in self.gene_faults():
            raise FieldError(f"genes.{field}", text)
        return self

    def gene_faults(self) -> Iterator[tuple[str, str]]:
        """Yield the fields of ``genes`` with choices that no node can have, and why."""
        divisible = self._divisible()
        widths = [n.channels for n in self.nodes if n.channels and n.name in divisible]
        left = min(widths, default=2) * (1 - max(self.genes.prune_ratio))
        yield from self.genes.group_faults(max(1, int(left + 0.5)))
        names = {node.name for node in self.nodes}
        taken = sorted(names & {name + end for name in divisible for end in (HIGH, JOINED)})
        if self.genes.high_share and taken:
            yield "high_share", f"found nodes called {', '.join(taken)}; parts are called so"
        adds = any(node.op == "add" for node in self.nodes)
        yield from residual_faults(self.genes.residual_bits, adds=adds, what="the network")

    def reads(self) -> tuple[tuple[str, ...], ...]:
        """Return what each of ``nodes`` reads, in their order."""
        return reads_of(self.nodes)

    def shapes(self) -> dict[str, NodeShape]:
        """Return the shape of the input and of the output of each node, by name.

        Raises:
            FieldError: A node reads none above it, or cannot work on what it reads.
        """
        return shapes_of(self.input_shape, self.nodes)

    def prune_groups(self) -> dict[str, str]:
        """Return the prune group of each convolution by name; empty where all channels stay."""
        return prune_groups(self.nodes, self.reads(), self.shapes())

    def _divisible(self) -> frozenset[str]:
        """Return the layers whose channels may be in groups of different weight bits."""
        convs = (node for node in self.nodes if node.op == "conv" and node.groups == 1)
        searched = (node.name for node in convs if node.name not in self.digital_layers)
        groups = self.prune_groups()
        return frozenset(name for name in searched if groups[name])

    @property
    def whole_layers(self) -> tuple[str, ...]:
        """The names of all layers with weights, in order of execution."""
        return tuple(node.name for node in self.nodes if node.has_weights)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The same; behind a layer that may have channel groups, its second part is named."""
        if not self.genes.high_share:
            return self.whole_layers
        parts = self._divisible()
        return tuple(
            name
            for layer in self.whole_layers
            for name in ((layer, layer + HIGH) if layer in parts else (layer,))
        )

    @property
    def digital_layers(self) -> frozenset[str]:
        """The names of the layers that run in the digital unit."""
        names = self.whole_layers
        ends = (names[0], names[-1]) if len(names) > _ENDS else ()
        return frozenset(ends if self.digital.layers is None else self.digital.layers)

    @property
    def first_layer(self) -> EndLayers:
        """Where the first layer runs, with its bits: the largest there are if it is searched."""
        return self._end(self.whole_layers[0])

    @property
    def classifier(self) -> EndLayers:
        """The same of the last layer."""
        return self._end(self.whole_layers[-1])

    def _end(self, name: str) -> EndLayers:
        if name in self.digital_layers:
            return EndLayers(placement="digital", bits=self.digital.bits)
        return EndLayers(placement="cim", bits=self.genes.most_bits)


AnySpaceSpec = Annotated[SpaceSpec | NetworkSpec, Field(discriminator="family")]
"""A file of ``spaces/``: a family of networks, or one network."""
