"""The verb ``hardware validate`` as its users meet it."""

import json
from pathlib import Path

import pytest

from tests.commands import cimsearch
from tests.unit.cost.chips import COLUMNS, made_up, write_table


def test_validate_fits_scores_and_plots(tmp_path: Path) -> None:
    rows = made_up(12, spread=0.4)
    rows[3][COLUMNS.index("vdd_V")] = ""
    write_table(tmp_path / "fit.csv", rows)
    other = made_up(5, spread=0.4, seed=3)
    for n, row in enumerate(other):
        row[:2] = f"n{n}", f"n{n}"
    other[0][1] = "c0"
    write_table(tmp_path / "other.csv", other)
    verb = ["hardware", "validate", "fit.csv", "--score", "other.csv"]
    done = cimsearch(*verb, "--plot", "parity.html", "--study", cwd=tmp_path)
    for words in (
        "leave one chip out: log-linear model",
        "leave one chip out: component equations",
        "scored chips",
        "freedom",
        "learning curve",
        "combinations",
        "chosen in the fold",
        "area: not validated: the table has it of fewer than two chips",
        "equations [x]  median of others [x]",
        "geo.error[x]",
    ):
        assert words in done.stdout
    assert "plot: parity.html" in done.stderr
    html = (tmp_path / "parity.html").read_text(encoding="utf-8")
    for words in ("predicted, chip not in the fit", "log-linear model", "component equations"):
        assert words in html
    report = json.loads(cimsearch(*verb, "--json", cwd=tmp_path).stdout)
    (inside,), (outside,) = report["leave_one_chip_out"], report["scored"]
    assert (inside["chips"], outside["chips"]) == (11, 5)
    assert 1.0 < outside["geometric_error"] < 2.0
    assert 0.0 <= outside["coverage"] <= 1.0
    reached = report["components"]["reached"]
    assert list(reached) == ["as shipped", "one scale", "component scales"]
    assert [one["leave_one_chip_out"][0]["chips"] for one in reached.values()] == [11] * 3
    assert list(report["scored_components"]) == list(reached)
    (cycle,) = report["time_and_area"]
    assert (cycle["measure"], cycle["chips"]) == ("cycle_ns", 11)
    row = report["rows"]["n1"]
    low, high = row["band_fj"]
    assert low < row["predicted_fj"] < high
    assert row["equations_fj"] > 0


def test_validate_names_the_rows_it_skips(tmp_path: Path) -> None:
    rows = made_up(5, spread=0.4)
    rows[3][COLUMNS.index("vdd_V")] = ""
    write_table(tmp_path / "fit.csv", rows)
    out = cimsearch("hardware", "validate", "fit.csv", cwd=tmp_path).stdout
    assert ["r3", "analog", "SRAM", "empty:", "vdd_V"] in [
        line.split() for line in out.splitlines()
    ]


def test_validate_tells_a_reason_that_many_rows_share_once(tmp_path: Path) -> None:
    fitted = json.loads(cimsearch("hardware", "validate", "--json", cwd=tmp_path).stdout)["chips"]
    rows = made_up(8, spread=0.4)
    for row in rows:
        row[1] = fitted[0]
    rows[0][COLUMNS.index("vdd_V")] = ""
    write_table(tmp_path / "again.csv", rows)
    out = cimsearch("hardware", "validate", "--score", "again.csv", cwd=tmp_path).stdout
    assert "scored chips: none, as every row is skipped or not measured" in out
    assert out.count("chip is in the fit") == 1
    assert "7 rows (r1 to r7): chip is in the fit" in out
    assert "scored chips (achieved" not in out


def test_validate_predicts_what_was_not_measured(tmp_path: Path) -> None:
    write_table(tmp_path / "fit.csv", made_up(6, spread=0.4))
    other = made_up(2, spread=0.0, seed=3)
    for n, row in enumerate(other):
        row[:2] = f"n{n}", f"n{n}"
        row[COLUMNS.index("meas_energy_fJ_per_MAC")] = ""
    other[1][COLUMNS.index("tech_nm")] = ""
    write_table(tmp_path / "other.csv", other)
    verb = ["hardware", "validate", "fit.csv", "--score", "other.csv", "--plot", "p.html"]
    lines = [line.split() for line in cimsearch(*verb, cwd=tmp_path).stdout.splitlines()]
    (made,) = (line for line in lines if line[:3] == ["n0", "analog", "SRAM"] and len(line) == 9)
    assert float(made[3]) > 0
    assert made[-1] == "-"
    reason = ["empty:", "tech_nm,", "meas_energy_fJ_per_MAC"]
    assert ["n1", "analog", "SRAM", *reason] in lines
    report = json.loads(cimsearch(*verb, "--json", cwd=tmp_path).stdout)
    assert report["scored"] == []


def test_validate_with_the_constants_of_the_package(tmp_path: Path) -> None:
    out = cimsearch("hardware", "validate", cwd=tmp_path).stdout
    assert all(name in out for name in ("analog SRAM", "digital SRAM", "RRAM"))
    rows = made_up(2, spread=0.0)
    rows[0][1] = "U5"
    write_table(tmp_path / "mine.csv", rows)
    verb = ["hardware", "validate", "--score", "mine.csv", "--json"]
    report = json.loads(cimsearch(*verb, cwd=tmp_path).stdout)
    assert "chip is in the fit" in report["rows"]["r0"]["skipped"]
    assert report["rows"]["r1"]["predicted_fj"] > 0
    by_equations = report["scored_components"]["as shipped"]
    assert [(one["technology"], one["rows"]) for one in by_equations] == [("analog SRAM", 1)]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--study"], 2, "--study needs FIT.csv"),
        (["--plot", "p.html"], 2, "--plot needs FIT.csv or --score"),
        (["missing.csv"], 2, "missing.csv"),
        (["bad.csv"], 3, "bad.csv:1:1: header: missing columns"),
        (
            ["fit.csv", "--plot", "none/p.html"],
            2,
            "error: --plot: none/p.html cannot be written: No such file or directory\n",
        ),
    ],
)
def test_wrong_use_is_told(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    (tmp_path / "bad.csv").write_text("id\n1\n")
    write_table(tmp_path / "fit.csv", made_up(5, spread=0.4))
    done = cimsearch("hardware", "validate", *arguments, cwd=tmp_path, expect=code)
    assert message in done.stderr
