"""``hardware import`` of tables of chips, as its users run it."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from cimsearch.cli import cli
from cimsearch.spec import load_hardware
from tests.commands import cimsearch
from tests.unit.cost.measured_chips import ANALOG, RESISTIVE, conductances, converters, sums

OPERATING = """\
weight_bits,activation_bits,adc_bits,supply_v,call_ns,activity_frac,density_frac,tops_per_w
2,1,1,0.45,5,0.5,0.5,122.5
2,1,5,0.45,155,0.5,0.5,3.95
"""


def run(cwd: Path, *arguments: str, expect: int = 0) -> str:
    done = cimsearch("hardware", "import", *arguments, cwd=cwd, expect=expect)
    return done.stderr if expect else done.stdout


def within(*arguments: str) -> str:
    """Return what the verb prints, run in this process."""
    done = CliRunner().invoke(cli, ["hardware", "import", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def plain(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def test_the_written_file_holds_what_is_printed(tmp_path: Path) -> None:
    tables = [sums(tmp_path / "sums.csv"), converters(tmp_path / "adc.csv")]
    verb = ["sums.csv", "adc.csv", "--macro", ANALOG, "--out", "mine.yaml", "--html", "fit.html"]
    found = json.loads(run(tmp_path, *verb, "--json"))
    assert found["file"] == "mine.yaml"
    noise = load_hardware(str(tmp_path / "mine.yaml")).macro.noise
    assert noise.adc is not None
    told = {path: value["value"] for path, value in found["noise"].items()}
    assert noise.adc_sigma_frac == pytest.approx(told["adc_sigma_frac"], rel=1e-5)
    assert noise.adc_sigma_frac == pytest.approx(0.9 / 64, rel=0.1)
    assert noise.adc.offset_sigma_frac == pytest.approx(1 / 64, rel=0.3)
    assert noise.adc.gain_sigma_frac == pytest.approx(0.02, rel=0.3)
    assert noise.adc.inl_sigma_frac == pytest.approx(0.4 * 2 / 64, rel=0.2)
    assert noise.cell_sigma_frac == 0
    assert {table["kind"] for table in found["tables"]} == {"sums", "converter"}
    for table in found["tables"]:
        assert [check["verdict"] for check in table["cross_validation"]] == ["as the others"] * 4
    page = (tmp_path / "fit.html").read_text(encoding="utf-8")
    assert "sums.csv: sums" in page
    assert "adc.csv: converter" in page
    assert page.count("<caption>Cross-validation: each chip by a fit to the others") == 2
    assert "<script src" not in page
    assert "<link" not in page
    written = plain(tmp_path / "mine.yaml")
    assert written["extends"] == ANALOG
    assert set(written["basis"].values()) == {"derived"}
    for table in tables:
        hashed = sha256(table.read_bytes()).hexdigest()
        assert f"{table.name}, SHA-256 {hashed}" in written["source"]
    assert cimsearch("check", "mine.yaml", cwd=tmp_path).stdout == "mine.yaml: ok\n"


def test_conductances_become_programming_and_drift(tmp_path: Path) -> None:
    conductances(
        tmp_path / "g.csv",
        coefficients=(1.0,),
        nu=(0.05, 0.01),
        times=(20.0, 2000.0),
        spreads=(1.0, 1.0, 1.0, 3.0),
    )
    out = run(tmp_path, "g.csv", "--macro", RESISTIVE)
    assert [line.split()[0] for line in out.splitlines() if "off more than" in line] == ["C3"]
    assert "written: g.yaml" in out
    noise = load_hardware(str(tmp_path / "g.yaml")).macro.noise
    assert noise.programming is not None
    assert noise.programming.model == "polynomial"
    assert noise.drift is not None
    assert noise.drift.model == "power_law"
    assert noise.drift.nu_mean == pytest.approx(0.05, rel=0.05)


def test_operating_points_and_sums_make_one_macro(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(OPERATING, encoding="utf-8")
    sums(tmp_path / "sums.csv")
    run(tmp_path, "points.csv", "--macro", ANALOG, "--out", "alone.yaml")
    run(tmp_path, "points.csv", "sums.csv", "--macro", ANALOG, "--out", "both.yaml")
    alone, both = plain(tmp_path / "alone.yaml"), plain(tmp_path / "both.yaml")
    assert "noise" not in alone
    assert both["noise"]["adc_sigma_frac"] == pytest.approx(0.9 / 64, rel=0.1)
    for key in set(alone) - {"name", "summary", "source", "basis"}:
        assert both[key] == alone[key], key
    assert both["basis"].items() >= alone["basis"].items()


@pytest.mark.parametrize(
    ("kind", "macro"),
    [
        ("operating", ANALOG),
        ("sums", ANALOG),
        ("spread", ANALOG),
        ("converter", ANALOG),
        ("conductance", RESISTIVE),
    ],
)
def test_each_template_can_be_imported(tmp_path: Path, kind: str, macro: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(within("--template", kind), encoding="utf-8")
    assert f"written: {tmp_path / 't.yaml'}" in within(str(path), "--macro", macro)
    noise = load_hardware(str(tmp_path / "t.yaml")).macro.noise
    assert (noise != load_hardware(macro).macro.noise) == (kind != "operating")


def test_one_chip_says_that_it_cannot_be_cross_validated(tmp_path: Path) -> None:
    sums(tmp_path / "s.csv", chips=1)
    out = within(str(tmp_path / "s.csv"), "--macro", ANALOG)
    assert "cross-validation: none, as that takes several chips" in out


def test_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("chip,column,ideal_sum,code\nA,0,x,1\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("chip,converter,code,gain\nA,0,1,-1\n", encoding="utf-8")
    told = run(tmp_path, "a.csv", "b.csv", "--macro", ANALOG, expect=3)
    assert "a.csv:2:5: ideal_sum: found 'x'" in told
    assert "b.csv:2:7: gain: found '-1'" in told
    assert not (tmp_path / "a.yaml").exists()
