"""The space file: a family of networks and the choices each of its genes has."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cimsearch.spec.base import Bits, Count, FileSpec, Spec, WeightBits
from cimsearch.spec.document import FieldError
from cimsearch.spec.hardware import Encoding, RangePolicy

Ratio = Annotated[float, Field(ge=0, lt=1)]


def refuse_repeats(choices: Mapping[str, tuple[object, ...]]) -> None:
    """Check that no field's choices name one thing twice.

    Raises:
        FieldError: One does; points at the field.
    """
    for name, values in choices.items():
        if len(set(values)) != len(values):
            raise FieldError(name, f"found a repeated choice in {list(values)}")


class Stage(Spec):
    """A run of layers of one width: ``depth`` convolutions (VGG) or blocks (ResNet)."""

    width: Annotated[tuple[Count, ...], Field(min_length=1)]
    depth: Annotated[tuple[Count, ...], Field(min_length=1)]
    downsample: bool

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        refuse_repeats({"width": self.width, "depth": self.depth})
        return self


class LayerGenes(Spec):
    """The choices of every searched layer. A list of one value is fixed and is no gene.

    ``adc_bits``, ``encoding`` and ``range_policy`` are normally left out: the study opens them
    when its hardware lets them change.
    """

    weight_bits: Annotated[tuple[WeightBits, ...], Field(min_length=1)]
    activation_bits: Annotated[tuple[Bits, ...], Field(min_length=1)]
    prune_ratio: Annotated[tuple[Ratio, ...], Field(min_length=1)]
    adc_bits: tuple[Bits, ...] = ()
    encoding: tuple[Encoding, ...] = ()
    range_policy: tuple[RangePolicy, ...] = ()

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        refuse_repeats(dict(self))
        return self


class EndLayers(Spec):
    """The first convolution and the classifier: outside the search, with stated bits."""

    placement: Literal["digital", "cim"]
    bits: WeightBits


class SpaceSpec(FileSpec):
    """A file of ``spaces/``."""

    schema_: Annotated[Literal["cimsearch/space/1"], Field(alias="schema")]
    family: Literal["vgg", "resnet"]
    input_shape: Annotated[tuple[Count, Count, Count], Field()]
    classes: Annotated[int, Field(ge=2)]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=8)]
    kernel: Literal[1, 3, 5] = 3
    genes: LayerGenes
    first_layer: EndLayers
    classifier: EndLayers

    @model_validator(mode="after")
    def _image_survives(self) -> Self:
        halvings = sum(stage.downsample for stage in self.stages)
        if min(self.input_shape[1:]) >> halvings < 1 and min(self.input_shape[1:]) > 1:
            raise FieldError(
                "stages",
                f"found {halvings} stages with downsample; an input of "
                f"{self.input_shape[1]} x {self.input_shape[2]} allows fewer",
            )
        return self

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of all layers with weights that a network may have, in order of execution."""
        body = {"vgg": self._vgg_layers, "resnet": self._resnet_layers}[self.family]
        return (*body(), "classifier")

    def _vgg_layers(self) -> Iterator[str]:
        for s, stage in enumerate(self.stages):
            yield from (f"stage{s}.layer{i}" for i in range(max(stage.depth)))

    def _resnet_layers(self) -> Iterator[str]:
        yield "stem"
        for s, stage in enumerate(self.stages):
            for b in range(max(stage.depth)):
                shortcut = ("shortcut",) if b == 0 and s > 0 else ()
                yield from (f"stage{s}.block{b}.{x}" for x in ("conv1", "conv2", *shortcut))
