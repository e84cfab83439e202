"""The numerics of a network's node: its bits on the macro that it is on."""

from typing import cast

from cimsearch.blueprint import Node
from cimsearch.cim.numerics import LayerNumerics
from cimsearch.errors import HardwareError
from cimsearch.spec.hardware import Encoding, Macro, RangePolicy
from cimsearch.units import MILLION


def numerics_of(node: Node, macro: Macro | None) -> LayerNumerics | None:
    """Return the numerics of a node with weights on ``macro``; None for a float layer.

    A digital layer, and any layer of a digital macro, is quantised and otherwise exact. Without a
    macro there are only float and digital layers.

    Raises:
        HardwareError: The node has bits out of range or asks what the macro cannot do; the
            message begins with the node's name.
    """
    if node.w_bits == node.x_bits == 0:
        return None
    try:
        _check_row_sparsity(node, macro)
        if node.placement != "cim":
            return LayerNumerics(node.w_bits, node.x_bits, node.x_signed)
        if macro is None:
            raise HardwareError("placement: found cim; without a macro allowed is digital")
        return _on_macro(node, macro)
    except HardwareError as error:
        raise HardwareError(f"{node.name}: {error.message}") from error


def _on_macro(node: Node, macro: Macro) -> LayerNumerics:
    encoding = cast("Encoding", node.encoding or macro.weights.encoding)
    if encoding == "twos_complement" and macro.array.cell_bits != 1:
        raise HardwareError(
            f"encoding: twos_complement needs cells of 1 bit, found {macro.array.cell_bits}"
        )
    own_policy = macro.adc.range_policy if macro.adc else "full_scale"
    return LayerNumerics(
        node.w_bits,
        node.x_bits,
        node.x_signed,
        analog=macro.adc is not None,
        encoding=encoding,
        range_policy=cast("RangePolicy", node.range_policy or own_policy),
        adc_bits=(node.adc_bits or macro.adc_bits) if macro.adc else 0,
        dac_bits=macro.input.dac_bits,
        cell_bits=macro.array.cell_bits,
        rows=macro.array.rows,
        active_rows=macro.array.active_rows,
        packing=macro.packing,
        cell_sigma_frac=macro.noise.cell_sigma_frac,
        adc_sigma_frac=macro.noise.adc_sigma_frac,
        cols=macro.array.cols,
        columns_per_adc=macro.adc.columns_per_adc if macro.adc else 1,
        accumulator=macro.accumulator,
        drive=macro.input.drive,
        macro=macro if macro.noise.has_effects else None,
        row_sparsity_ppm=node.row_sparsity_ppm,
    )


def _check_row_sparsity(node: Node, macro: Macro | None) -> None:
    skips = macro is not None and macro.array.row_group_skipping and node.placement == "cim"
    if node.row_sparsity_ppm and not skips:
        raise HardwareError(
            f"row sparsity: found {node.row_sparsity:g}; allowed is 0 but on arrays that skip row "
            "groups (array.row_group_skipping)"
        )
    if not 0 <= node.row_sparsity_ppm < MILLION:
        raise HardwareError(f"row sparsity: found {node.row_sparsity:g}; allowed is 0 to below 1")
