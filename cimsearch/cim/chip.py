"""One chip of a layer: every static error, drawn once, and what it makes of the weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cimsearch.cim.cells import chip_cells
from cimsearch.cim.columns import chip_converters
from cimsearch.cim.layout import Layout
from cimsearch.cim.level2 import Chip, ideal_cells
from cimsearch.cim.noise import chip_generator
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.slicing import weight_errors
from cimsearch.spec.hardware import AS_STATED, Condition


@dataclass(frozen=True)
class ChipSource:
    """Where the draws of one layer of a chip come from.

    Attributes:
        cells: For its cells.
        converters: For its converters.
        whole: For what is one draw of the whole chip: the same in every layer.
    """

    cells: torch.Generator
    converters: torch.Generator
    whole: torch.Generator

    @classmethod
    def of(cls, chip: int, layer: str) -> "ChipSource":
        """Return the source of a chip by its index: the same at each call."""
        return cls(
            chip_generator(chip, layer),
            chip_generator(chip, f"{layer}/converters"),
            chip_generator(chip, "/chip"),
        )

    @classmethod
    def new(cls, generator: torch.Generator, whole: int | None = None) -> "ChipSource":
        """Return the source of a new chip at each call, as in training.

        Args:
            generator: Where its draws come from.
            whole: Seed of what all its layers have in common; None for this layer alone.
        """
        if whole is None:
            return cls(generator, generator, generator)
        return cls(generator, generator, torch.Generator().manual_seed(whole))


def chip_of(
    codes: Tensor,
    numerics: LayerNumerics,
    layout: Layout,
    source: ChipSource,
    *,
    condition: Condition = AS_STATED,
    noise_scale: float = 1.0,
) -> Chip:
    """Return a layer on a chip.

    Args:
        codes: Weight codes (outputs, c / groups, kh, kw).
        numerics: Of the layer.
        layout: Of the layer.
        source: Of the chip's draws.
        condition: What the chip is read at.
        noise_scale: Factor on all errors.
    """
    stored = ideal_cells(codes, numerics)
    if noise_scale == 0:
        return Chip(stored + numerics.leakage, noise_scale=0.0)
    cells = chip_cells(stored, numerics, layout, source.cells, source.whole, condition)
    values = cells.values
    if noise_scale != 1:
        ideal = stored + numerics.leakage
        values = ideal + noise_scale * (values - ideal)
    converters = chip_converters(numerics, layout, source.converters)
    return Chip(values, cells.read_power, converters, noise_scale)


def errors_of(chip: Chip, codes: Tensor, numerics: LayerNumerics) -> Tensor:
    """Return what a chip's cells add to weight codes, in their units; shape of ``codes``."""
    errors = chip.cells - ideal_cells(codes, numerics)
    halves, slices = errors.shape[:2]
    shaped = errors.transpose(2, 3).reshape(halves, slices, *codes.shape)
    return weight_errors(shaped, numerics).contiguous(memory_format=torch.channels_last)
