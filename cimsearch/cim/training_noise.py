"""Noise that training adds to the hardware's own: on weights, inputs, partial sums.

It comes after quantisation and is not rounded to codes. Standard deviations, with the sigma_frac
of each:

    weights       sigma_frac * largest weight code, in units of a weight code
    activations   sigma_frac * largest input code, in units of an input code
    partial_sums  sigma_frac * full scale * sqrt(T n sum cb**2 sum cs**2), in units of the product

The last is what normal noise of sigma_frac times the full scale makes of an output if each of its
conversions has it: T row groups, n conversions of a partial sum, planes ``cb`` and slices ``cs``.
At level L2 whole codes are converted, and what noisy weights and inputs add to the product is
added to the output.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cimsearch.cim.engine import Product
from cimsearch.cim.noise import Noise
from cimsearch.cim.numerics import LayerNumerics

# Which of the layer's draws: beyond those of row groups and their effects.
_INPUTS, _OUTPUTS = 1 << 40, 1 << 41


@dataclass(frozen=True)
class TrainingNoise:
    """Standard deviations of the noise of one layer, as fractions; see the module.

    Attributes:
        weights: Of the largest weight code.
        activations: Of the largest input code.
        partial_sums: Of the full scale of a partial sum, at each conversion.
    """

    weights: float = 0.0
    activations: float = 0.0
    partial_sums: float = 0.0

    def of_weights(self, product: Product, limit: int, generator: torch.Generator) -> Tensor:
        """Return what is added to the weight codes of a product, of their shape."""
        drawn = torch.randn(product.w.shape, generator=generator).mul_(self.weights * limit)
        return drawn.contiguous(memory_format=torch.channels_last)

    def of_inputs(self, product: Product, largest: int, noise: Noise) -> Tensor:
        """Return noisy input codes, of the shape of the product's."""
        noisy = product.x.clone(memory_format=torch.channels_last)
        noise.add_to(noisy, torch.tensor([self.activations * largest]), _INPUTS)
        return noisy

    def add_to_output(
        self, y: Tensor, product: Product, numerics: LayerNumerics, noise: Noise
    ) -> None:
        """Add the noise of partial sums to the output (n, outputs, h', w'), in place."""
        power = numerics.conversions * numerics.plane_power
        power *= len(product.geometry.row_groups) * sum(cs * cs for cs in numerics.slice_weights)
        sigma = self.partial_sums * numerics.full_scale * power**0.5
        noise.add_to(y, sigma * product.scale.view(-1), _OUTPUTS)
