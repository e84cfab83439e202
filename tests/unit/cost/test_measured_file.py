"""The file of a fitted macro: whole, valid, traceable, and never over another."""

from collections.abc import Callable
from math import isclose
from pathlib import Path

import pytest

from cimsearch.cost.measured import energy_constants
from cimsearch.cost.measured_file import macro_text, write_macro
from cimsearch.cost.measured_table import read_table
from cimsearch.errors import SpecError, UsageError
from cimsearch.spec import load_hardware
from tests.unit.cost.measuring import fitted, table_of


def test_a_macro_that_extends_another_can_be_fitted_again(tmp_path: Path) -> None:
    name = "macros/yu_cicc_2020"
    path = table_of(tmp_path / "chip.csv", load_hardware(name), 1.7)
    first = tmp_path / "first.yaml"
    write_macro(macro_text(fitted(path, name), read_table(path), base=name, out=first), first)
    again = table_of(tmp_path / "again.csv", load_hardware(str(first)), 2.0)
    second = tmp_path / "deep" / "second.yaml"
    second.parent.mkdir()
    result = fitted(again, str(first))
    write_macro(macro_text(result, read_table(again), base=str(first), out=second), second)
    written = load_hardware(str(second))
    assert isclose(
        energy_constants(written.macro)["adc.model.step_fj"],
        3.4 * energy_constants(load_hardware(name).macro)["adc.model.step_fj"],
        rel_tol=1e-5,
    )
    assert "again.csv" in written.source
    assert "chip.csv" in written.source


def test_nothing_is_overwritten_or_half_written(
    tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    out = write("mine.yaml", "precious")
    with pytest.raises(UsageError, match="already there"):
        write_macro("x: 1", out)
    with pytest.raises(SpecError, match=r"mine\.yaml:1:1: kind"):
        write_macro("x: 1", out, force=True)
    with pytest.raises(UsageError, match=r"ends in \.yaml"):
        write_macro("x: 1", tmp_path / "mine.csv")
    assert out.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml"]
