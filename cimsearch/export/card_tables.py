"""Tables of the model card."""

from collections.abc import Mapping, Sequence
from typing import Any

from cimsearch.cim import numerics_of
from cimsearch.evaluate import Job
from cimsearch.units import show

Row = Sequence[str]


def table(head: Row, rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def layer_rows(job: Job, cost: Mapping[str, Any]) -> list[Row]:
    """Return a row for each layer with weights: shape, bits, encoding, energy per inference."""
    energies = {layer["name"]: layer["energy_pj"] for layer in cost["layers"]}
    rows: list[Row] = []
    for node in job.blueprint.nodes:
        numerics = numerics_of(node, job.hardware.macro) if node.has_weights else None
        if numerics is None:
            continue
        in_arrays = node.placement == "cim"
        adc = numerics.adc_bits if numerics.analog else "-"
        rows.append(
            (
                node.name,
                node.op,
                "arrays" if in_arrays else "digital unit",
                str(node.out_shape[0]),
                str(node.weights),
                f"{numerics.w_bits} / {numerics.x_bits} / {adc}",
                numerics.encoding if in_arrays else "-",
                show("energy_pj", energies[node.name]),
            )
        )
    return rows


def residual_rows(job: Job) -> list[Row]:
    """Return a row for each addition that keeps what waits for it in few bits."""
    return [
        (node.name, node.inputs[1], str(node.x_bits), "yes" if node.x_signed else "no")
        for node in job.blueprint.nodes
        if node.op == "add" and node.x_bits
    ]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
