"""One array call with every active row and every column in use: what a measurement is taken of."""

from cimsearch.blueprint import Blueprint, Node
from cimsearch.cost.layer_integers import columns_of_output
from cimsearch.spec.hardware import Macro


def full_call(macro: Macro, *, w_bits: int, x_bits: int, adc_bits: int) -> Blueprint:
    """Return the network of one linear layer that fills the active rows and the columns.

    Args:
        macro: Whose array is filled.
        w_bits: Weight bits.
        x_bits: Activation bits; those that one call applies make it one call.
        adc_bits: Converter bits; 0 on a digital macro.
    """
    columns = columns_of_output(w_bits, macro.array.cell_bits, macro.weights.encoding)
    inputs, outputs = (macro.array.active_rows, 1, 1), (macro.array.cols // columns, 1, 1)
    call = Node(
        "call",
        "linear",
        ("input",),
        inputs,
        outputs,
        placement="cim",
        w_bits=w_bits,
        x_bits=x_bits,
        adc_bits=adc_bits,
    )
    return Blueprint(inputs, outputs[0], (call,))
