"""A convolution or linear layer of any torch model, computed as a crossbar does."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.blueprint import Node
from cimsearch.cim.converter import Ranges
from cimsearch.cim.engine import Equivalent
from cimsearch.cim.layer import CimLayer
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.errors import HardwareError, UsageError

NOT_CALIBRATED = "call calibrate(loader) first, with inputs that reach every layer"
RANGE_PARTS = ("lo", "lsb", "clip_power")
EQUIVALENT_PARTS = ("sigma", "gain", "bias")


@dataclass(frozen=True)
class Padding:
    """How a layer's input is padded.

    Attributes:
        zeros: Zeros at each side, vertical and horizontal: rows of the array that get no input.
        before: Padding before the layer, in the order of ``torch.nn.functional.pad``.
        mode: Of the padding before the layer.
    """

    zeros: tuple[int, int] = (0, 0)
    before: tuple[int, ...] = ()
    mode: str = "constant"


class ConvertedLayer(CimLayer):
    """A convolution or linear layer of a torch model, computed as the arrays do.

    Takes what the layer took: (n, c, h, w) or (c, h, w), or (..., features) if it was linear.
    """

    def __init__(
        self,
        node: Node,
        numerics: LayerNumerics,
        *,
        generator: torch.Generator,
        padding: Padding,
    ) -> None:
        super().__init__(node, numerics, generator=generator, padding=padding.zeros)
        self.linear = node.op == "linear"
        self.padding_before = padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output, of the shape that the float layer gives."""
        if not self.calibrating and self.x_scale == 0.0:
            raise UsageError(f"{self.name}: not calibrated", NOT_CALIBRATED)
        return self._linear(x) if self.linear else self._convolution(x)

    def _linear(self, x: Tensor) -> Tensor:
        images = x.reshape(len(x) if x.dim() > 1 else 1, -1, x.shape[-1])
        y = self._image(images.transpose(1, 2).unsqueeze(3))
        return y.squeeze(3).transpose(1, 2).reshape(*x.shape[:-1], -1)

    def _convolution(self, x: Tensor) -> Tensor:
        images = x if x.dim() == 4 else x.unsqueeze(0)
        before = self.padding_before
        if before.before:
            images = functional.pad(images, before.before, before.mode)
        y = self._image(images)
        return y if x.dim() == 4 else y.squeeze(0)

    def _image(self, x: Tensor) -> Tensor:
        rows = self.weight.shape[1] * self.geometry.groups
        if x.shape[1] != rows or x.dtype != torch.float32:
            raise UsageError(
                f"{self.name}: found {x.shape[1]} channels of {x.dtype}; allowed is {rows} of "
                "torch.float32"
            )
        return super().forward(x.contiguous(memory_format=torch.channels_last))

    def _calibrate(self, x: Tensor) -> None:
        if self.x_scale:
            raise UsageError(
                f"{self.name}: runs twice in one pass; allowed is once, as its arrays have one "
                "range",
                f'leave it in float: skip=("{self.name}",)',
            )
        if not bool(torch.isfinite(x).all()):
            raise UsageError(f"{self.name}: found NaN or infinity in its input")
        self.set_signed(bool((x < 0).any()))
        super()._calibrate(x)

    def set_signed(self, signed: bool) -> None:
        """Take inputs of both signs, or of 0 and more only.

        Raises:
            HardwareError: The hardware cannot apply signed inputs.
        """
        try:
            self.numerics = replace(self.numerics, x_signed=signed)
        except HardwareError as error:
            raise HardwareError(
                f"{self.name}: {error.message}", f'leave it in float: skip=("{self.name}",)'
            ) from error

    def range_tensors(self) -> dict[str, Tensor]:
        """Return the converters' ranges and L0's equivalent; nothing where there are none."""
        if self._ranges is None:
            return {}
        found = {part: torch.tensor(getattr(self._ranges, part)) for part in RANGE_PARTS}
        for level, fitted in (("l0", self._equivalent), ("l1", self._beyond)):
            for part in EQUIVALENT_PARTS:
                values = getattr(fitted, part, None)
                found |= {} if values is None else {f"{level}_{part}": values}
        return found

    def settings(self) -> dict[str, Any]:
        """Return as plain data what was asked of the layer, and what calibration fitted."""
        numerics = self.numerics
        return {
            "weight_bits": numerics.w_bits,
            "activation_bits": numerics.x_bits,
            "adc_bits": numerics.adc_bits,
            "signed": numerics.x_signed,
            "x_scale": self.x_scale,
            "w_share": self.w_share,
            "activity_frac": self.activity_frac,
        }

    def restore(self, settings: Mapping[str, Any], ranges: Mapping[str, Tensor]) -> None:
        """Take what ``settings`` and ``range_tensors`` of a calibrated layer returned."""
        self.set_signed(settings["signed"])
        self.x_scale, self.w_share = settings["x_scale"], settings["w_share"]
        self.activity_frac = settings["activity_frac"]
        if ranges:
            self.set_ranges(Ranges(**{part: ranges[part].numpy() for part in RANGE_PARTS}))
            self._equivalent = _equivalent("l0", ranges)
            self._beyond = _equivalent("l1", ranges) if "l1_sigma" in ranges else None
            self._fitted = self._equivalent.gain is not None


def _equivalent(level: str, parts: Mapping[str, Tensor]) -> Equivalent:
    gain, bias = parts.get(f"{level}_gain"), parts.get(f"{level}_bias")
    return Equivalent(parts[f"{level}_sigma"], gain, bias)
