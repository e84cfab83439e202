"""The machines a study may choose from: which there are, and the nearest to one that is not."""

from itertools import product

import numpy as np
import pytest

from cimsearch.spec import load_hardware, load_study
from cimsearch.spec.hardware_genes import HardwareGenes
from cimsearch.spec.machines import MOST_MACHINES, Fault, Machines

FILE = load_hardware("macros/charge_28nm")


def machines(hardware: str = "macros/charge_28nm", **choices: tuple[float, ...]) -> Machines:
    return Machines(load_hardware(hardware), HardwareGenes.model_validate(choices))


def grid(of: Machines) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array(list(product(*(range(len(values)) for _, values in of.fields))))


SQUARES = machines(rows=(64, 128, 256), active_rows=(32, 64, 128, 256))


def test_an_array_has_no_more_active_rows_than_rows() -> None:
    for choices in grid(SQUARES):
        (found,) = SQUARES.possible(choices[None])
        settings = dict(SQUARES.settings(found))
        assert settings["active_rows"] <= settings["rows"]
    assert SQUARES.count == 2 + 3 + 4


def test_what_goes_together_stays_as_it_is() -> None:
    for choices in grid(SQUARES):
        settings = dict(SQUARES.settings(choices))
        if settings["active_rows"] <= settings["rows"]:
            assert (SQUARES.possible(choices[None])[0] == choices).all()


@pytest.mark.parametrize(
    ("asked", "nearest"), [((0, 2), (0, 1)), ((0, 3), (0, 1)), ((1, 3), (1, 2))]
)
def test_the_nearest_is_the_fewest_steps_away(
    asked: tuple[int, int], nearest: tuple[int, int]
) -> None:
    (found,) = SQUARES.possible(np.array([asked]))
    steps = np.abs(np.array(asked) - found).sum()
    possible = [
        choices
        for choices in grid(SQUARES)
        if dict(SQUARES.settings(choices))["active_rows"]
        <= dict(SQUARES.settings(choices))["rows"]
    ]
    assert steps == min(np.abs(np.array(asked) - choices).sum() for choices in possible)
    assert tuple(found) == nearest


def test_many_choices_at_once_are_as_each_by_itself() -> None:
    study = load_study("macro_search")
    assert study.machines is not None
    of = study.machines
    rng = np.random.default_rng(0)
    asked = rng.integers(0, [len(values) for _, values in of.fields], (200, len(of.fields)))
    found = of.possible(asked)
    assert (found == np.concatenate([of.possible(row[None]) for row in asked])).all()
    assert (of.possible(found) == found).all()


def test_every_machine_of_a_shipped_study_is_built_and_counted() -> None:
    of = load_study("macro_search").machines
    assert of is not None
    settings = {of.settings(row) for row in of.possible(grid(of))}
    assert len(settings) == of.count
    for each in settings:
        macro = of.machine(each).macro
        assert macro.array.active_rows <= macro.array.rows
        assert macro.array.cols % macro.adcs == 0


def test_a_machine_is_built_once() -> None:
    settings = SQUARES.settings(np.array([1, 1]))
    assert SQUARES.machine(settings) is SQUARES.machine(settings)
    assert SQUARES.machine(()) is SQUARES.hardware


def test_the_file_s_own_settings_are_known_where_they_are_choices() -> None:
    assert SQUARES.own == (("rows", 128), ("active_rows", 128))
    assert SQUARES.machine(SQUARES.own).macro == SQUARES.hardware.macro
    assert machines(rows=(256, 512), supply_v=(0.8, 0.9)).own == ()


def test_a_choice_that_is_of_no_machine_is_said_with_the_field_that_is_not_opened() -> None:
    assert machines(rows=(64, 128), cols=(128, 256)).fault() == Fault(
        "rows",
        "found 64, which goes with no other choices: array.active_rows: found 128; allowed is 1 "
        "to rows = 64",
        "active_rows is not opened and stays at 128: open genes.hardware.active_rows as well, or "
        "leave 64 out",
    )
    assert machines(rows=(64, 128), active_rows=(64, 128)).fault() is None


@pytest.mark.parametrize(
    ("field", "values", "hint"),
    [
        ("active_rows", (128, 256), "rows is not opened and stays at 128: "),
        ("cols", (12, 128), "columns_per_adc is not opened and stays at 8: "),
        ("columns_per_adc", (8, 12), "cols is not opened and stays at 128: "),
    ],
)
def test_either_of_two_fields_that_bound_each_other_is_named(
    field: str, values: tuple[int, ...], hint: str
) -> None:
    found = Machines(FILE, HardwareGenes.model_validate({field: values})).fault()
    assert found is not None
    assert found.field == field
    assert found.hint.startswith(hint)


def test_a_choice_is_of_no_machine_though_all_that_it_hangs_on_is_open() -> None:
    found = machines(rows=(64, 128), active_rows=(64, 256)).fault()
    assert found is not None
    assert (found.field, found.hint) == ("active_rows", "")


def test_an_output_has_to_fit_into_an_array() -> None:
    found = machines(cols=(4, 8, 128), columns_per_adc=(2, 4)).fault()
    assert found is not None
    assert found.field == "cols"
    assert found.message.endswith("choices: cols 4: 8-bit weights take 8 for an output")
    pairs = machines("macros/yin_ted_2020", cols=(8, 16, 128), columns_per_adc=(8, 16)).fault()
    assert pairs is not None
    assert pairs.message.endswith("cols 8: 8-bit weights take 14 for an output")
    wide = machines("macros/yin_ted_2020", cols=(8, 16), cell_bits=(1, 2), columns_per_adc=(4, 8))
    assert wide.fault() is None


def test_too_many_machines_are_not_looked_at() -> None:
    many = machines(active_rows=tuple(range(1, 129)), cols=tuple(range(128, 168)))
    assert many.fault() == Fault("", f"found 5,120 machines; allowed are {MOST_MACHINES:,}", "")


def test_why_settings_do_not_go_together_is_told_in_short() -> None:
    assert SQUARES.reason(np.array([0, 3])) == (
        "array.active_rows: found 256; allowed is 1 to rows = 64"
    )
    assert SQUARES.reason(np.array([0, 1])) == ""
