"""The verbs on hardware as their users meet them: tables, files, messages, exit codes."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from cimsearch.cost import is_calibrated
from cimsearch.spec import load_hardware
from tests.commands import cimsearch

Write = Callable[[str, str], Path]
YU = "macros/yu_cicc_2020"
CHIP = """
weight_bits,activation_bits,adc_bits,supply_v,call_ns,activity_frac,density_frac,tops_per_w
2,1,1,0.45,5,0.5,0.5,122.5
2,1,5,0.45,155,0.5,0.5,3.95
2,1,5,0.9,155,0.5,0.5,1.0
"""


def test_import_writes_a_calibrated_macro_that_prices(tmp_path: Path, write: Write) -> None:
    path = write("chip.csv", CHIP)
    out = cimsearch("hardware", "import", "chip.csv", "--macro", YU, cwd=tmp_path).stdout
    lines = out.splitlines()
    assert all(word in lines[0] for word in ("measured", "model before", "model after", "error"))
    assert [line.split()[-1] for line in lines[1:4]] == ["fitted", "fitted", "predicted"]
    assert "0.9 V" in lines[3]
    assert "weights x activations" in lines[0]
    assert "2b x 1b" in lines[1]
    assert "adc.model.step_fj" in out
    assert "written: chip.yaml" in out
    assert "predicted: points at other supplies or data (1) are off by" in out
    assert sorted(found.name for found in tmp_path.glob("*chip*")) == ["chip.csv", "chip.yaml"]
    written = load_hardware(str(tmp_path / "chip.yaml"))
    assert is_calibrated(written)
    assert sha256(path.read_bytes()).hexdigest() in written.source
    assert cimsearch("check", "chip.yaml", cwd=tmp_path).stdout == "chip.yaml: ok\n"
    cost = ["cost", "vgg_tiny", "--hardware", "chip.yaml", "--json"]
    assert json.loads(cimsearch(*cost, cwd=tmp_path).stdout)["calibrated"]


def test_import_prints_json(tmp_path: Path, write: Write) -> None:
    write("chip.csv", CHIP)
    verb = ["hardware", "import", "chip.csv", "--macro", YU, "--out", "mine.yaml", "--json"]
    found = json.loads(cimsearch(*verb, cwd=tmp_path).stdout)
    assert found["factor"] == pytest.approx(2.0, rel=0.05)
    assert found["calibrated"]
    assert [point["calibrates"] for point in found["points"]] == [True, True, False]
    assert found["file"] == "mine.yaml"


def test_the_template_can_be_imported(tmp_path: Path) -> None:
    template = cimsearch("hardware", "import", "--template", cwd=tmp_path).stdout
    (tmp_path / "chip.csv").write_text(template, encoding="utf-8")
    cimsearch("hardware", "import", "chip.csv", "--macro", YU, cwd=tmp_path)


def test_import_does_not_write_over_a_file(tmp_path: Path, write: Write) -> None:
    write("chip.csv", CHIP)
    out = write("mine.yaml", "precious\n")
    verb = ["hardware", "import", "chip.csv", "--macro", YU, "--out", "mine.yaml"]
    done = cimsearch(*verb, cwd=tmp_path, expect=2)
    assert done.stderr.startswith("error: mine.yaml: is already there")
    assert out.read_text(encoding="utf-8") == "precious\n"
    cimsearch(*verb, "--force", cwd=tmp_path)
    assert load_hardware(str(out)).name == "mine"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["import"], 2, "FILE and --macro are needed"),
        (["import", "chip.csv"], 2, "FILE and --macro are needed"),
        (["import", "none.csv", "--macro", YU], 2, "none.csv: cannot be read: No such file"),
        (
            ["import", "bad.csv", "--macro", YU],
            3,
            "bad.csv:3:24: tops_per_w: found 'x'; allowed is",
        ),
        (["import", "chip.csv", "--macro", "systems/edge_soc"], 3, "found 'system'; allowed is"),
        (["import", "chip.csv", "--macro", "macros/none"], 3, "no 'macros/none'"),
        (["import", "chip.csv", "--macro", YU, "--out", "x.csv"], 2, "ends in .yaml"),
        (["import", "chip.csv", "--macro", YU, "--out", "Mine.yaml"], 3, "Mine.yaml:4:1: name"),
        (
            ["import", "chip.csv", "--macro", YU, "--out", "none/x.yaml"],
            2,
            "error: --out: none/x.yaml cannot be written: No such file or directory\n",
        ),
        (["compare"], 2, "NAME"),
        (["compare", YU, "bad.csv"], 3, "bad.csv:3:24: tops_per_w"),
        (["compare", YU, "none.csv"], 2, "none.csv: cannot be read: No such file"),
        (
            ["compare", YU, "--plot", "none/x.html"],
            2,
            "error: --plot: none/x.html cannot be written: No such file or directory\n",
        ),
        (["compare", YU, "--macro", YU], 2, "no CSV file among the NAMEs"),
        (["compare", "chip.csv", "--plot", "x.html"], 2, "no row has a TOPS/mm2"),
    ],
)
def test_bad_input_is_one_clear_message_and_nothing_is_written(
    tmp_path: Path, write: Write, arguments: list[str], code: int, message: str
) -> None:
    write("chip.csv", CHIP)
    write("bad.csv", CHIP.replace("3.95", "x"))
    done = cimsearch("hardware", *arguments, cwd=tmp_path, expect=code)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "chip.csv"]


def test_compare_sets_macros_and_measurements_side_by_side(tmp_path: Path, write: Write) -> None:
    write("chip.csv", CHIP)
    names = [YU, "macros/wan_nature_2022", "chip.csv"]
    verb = ["hardware", "compare", *names, "--macro", YU]
    out = cimsearch(*verb, cwd=tmp_path).stdout
    assert "128 x 512" in out
    assert "1b-norm." in out
    assert "Precisions are weights x activations." in out
    assert "calibrated" in out
    rows = json.loads(cimsearch(*verb, "--json", cwd=tmp_path).stdout)
    assert [row["name"] for row in rows] == [YU] * 2 + ["macros/wan_nature_2022"] * 8 + [
        "chip.csv"
    ] * 3
    for row in rows:
        bits = row["weight_bits"] * row["activation_bits"]
        native = row["tops_per_w_native_measured"]
        assert row["tops_per_w_1b_measured"] == pytest.approx(native * bits)
    assert rows[0]["tops_per_w_native_measured"] == pytest.approx(245.0, rel=1e-3)
    assert rows[-1]["tops_per_w_native_measured"] == pytest.approx(1.0)
    assert rows[-1]["supply_v"] == 0.9


def test_compare_draws_what_has_a_place(tmp_path: Path, write: Write) -> None:
    write("chip.csv", CHIP)
    verb = ["hardware", "compare", YU, "chip.csv", "--plot", "plot.html"]
    done = cimsearch(*verb, cwd=tmp_path)
    assert "plot: plot.html" in done.stderr
    assert "3 rows without TOPS/mm2" in done.stderr
    assert (tmp_path / "plot.html").stat().st_size > 1_000_000


def test_a_macro_with_a_table_of_simulated_calls_is_compared(tmp_path: Path, write: Write) -> None:
    write("mine.yaml", TABLE)
    (row,) = json.loads(
        cimsearch("hardware", "compare", "mine.yaml", "--json", cwd=tmp_path).stdout
    )
    # All 64 rows and 128 columns, one bit each: 64 x 128 MAC in a call of 40 pJ.
    assert row["tops_per_w_1b_model"] == pytest.approx(2 * 64 * 128 / 40.0, rel=0.02)
    assert row["calibrated"] is None


TABLE = """
schema: cimsearch/hardware/1
kind: macro
extends: macros/yu_cicc_2020
name: mine
summary: simulated
source: simulation
calibration: null
configurable: null
array_call:
  components: [cells, drivers, adc]
  density_frac: 0.5
  points:
    - {bits: 5, rows: 1, activity_frac: 0.5, energy_pj: 40.0, delay_ns: 17.0}
    - {bits: 5, rows: 64, activity_frac: 0.5, energy_pj: 40.0, delay_ns: 17.0}
basis: {array_call: derived}
"""
