"""Computing-in-memory numerics: quantizers, converters, noise, and layers trained through them."""

from cimsearch.cim.convert import LayerBits, convert
from cimsearch.cim.converted import ConvertedModel
from cimsearch.cim.crossbar import CrossbarScheme, crossbar_matmul
from cimsearch.cim.float_layer import FloatLayer
from cimsearch.cim.layer import CimLayer
from cimsearch.cim.mode import Mode
from cimsearch.cim.node_numerics import numerics_of
from cimsearch.cim.noise import chip_generator
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.cim.operand import QuantisedOperand

__all__ = [
    "CimLayer",
    "ConvertedModel",
    "CrossbarScheme",
    "FloatLayer",
    "LayerBits",
    "LayerNumerics",
    "Mode",
    "QuantisedOperand",
    "chip_generator",
    "convert",
    "crossbar_matmul",
    "numerics_of",
]
