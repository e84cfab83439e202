"""Errors in CSV files point at the cell."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.cost.csv_cells import CsvFile, cell_columns, read_csv
from cimsearch.errors import SpecError

CELLS = st.lists(st.text(alphabet='ab,"; ', max_size=6), min_size=2, max_size=6)


@given(CELLS)
def test_a_cell_begins_at_its_column(cells: list[str]) -> None:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(cells)
    text = line.getvalue()
    starts = cell_columns(text)
    assert len(starts) == len(cells)
    for start, cell in zip(starts, cells, strict=True):
        written = '"' + cell.replace('"', '""') + '"'
        assert text[start - 1 :].startswith(written)


def test_spaces_before_a_cell_are_skipped() -> None:
    assert cell_columns("a,  b,\tc,\n") == (1, 5, 8, 10)


def test_a_problem_is_told_at_its_cell_or_its_line() -> None:
    file = CsvFile(Path("t.csv"), "", ("a,b\n", "1, 2\n"), ("a", "b"))
    assert file.problem(2, "b", "wrong") == "t.csv:2:4: b: wrong"
    assert file.problem(2, "row", "wrong") == "t.csv:2:1: row: wrong"
    assert file.problem(9, "b", "wrong") == "t.csv:9:1: b: wrong"


def test_rows_have_the_numbers_of_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n\r\n"1,5", 2\r\n')
    file = read_csv(path)
    assert list(file.rows()) == [(1, ["a", "b"]), (3, ["1,5", "2"])]
    path.write_text('a\n"b\n', encoding="utf-8")
    with pytest.raises(SpecError, match=r"t\.csv:2:1: file: not valid CSV"):
        list(read_csv(path).rows())
