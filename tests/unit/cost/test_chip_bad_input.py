"""Tables of chips that are wrong: every problem at once, with its file, line and column."""

from pathlib import Path

import pytest

from cimsearch.cost.chip import Kind, fit_chip, kind_of, read_chip_table, template
from cimsearch.cost.measured_file import load_macro
from cimsearch.errors import SpecError, UsageError
from tests.unit.cost.measured_chips import ANALOG, RESISTIVE

DIGITAL = "macros/chih_isscc_2021"
SUMS = "chip,column,ideal_sum,code\n"
CELLS = "chip,target_us,time_s,conductance_us\n"
CODES = "chip,converter,code,inl_lsb\n"


def problems(path: Path, text: str, macro: str) -> list[str]:
    """Return what is told of a table, without the file's name."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as error:
        fit_chip([read_chip_table(path)], load_macro(macro).macro)
    return [line.removeprefix(f"{path}:") for line in error.value.message.splitlines()]


@pytest.mark.parametrize("kind", ["operating", "sums", "spread", "conductance", "converter"])
def test_each_template_is_told_by_its_header(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "t.csv"
    path.write_text(template(kind), encoding="utf-8")
    assert kind_of(path) == kind


def test_cells_that_are_no_numbers_are_told_together(tmp_path: Path) -> None:
    text = SUMS + "A,0,x,1\nA,0,3,-1\n,0,3,1\nA,0,3\nA,1,nan,2.5\n"
    found = problems(tmp_path / "s.csv", text, ANALOG)
    places = [line.partition(" ")[0] for line in found]
    assert set(places) == {"2:5:", "3:7:", "4:1:", "5:1:", "6:5:", "6:9:"}
    assert "2:5: ideal_sum: found 'x'; allowed is a number" in found
    assert "6:9: code: found '2.5'; allowed is a whole number from 0" in found


def test_a_column_that_is_misspelt_is_told(tmp_path: Path) -> None:
    found = problems(tmp_path / "s.csv", SUMS.replace("column", "colum") + "A,0,3,1\n", ANALOG)
    assert found == [
        "1:6: colum: unknown column; did you mean column?",
        "1:1: column: missing; this column is needed",
    ]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("chip,column,ideal_sum,code,lsb", "1:28: lsb: found it alone; allowed is lsb and lo"),
        (
            "chip,converter,code,inl_lsb,dnl_lsb",
            "1:29: dnl_lsb: found it beside inl_lsb; allowed is one of them",
        ),
        (
            "chip,column,ideal_sum,code,code",
            "1:28: code: found 2 columns of this name; allowed is 1",
        ),
    ],
)
def test_columns_that_do_not_go_together_are_told(tmp_path: Path, header: str, told: str) -> None:
    assert problems(tmp_path / "s.csv", f"{header}\nA,0,3,1,1\n", ANALOG) == [told]


def test_sums_and_codes_beyond_the_macro_are_told(tmp_path: Path) -> None:
    found = problems(tmp_path / "s.csv", SUMS + "A,0,30,1\nA,0,90,40\nA,0,-3,31\n", ANALOG)
    assert [line.partition("; ")[0] for line in found] == [
        "3:8: code: found 40",
        "3:5: ideal_sum: found 90",
        "4:5: ideal_sum: found -3",
    ]


def test_columns_with_too_few_sums_are_told(tmp_path: Path) -> None:
    text = SUMS + "".join(f"A,0,{at},{at // 2}\n" for at in (10, 20, 30)) + "A,1,10,5\n"
    (found,) = problems(tmp_path / "s.csv", text, ANALOG)
    assert found.startswith("5:3: column: found 1 ideal sums with codes from 1 to 30")


def test_targets_are_of_the_macro_and_measured_often(tmp_path: Path) -> None:
    text = CELLS + "A,50,20,3\n" + "A,10,20,9\nA,10,20,10\nA,10,20,11\nA,10,20,9\nA,10,20,10\n"
    found = problems(tmp_path / "g.csv", text, RESISTIVE)
    assert "2:3: target_us: found 50; allowed on this macro is 0 to 40 (cell.g_on_us)" in found
    assert all(line.startswith("2:3: target_us: ") for line in found)


def test_codes_of_converters_are_there_once(tmp_path: Path) -> None:
    rows = [f"A,{name},{code},0.1" for name in range(3) for code in (0, 10, 20)]
    found = problems(tmp_path / "c.csv", CODES + "\n".join([*rows, "A,2,10,0.1"]) + "\n", ANALOG)
    assert found == ["11:5: code: found this code twice for its converter; allowed is once"]


@pytest.mark.parametrize(
    ("kind", "macro"), [("sums", DIGITAL), ("converter", DIGITAL), ("conductance", ANALOG)]
)
def test_macros_that_cannot_have_the_effect_are_refused(
    tmp_path: Path, kind: Kind, macro: str
) -> None:
    path = tmp_path / f"{kind}.csv"
    path.write_text(template(kind), encoding="utf-8")
    with pytest.raises(SpecError, match=f"a table of {kind}: noise"):
        fit_chip([read_chip_table(path)], load_macro(macro).macro)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "found no header line"), ("a,b\n1,2\n", "no kind of table has these")],
)
def test_files_of_no_kind_are_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=told):
        kind_of(path)


def test_a_header_alone_and_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(SUMS, encoding="utf-8")
    with pytest.raises(SpecError, match="found no rows"):
        read_chip_table(path)
    with pytest.raises(UsageError, match="cannot be read"):
        kind_of(tmp_path / "none.csv")
