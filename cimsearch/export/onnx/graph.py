"""A graph under construction: operators and constants by name, shapes as a blueprint has them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from cimsearch.cim import CimLayer, QuantisedOperand

BATCH = "n"
"""Name of the size of a batch, which a model leaves open."""


@dataclass(frozen=True)
class Graph:
    """Operators in order of execution, and the constants that they read.

    Attributes:
        nodes: Operators, each named after its only output.
        constants: Initialisers.
        values: Shapes of values between operators.
    """

    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    values: list[ValueInfoProto] = field(default_factory=list)

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        whole = np.asarray(values, order="C")
        self.constants.append(numpy_helper.from_array(whole, name))
        return name

    def number(self, name: str, value: float) -> str:
        """Add a constant float32 without dimensions and return its name."""
        return self.constant(name, np.array(value, dtype=np.float32))

    def add(
        self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: Any
    ) -> str:
        """Add an operator and return the name of its output."""
        node = helper.make_node(operator, inputs, [output], output, domain=domain, **attributes)
        self.nodes.append(node)
        return output

    def state_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """State that a value is a batch of ``shape``, float32."""
        self.values.append(batch_of(name, shape))


def batch_of(name: str, shape: tuple[int, ...], about: str = "") -> ValueInfoProto:
    """Return the type of a batch of ``shape``, float32."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *shape], about)


@dataclass(frozen=True)
class Kind:
    """How a kind of model writes what is quantised.

    Attributes:
        add_layer: Adds a quantised layer that reads the value of one name and gives that of
            another.
        add_operand: Adds what waits for an addition in few bits: from the name of the value that
            waits, and that of the addition's, to the name of what is added.
    """

    add_layer: Callable[[Graph, CimLayer, str, str], None]
    add_operand: Callable[[Graph, QuantisedOperand, str, str], str]
