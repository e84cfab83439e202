"""Wires to first order, against the solution of the whole network of resistors."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cimsearch.cim.ir_drop import with_ir_drop
from cimsearch.spec.cell_noise import IrDrop
from tests.reference.crossbar_oracle import Floats
from tests.unit.cim.builders import generator
from tests.unit.cim.chips import conductance, hold, layout, level, numerics

G_ON_US = 40.0


def nodal(g: Floats, driven: Floats, wordline_ohm: float, bitline_ohm: float) -> Floats:
    """What each cell conducts for 1 V, of an array (wordlines, bitlines) solved exactly.

    Args:
        g: Conductances in S.
        driven: Voltage of each wordline's driver; converters are at 0 V.
        wordline_ohm: A segment of a wordline.
        bitline_ohm: A segment of a bitline.
    """
    rows, columns = g.shape
    count = rows * columns
    node = np.arange(count).reshape(rows, columns)
    matrix, current = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)

    def join(a: int, b: int, siemens: float) -> None:
        matrix[a, a] += siemens
        matrix[b, b] += siemens
        matrix[a, b] -= siemens
        matrix[b, a] -= siemens

    for k in range(rows):
        for n in range(columns):
            wordline, bitline = int(node[k, n]), int(count + node[k, n])
            join(wordline, bitline, g[k, n])
            if n:
                join(wordline, wordline - 1, 1 / wordline_ohm)
            else:
                matrix[wordline, wordline] += 1 / wordline_ohm
                current[wordline] += driven[k] / wordline_ohm
            if k:
                join(bitline, bitline - columns, 1 / bitline_ohm)
            else:
                matrix[bitline, bitline] += 1 / bitline_ohm
    volts = np.linalg.solve(matrix, current)
    drop: Floats = (volts[:count] - volts[count:]).reshape(rows, columns)
    return g * drop


def random_g(*shape: int) -> Tensor:
    return torch.rand(shape, generator=generator(3), dtype=torch.float64) * 0.9 + 0.1


SMALL: dict[str, Any] = {"array": {"rows": 6, "active_rows": 6, "cols": 6}}


@pytest.mark.parametrize("ohms", [(1.0, 0.0), (0.0, 1.0), (2.0, 1.0)])
def test_the_error_falls_with_the_square_of_the_resistance(ohms: tuple[float, float]) -> None:
    places = layout(numerics({}, **SMALL), 6, 5)
    g = random_g(1, 1, 6, 5)
    errors = []
    for scale in (20.0, 10.0):
        wordline_ohm, bitline_ohm = (max(scale * ohm, 1e-6) for ohm in ohms)
        wires = IrDrop(wordline_ohm=wordline_ohm, bitline_ohm=bitline_ohm, activity_frac=1.0)
        found = with_ir_drop(g, wires, G_ON_US, places)[0, 0].numpy()
        exact = nodal(g[0, 0].numpy() * G_ON_US * 1e-6, np.ones(6), wordline_ohm, bitline_ohm)
        exact /= G_ON_US * 1e-6
        errors.append(np.abs(found - exact).max())
        drop = np.abs(g[0, 0].numpy() - exact).max()
        assert errors[-1] < drop / 20
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_arrays_and_row_groups_are_solved_each_by_itself() -> None:
    """Pairs of cells in two slices, in arrays of 6 x 8: 2 outputs each, 3 rows active at once."""
    made = numerics(
        {},
        w_bits=5,
        encoding="differential_digital",
        array={"rows": 6, "active_rows": 3, "cols": 8},
    )
    rows, outputs = 10, 3
    places = layout(made, rows, outputs)
    g = random_g(2, 2, rows, outputs)
    wires = IrDrop(wordline_ohm=1.0, bitline_ohm=2.0, activity_frac=1.0)
    found = with_ir_drop(g, wires, G_ON_US, places)

    for array in (0, 1):
        for start, stop in ((0, 3), (3, 6), (6, 9), (9, 10)):
            tile = start // 6 * 6
            used = min(6, rows - tile)
            mine = torch.zeros(used, 8, dtype=torch.float64)
            cells = [
                (half, part, output)
                for half in range(2)
                for part in range(2)
                for output in range(outputs)
                if places.arrays[output] == array
            ]
            for cell in cells:
                half, part, output = cell
                mine[:, places.bitlines[cell]] = g[half, part, tile : tile + used, output]
            # Bitlines that are not used conduct next to nothing.
            siemens = mine.clamp_min(1e-12).numpy() * G_ON_US * 1e-6
            driven = np.zeros(used)
            driven[start - tile : stop - tile] = 1
            exact = nodal(siemens, driven, 1.0, 2.0) / (G_ON_US * 1e-6)
            for cell in cells:
                half, part, output = cell
                wanted = exact[start - tile : stop - tile, places.bitlines[cell]]
                mine_found = found[half, part, start:stop, output].numpy()
                lost = g[half, part, start:stop, output].numpy() - wanted
                assert np.abs(mine_found - wanted).max() < np.abs(lost).max() / 50


def test_a_cell_alone_in_numbers() -> None:
    """One row and two bitlines: (1 + 1) and (1 + 2) segments' worth of full-scale current."""
    places = layout(numerics({}, **SMALL), 1, 2)
    one = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    wordline = with_ir_drop(one, IrDrop(wordline_ohm=100.0), G_ON_US, places)
    assert wordline.flatten().tolist() == pytest.approx([1 - 2 * 0.004, 1 - 3 * 0.004])
    # Its own bitline carries its current for the share of time that it conducts.
    bitline = with_ir_drop(one, IrDrop(bitline_ohm=100.0), G_ON_US, places)
    assert bitline.flatten().tolist() == pytest.approx([1 - 0.5 * 0.004] * 2)


def test_activity_scales_what_bitlines_lose() -> None:
    places = layout(numerics({}, **SMALL), 6, 5)
    g = random_g(1, 1, 6, 5)

    def lost(activity_frac: float) -> Tensor:
        wires = IrDrop(bitline_ohm=10.0, activity_frac=activity_frac)
        return g - with_ir_drop(g, wires, G_ON_US, places)

    assert torch.allclose(lost(0.25), lost(1.0) / 4)
    assert not lost(0.0).any()


def test_a_cell_cannot_lose_more_than_its_voltage() -> None:
    places = layout(numerics({}, **SMALL), 6, 5)
    g = random_g(1, 1, 6, 5)
    assert not with_ir_drop(g, IrDrop(wordline_ohm=1e6), G_ON_US, places).any()


def test_a_chip_loses_what_its_wires_take() -> None:
    wires = {"ir_drop": {"wordline_ohm": 2.0, "bitline_ohm": 1.0}}
    made = numerics(wires)
    stored = level(3, 130, 70)
    found = conductance(hold(stored, made).values, made)
    wanted = with_ir_drop(
        torch.ones(stored.shape, dtype=torch.float64),
        IrDrop.model_validate(wires["ir_drop"]),
        G_ON_US,
        layout(made, 130, 70),
    )
    assert torch.allclose(found, wanted, atol=1e-6)
    assert float(found.max()) < 1
