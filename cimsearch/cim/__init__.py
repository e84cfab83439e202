"""Computing-in-memory numerics: quantizers, converters, noise, and layers trained through them."""

from cimsearch.cim.layer import CimLayer, FloatLayer, Mode
from cimsearch.cim.noise import NoisePool, chip_generator
from cimsearch.cim.numerics import LayerNumerics, numerics_of

__all__ = [
    "CimLayer",
    "FloatLayer",
    "LayerNumerics",
    "Mode",
    "NoisePool",
    "chip_generator",
    "numerics_of",
]
