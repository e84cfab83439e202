"""The space file: a family of networks and the choices each of its genes has."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cimsearch.spec.activation import ACTIVATION, Activation
from cimsearch.spec.base import Bits, Count, FileSpec, Fraction, Spec, WeightBits
from cimsearch.spec.blocks import Blocks, Choices
from cimsearch.spec.channel_groups import HIGH, bits_faults, width_faults
from cimsearch.spec.document import FieldError
from cimsearch.spec.hardware import Encoding, RangePolicy
from cimsearch.spec.optional_genes import ResidualBits, residual_faults, without_absent

Ratio = Annotated[float, Field(ge=0, lt=1)]
Family = Literal["vgg", "resnet", "separable", "inverted_residual"]
Kernel = Literal[1, 3, 5]


def refuse_repeats(choices: Mapping[str, tuple[object, ...]]) -> None:
    """Check that no field's choices name one thing twice.

    Raises:
        FieldError: One does; points at the field.
    """
    for name, values in choices.items():
        if len(set(values)) != len(values):
            raise FieldError(name, f"found a repeated choice in {list(values)}")


class Stage(Spec):
    """A run of layers of one width: ``depth`` convolutions (VGG) or blocks (other families)."""

    width: Choices
    depth: Choices
    downsample: bool

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        refuse_repeats({"width": self.width, "depth": self.depth})
        return self


class LayerGenes(Spec):
    """The choices of every searched layer. A list of one value is fixed and is no gene.

    ``weight_bits`` 0 is of blocks with a shortcut that no depth leaves out: it removes all of the
    block but the shortcut. Other layers do not have it.

    ``high_share`` is the share of a convolution's output channels whose weights have ``high_bits``
    instead of ``weight_bits``: those that lose most by the fewer bits. Depthwise and other grouped
    convolutions and linear layers have no such groups of channels.

    ``residual_bits`` is of every addition: the bits that what waits for it is kept in, all inputs
    but the first; 0 keeps it in words of the digital unit.
    ``row_sparsity`` is the share of a layer's row groups on arrays, rounded down, that hold no
    weights: the hardware has to skip row groups. Depthwise convolutions have none.

    ``adc_bits``, ``encoding`` and ``range_policy`` are normally left out: the study opens them
    when its hardware lets them change.
    """

    weight_bits: Annotated[tuple[Literal[0] | WeightBits, ...], Field(min_length=1)]
    activation_bits: Annotated[tuple[Bits, ...], Field(min_length=1)]
    prune_ratio: Annotated[tuple[Ratio, ...], Field(min_length=1)]
    adc_bits: tuple[Bits, ...] = ()
    encoding: tuple[Encoding, ...] = ()
    range_policy: tuple[RangePolicy, ...] = ()
    high_share: tuple[Fraction, ...] = ()
    high_bits: tuple[WeightBits, ...] = ()
    residual_bits: tuple[ResidualBits, ...] = ()
    row_sparsity: tuple[Ratio, ...] = ()

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out genes that are off: the hash is that of before there were any."""
        return without_absent(handler(self))

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        refuse_repeats(dict(self))
        return self

    @property
    def most_bits(self) -> int:
        """The most weight bits that a layer may have."""
        return max(*self.weight_bits, *self.high_bits)

    def group_faults(self, least: int) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with channel groups of layers of ``least`` channels or more."""
        yield from bits_faults(self.weight_bits, self.high_share, self.high_bits)
        yield from width_faults(self.high_share, least)


class EndLayers(Spec):
    """The first convolution and the classifier: outside the search, with stated bits."""

    placement: Literal["digital", "cim"]
    bits: WeightBits


class SpaceSpec(FileSpec):
    """A file of ``spaces/``.

    ``kernel`` is the height and width of windows, or a list of choices: a gene of each layer
    (VGG), block (ResNet) or depthwise convolution. ``blocks`` is of the families ``separable``
    (depthwise convolution, then 1 x 1) and ``inverted_residual``.

    ``activation`` are the choices of what a network has for all of its activations; the first is
    that of the uniform baselines. Without them it is a ReLU.
    """

    schema_: Annotated[Literal["cimsearch/space/1"], Field(alias="schema")]
    family: Family
    input_shape: Annotated[tuple[Count, Count, Count], Field()]
    classes: Annotated[int, Field(ge=2)]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=8)]
    kernel: Kernel | Annotated[tuple[Kernel, ...], Field(min_length=1)] = 3
    blocks: Blocks | None = None
    activation: tuple[Activation, ...] = ()
    genes: LayerGenes
    first_layer: EndLayers
    classifier: EndLayers

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not stated: the hash is that of before there was such a field."""
        data: dict[str, Any] = handler(self)
        return {k: value for k, value in data.items() if k not in ("blocks", ACTIVATION) or value}

    @property
    def separable_blocks(self) -> Blocks:
        """The ``blocks`` of a family that has them."""
        return cast(Blocks, self.blocks)

    @property
    def has_groups(self) -> bool:
        """Whether channels of one layer may have weights of different bits."""
        return bool(self.genes.high_share)

    @property
    def kernels(self) -> tuple[int, ...]:
        """The choices of ``kernel``."""
        return self.kernel if isinstance(self.kernel, tuple) else (self.kernel,)

    @model_validator(mode="after")
    def _has_the_blocks_of_its_family(self) -> Self:
        refuse_repeats({"kernel": self.kernels, ACTIVATION: self.activation})
        needed = self.family in ("separable", "inverted_residual")
        if self.blocks is None:
            if needed:
                raise FieldError("blocks", f"missing; the family {self.family} needs them")
            return self
        if not needed:
            raise FieldError("blocks", f"found some; the family {self.family} has none")
        inverted = self.family == "inverted_residual"
        if inverted and not self.blocks.expansion:
            raise FieldError("blocks.expansion", f"missing; the family {self.family} needs it")
        if not inverted and (self.blocks.expansion or self.blocks.head):
            field = "expansion" if self.blocks.expansion else "head"
            raise FieldError(f"blocks.{field}", f"found one; the family {self.family} has none")
        self._check_blocks(self.blocks)
        return self

    def _check_blocks(self, blocks: Blocks) -> None:
        """Check that nothing is a choice twice, and that stated widths can be cut into groups."""
        widths = {f"stages.{s}.width": stage.width for s, stage in enumerate(self.stages)}
        widths |= {"blocks.stem.width": blocks.stem.width, "blocks.head": blocks.head}
        others = ("width_multiplier", "depthwise", "expansion")
        refuse_repeats(widths | {f"blocks.{name}": getattr(blocks, name) for name in others})
        for field, choices in widths.items():
            for width in choices:
                # Scaled widths are multiples of more than any groups.
                if width % blocks.unit and not blocks.width_multiplier:
                    found = f"found {width}; allowed are multiples of {blocks.unit}"
                    raise FieldError(field, f"{found}, the groups of blocks.depthwise")

    @model_validator(mode="after")
    def _has_layers_of_its_genes(self) -> Self:
        for field, text in self.gene_faults():
            raise FieldError(f"genes.{field}", text)
        return self

    def gene_faults(self) -> Iterator[tuple[str, str]]:
        """Yield the fields of ``genes`` with choices that no layer can have, and what is wrong."""
        bits = self.genes.weight_bits
        blocks = ((s, b) for s, stage in enumerate(self.stages) for b in range(min(stage.depth)))
        if not any(bits):
            yield "weight_bits", "found 0 alone; needed is another choice"
        elif 0 in bits and not any(self.removable(*block) for block in blocks):
            yield (
                "weight_bits",
                "found 0, which removes a block; allowed is 2 to 16 where no block has a shortcut "
                "and is in networks of every depth",
            )
        yield from self.genes.group_faults(self._least_channels())
        family = f"the family {self.family}"
        yield from residual_faults(self.genes.residual_bits, adds=self._adds, what=family)
        if self.family == "inverted_residual" and 1 in self.genes.activation_bits:
            yield (
                "activation_bits",
                "found 1; allowed is 2 or more where blocks end without an activation: what the "
                "next one reads has a sign",
            )

    @property
    def _adds(self) -> bool:
        """Whether networks have additions: in every block, or in all but a stage's first."""
        deepest = max(max(stage.depth) for stage in self.stages)
        return self.family == "resnet" or (self.family == "inverted_residual" and deepest > 1)

    def _least_channels(self) -> int:
        """Return the fewest channels that pruning leaves of a layer."""
        widths = [width for stage in self.stages for width in stage.width]
        unit, scaled = 1, False
        if self.blocks is not None:
            widths += [*self.blocks.stem.width, *self.blocks.head]
            unit, scaled = self.blocks.unit, bool(self.blocks.width_multiplier)
        # Scaled widths are multiples of 8.
        least = min([8, *widths] if scaled else widths)
        left = least * (1 - max(self.genes.prune_ratio)) / unit
        return unit * max(1, int(left + 0.5))

    def removable(self, stage: int, block: int) -> bool:
        """Return whether a block's weight bits may be 0, which leaves its shortcut alone.

        Those that a depth may leave out have no such choice: it would be the same network twice.
        """
        first = {"resnet": 0, "inverted_residual": 1}.get(self.family)
        if first is None or 0 not in self.genes.weight_bits:
            return False
        return first <= block < min(self.stages[stage].depth)

    @model_validator(mode="after")
    def _first_shortcut_fits(self) -> Self:
        if self.family == "resnet" and self.stages[0].downsample:
            found = "found true in the first stage, whose shortcut passes its input on as it is"
            raise FieldError("stages.0.downsample", f"{found}; allowed is false")
        return self

    @model_validator(mode="after")
    def _image_survives(self) -> Self:
        halvings = sum(stage.downsample for stage in self.stages)
        halvings += max(self.blocks.stem.stride) - 1 if self.blocks else 0
        if min(self.input_shape[1:]) >> halvings < 1 and min(self.input_shape[1:]) > 1:
            raise FieldError(
                "stages",
                f"found {halvings} stages with downsample; an input of "
                f"{self.input_shape[1]} x {self.input_shape[2]} allows fewer",
            )
        return self

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of all layers with weights that a network may have, in order of execution.

        Of a layer that may have channel groups, the second part is named behind the first.
        """
        if self.family == "vgg":
            first, *searched = self._vgg_layers()
        else:
            head = ["head"] if self.blocks and self.blocks.head else []
            first, *searched = ["stem", *self._block_layers(), *head]
        return (first, *(name for layer in searched for name in self._parts(layer)), "classifier")

    def _parts(self, layer: str) -> tuple[str, ...]:
        whole = not self.has_groups or layer.endswith("depthwise")
        return (layer,) if whole else (layer, layer + HIGH)

    def _vgg_layers(self) -> Iterator[str]:
        for s, stage in enumerate(self.stages):
            yield from (f"stage{s}.layer{i}" for i in range(max(stage.depth)))

    def _block_layers(self) -> Iterator[str]:
        for s, stage in enumerate(self.stages):
            for b in range(max(stage.depth)):
                yield from (f"stage{s}.block{b}.{layer}" for layer in self._layers_of_block(s, b))

    def _layers_of_block(self, s: int, b: int) -> tuple[str, ...]:
        if self.family == "separable":
            return ("depthwise", "pointwise")
        if self.family == "resnet":
            return ("conv1", "conv2", *(("shortcut",) if b == 0 and s > 0 else ()))
        expand = ("expand",) if max(self.separable_blocks.expansion) > 1 else ()
        return (*expand, "depthwise", "project")
