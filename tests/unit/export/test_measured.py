"""A chip's codes beside the expected ones."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from cimsearch.errors import SpecError
from cimsearch.export.files import ExportError
from cimsearch.export.measured_file import COLUMNS
from cimsearch.export.verify import compare_codes
from tests.commands import cimsearch
from tests.unit.export.networks import DIGITAL_MACRO, exported, hardware, job, network

Code = Callable[[Any, int], Any]
"""Measured code for an expected one and the place of its line."""


def measured(directory: Path, path: Path, code: Code, times: int = 1) -> Path:
    """Write what a chip gives that makes ``code`` of each expected code."""
    golden = load_file(directory / "golden.safetensors")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for name in golden:
            tile, _, what = name.partition("/")
            if what == "codes":
                for (*place, line), expected in np.ndenumerate(golden[name]):
                    column = golden[f"{tile}/columns"][line]
                    rows.writerows(
                        [tile, *place, column, int(np.clip(np.rint(code(expected, line)), 0, 15))]
                        for _ in range(times)
                    )
    return path


def test_an_ideal_chip_has_a_gain_of_1(small_export: Path, tmp_path: Path) -> None:
    found = compare_codes(small_export, measured(small_export, tmp_path / "c.csv", same))
    mapping = json.loads((small_export / "mapping.json").read_text())
    assert [tile.tile for tile in found.tiles] == [tile["tile"] for tile in mapping["tiles"]]
    assert not found.unread
    assert found.overall.gain == pytest.approx(1)
    assert found.overall.sigma_codes == 0
    assert all(tile.lines == tile.of_lines and not tile.outliers for tile in found.tiles)
    shown = cimsearch("verify", str(small_export), "--measured", "c.csv", cwd=tmp_path).stdout
    assert all(line.endswith("< 0.01") for line in shown.splitlines()[2:])


def test_a_file_without_a_header_is_told_once(small_export: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("0,0,0,0,0,1\n0,0,0,0,1,2\n", encoding="utf-8")
    with pytest.raises(SpecError) as error:
        compare_codes(small_export, tmp_path / "c.csv")
    assert error.value.message == (
        f"{tmp_path}/c.csv:1:1: header: found no header line; wanted is "
        "tile,vector,row_group,plane,column,code"
    )


def same(expected: Any, _line: int) -> Any:
    return expected


def test_gain_offset_and_noise_come_back(small_export: Path, tmp_path: Path) -> None:
    """Noise of 0.4 codes before rounding."""
    rng = np.random.default_rng(1)
    path = measured(
        small_export, tmp_path / "c.csv", lambda e, _: 0.9 * e + 1 + rng.normal(0, 0.4), times=3
    )
    found = compare_codes(small_export, path).overall
    assert found.gain == pytest.approx(0.9, abs=0.02)
    assert found.offset_codes == pytest.approx(1, abs=0.15)
    assert found.sigma_codes == pytest.approx(0.4, rel=0.1)


def test_columns_that_stand_out_are_named_and_do_not_bend_the_fit(
    small_export: Path, tmp_path: Path
) -> None:
    """Line 2 reads 3 codes too much, line 4 always 0."""
    rng = np.random.default_rng(2)

    def code(expected: Any, line: int) -> Any:
        if line == 4:
            return 0
        return expected + rng.normal(0, 0.2) + 3 * (line == 2)

    found = compare_codes(small_export, measured(small_export, tmp_path / "c.csv", code))
    columns = load_file(small_export / "golden.safetensors")
    for tile in found.tiles:
        expected = {int(columns[f"{tile.tile}/columns"][line]) for line in (2, 4)}
        named = {each.column: each for each in tile.outliers}
        assert set(named) <= expected
        shifted = named[min(expected)]
        assert shifted.mean_codes == pytest.approx(3, abs=0.7)
        assert tile.fit.gain == pytest.approx(1, abs=0.05)
    assert any(len(tile.outliers) == 2 for tile in found.tiles)


@pytest.mark.parametrize(("dead", "at"), [(5, 0), (99, 0), (99, 15)])
def test_a_mostly_dead_tile_is_not_healthy(
    small_export: Path, tmp_path: Path, dead: int, at: int
) -> None:
    """Most columns, or all of them, always give 0, or always the largest code."""
    path = measured(
        small_export, tmp_path / "c.csv", lambda expected, line: at if line < dead else expected
    )
    found = compare_codes(small_export, path)
    codes = load_file(small_export / "golden.safetensors")
    for tile in found.tiles:
        expected = codes[f"{tile.tile}/codes"][..., :dead]
        # Where the same is expected each time, the same code tells nothing.
        changing = np.ptp(expected.reshape(-1, expected.shape[-1]), axis=0) > 0
        columns = codes[f"{tile.tile}/columns"][:dead][changing].tolist()
        assert set(columns) <= {each.column for each in tile.outliers if each.stuck}
        if dead < 99:
            assert tile.fit.gain == pytest.approx(1, abs=0.05)
            assert tile.fit.fitted <= tile.fit.reads < codes[f"{tile.tile}/codes"].size
    assert found.has_stuck
    done = cimsearch("verify", str(small_export), "--measured", str(path), cwd=tmp_path, expect=1)
    assert "columns are stuck, their codes do not follow the expected ones: 0, 2, " in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert " ".join(lines[0]) == (
        "tile layer columns reads fitted gain offset [code] sigma [code]"
    )
    (overall,) = (line for line in lines if line[0] == "all")
    assert overall[:3] == ["all", str(found.overall.reads), str(found.overall.fitted)]


def test_a_part_of_a_chip_can_be_read(small_export: Path, tmp_path: Path) -> None:
    path = measured(small_export, tmp_path / "c.csv", same)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["# of wafer 3", lines[0], *(x for x in lines if x[:2] == "1,")]))
    found = compare_codes(small_export, path)
    assert [tile.tile for tile in found.tiles] == [1]
    assert found.unread[0] == 0
    done = cimsearch("verify", str(small_export), "--measured", str(path), cwd=tmp_path)
    assert "not read: tiles 0, 2" in done.stdout
    both = ("--measured", str(path), "--data", "x")
    done = cimsearch("verify", str(small_export), *both, cwd=tmp_path, expect=2)
    assert "--measured needs no images" in done.stderr
    as_json = cimsearch(
        "verify", str(small_export), "--measured", str(path), "--json", cwd=tmp_path
    )
    assert json.loads(as_json.stdout) == json.loads(json.dumps(found.to_dict()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.csv:1:1: file: is empty"),
        (
            "tile,vector,plane,column,code\n0,0,0,0,0\n",
            "c.csv:1:1: header: found no column row",
        ),
        (
            "tile,vector,row_group,plane,column,kode,code\n",
            "c.csv:1:36: kode: unknown column; d",
        ),
        ("{h}\n", "c.csv:1:1: file: found no rows"),
        ("{h}\n0,0,0,0,0\n", "c.csv:2:1: row: found 5 cells; allowed is one for each of 6"),
        ("{h}\n0,0,0,0,0,-1\n", "c.csv:2:11: code: found '-1'; allowed is a whole number from 0"),
        ("{h}\n0,0,0,0,0,\n", "c.csv:2:11: code: found 'nothing'; allowed"),
        ("{h}\n99,0,0,0,0,1\n", "c.csv:2:1: tile: found 99; allowed is 0 to "),
        ("{h}\n0,4,0,0,0,1\n", "c.csv:2:3: vector: found 4; allowed is 0 to 3 in tile 0"),
        ("{h}\n0,0,9,0,0,1\n", "c.csv:2:5: row_group: found 9; allowed is 0 to 1 in tile 0"),
        ("{h}\n0,0,0,3,0,1\n", "c.csv:2:7: plane: found 3; allowed is 0 to 2 in tile 0"),
        ("{h}\n0,0,0,0,1,1\n", "c.csv:2:9: column: found 1; allowed is 0 to 30 in steps of 2"),
        ("{h}\n0,0,0,0,0,16\n", "c.csv:2:11: code: found 16; allowed is 0 to 15 in tile 0"),
        ('{h}\n0,0,0,0,0,"1\n', "not valid CSV"),
    ],
)
def test_a_bad_file_is_told_by_line_and_column(
    small_export: Path, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "c.csv"
    path.write_text(text.replace("{h}", ",".join(COLUMNS)))
    with pytest.raises(SpecError) as error:
        compare_codes(small_export, path)
    assert message in str(error.value)


def test_a_damaged_export_is_compared_with_nothing(own_export: Path, tmp_path: Path) -> None:
    path = measured(own_export, tmp_path / "c.csv", same)
    (own_export / "golden.safetensors").write_bytes(b"")
    with pytest.raises(ExportError, match="found 0 bytes; the manifest says"):
        compare_codes(own_export, path)


def test_a_digital_macro_has_no_codes(tmp_path: Path) -> None:
    exported(
        job(hardware(**DIGITAL_MACRO), blueprint=network(w_bits=4, x_bits=4), level="L0"),
        tmp_path / "out",
    )
    path = tmp_path / "c.csv"
    path.write_text(f"{','.join(COLUMNS)}\n0,0,0,0,0,1\n")
    with pytest.raises(SpecError, match="this network has no converters"):
        compare_codes(tmp_path / "out", path)


def test_a_copy_of_a_tile_is_expected_to_give_the_same(tmp_path: Path) -> None:
    """The system has macros to spare, so layers have copies in other arrays."""
    on = hardware(system={"macros": 40, "duplicates": "fill"})
    exported(job(on, level="L0"), tmp_path / "out")
    path = measured(tmp_path / "out", tmp_path / "c.csv", same)
    tiles = json.loads((tmp_path / "out" / "mapping.json").read_text())["tiles"]
    copy = next(tile for tile in tiles if tile["copy"] == 1)
    first = tiles[copy["golden"]]
    for part in ("layer", "weight_rows", "outputs"):
        assert copy[part] == first[part]
    lines = path.read_text().splitlines()
    own = [
        f"{copy['tile']}{line.removeprefix(str(first['tile']))}"
        for line in lines
        if line.startswith(f"{first['tile']},")
    ]
    path.write_text("\n".join([lines[0], *own]))
    found = compare_codes(tmp_path / "out", path)
    (tile,) = found.tiles
    assert tile.tile == copy["tile"]
    assert tile.fit.gain == pytest.approx(1)
    assert not tile.outliers
