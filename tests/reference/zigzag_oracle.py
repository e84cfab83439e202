"""What the zigzag-dse package itself says of a macro, and of a convolution in its own mapping."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import zigzag
from zigzag.api import get_hardware_performance_zigzag
from zigzag.datatypes import OADimension
from zigzag.hardware.architecture.imc_array import ImcArray

from cimsearch.cost.zigzag import ZigZagArray

UM2_PER_MM2 = 1e6
INPUTS = Path(zigzag.__file__).parent / "inputs"

PARTS = {
    "cells": "cells",
    "analog_bl_addition": "cells",
    "dacs": "dac",
    "mults": "multiplier",
    "adcs": "adc",
    "adders_regular": "adder_tree",
    "adders_pv": "place_adders",
    "accumulators": "accumulator",
}
"""Our names of its parts."""

Goal = Literal["energy", "latency", "EDP"]


def oracle(array: ZigZagArray) -> dict[str, dict[str, float]]:
    """Return energy in pJ, delay in ns and area in um2, each by our names of its parts."""
    theirs = _imc_array(array)
    energy_pj = dict(theirs.get_peak_energy_single_cycle())
    # Zero in these figures: paid when a weight changes, not in every cycle.
    assert energy_pj.pop("local_bl_precharging") == 0
    area_um2 = {name: area * UM2_PER_MM2 for name, area in theirs.area_breakdown.items()}
    return {
        "energy_pj": {PARTS[name]: energy for name, energy in energy_pj.items()},
        "delay_ns": {PARTS[name]: delay for name, delay in theirs.tclk_breakdown.items()},
        "area_um2": {PARTS[name]: area for name, area in area_um2.items()},
        "total": {
            "energy_pj": sum(energy_pj.values()),
            "delay_ns": theirs.tclk,
            "area_um2": theirs.area * UM2_PER_MM2,
        },
    }


def _imc_array(array: ZigZagArray) -> Any:
    sizes = {"D1": array.outputs, "D2": array.rows, "D3": array.banks}
    return ImcArray(
        is_analog_imc=array.analog,
        bit_serial_precision=array.dac_bits,
        input_precision=[array.x_bits, array.w_bits],
        adc_resolution=array.adc_bits,
        cells_size=array.depth * array.w_bits,
        cells_area=array.unit_area_um2 / UM2_PER_MM2,
        dimension_sizes={OADimension(name): size for name, size in sizes.items()},
    )


@dataclass(frozen=True)
class Convolution:
    """A convolution of the same padding on square images."""

    in_channels: int
    out_channels: int
    out_width: int
    kernel: int
    stride: int = 1
    groups: int = 1


@dataclass(frozen=True)
class Mapped:
    """A convolution in the mapping that ZigZag chose.

    Attributes:
        energy_pj: Of the array, as the package has it.
        cycles: Of the array, without waiting for memories.
        rows: Rows at work in a call, on average over calls.
        outputs: Outputs at work in a call, on average over calls.
    """

    energy_pj: float
    cycles: float
    rows: float
    outputs: float


def mapped(
    convolution: Convolution, macro: Literal["aimc", "dimc"], goal: Goal, *, lpf_limit: int
) -> Mapped:
    """Return a convolution in the mapping that is best for ``goal``.

    On one of the macros that the package brings along, with its mapping hints: outputs over one
    dimension of the array, input channels and kernel over the other.
    """
    with TemporaryDirectory() as folder:
        evaluations: Any = get_hardware_performance_zigzag(
            workload=[_layer(convolution)],
            accelerator=str(INPUTS / "hardware" / f"{macro}.yaml"),
            mapping=str(INPUTS / "mapping" / "default_imc.yaml"),
            opt=goal,
            dump_folder=folder,
            lpf_limit=lpf_limit,
            in_memory_compute=True,
            loma_show_progress_bar=False,
        )[-1]
    best = evaluations[0][1][0][0]
    levels = next(iter(best.spatial_mapping.mapping_dict_origin.values()))
    used = {str(dim): size for level in levels for dim, size in level}
    rows = prod(used.get(dim, 1.0) for dim in ("C", "FX", "FY"))
    return Mapped(best.mac_energy, best.ideal_temporal_cycle, rows, used.get("K", 1.0))


def _layer(convolution: Convolution) -> dict[str, Any]:
    """Return the convolution as an entry of the package's workload files."""
    c = convolution
    return {
        "id": 0,
        "name": "conv",
        "operator_type": "Conv",
        "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
        "dimension_relations": [f"ix={c.stride}*ox+1*fx", f"iy={c.stride}*oy+1*fy"],
        "loop_dims": ["B", "G", "K", "C", "OY", "OX", "FY", "FX"],
        "loop_sizes": [
            *(1, c.groups, c.out_channels // c.groups, c.in_channels // c.groups),
            *(c.out_width, c.out_width, c.kernel, c.kernel),
        ],
        "operand_precision": {"W": 8, "I": 8, "O": 16, "O_final": 8},
        "operand_source": {"I": 0, "W": 0},
    }


def tree_pj(array: ZigZagArray, operands: int) -> float:
    """Return the energy of an adder tree of ``array`` that fewer operands than rows come into."""
    energy: float = _imc_array(array).get_regular_adder_trees_energy(
        adder_input_precision=array.w_bits,
        active_inputs_number=operands,
        physical_inputs_number=array.rows,
    )
    return energy
