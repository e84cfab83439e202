"""The command line as its users meet it: output, messages, exit codes."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.cli.run import _note_lag
from cimsearch.workers import connection
from tests.commands import cimsearch, unwrapped
from tests.studies import TINY_STUDY, copy_database
from tests.unit.cli.verbs import ended

Write = Callable[[str, str], Path]


def failing(*arguments: str, cwd: Path, code: int) -> str:
    """Run a verb that must fail, before it starts a worker; return its message."""
    found, _, message = ended(cwd, *arguments)
    assert found == code
    return checked(message)


def checked(message: str) -> str:
    """Return a message, which must be one, and no traceback."""
    assert "Traceback" not in message
    assert message.strip()
    return message


def test_help_names_every_exit_code(tmp_path: Path) -> None:
    out = cimsearch("--help", cwd=tmp_path).stdout
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "130 "):
        assert f"  {code}" in out


def test_list_and_show(tmp_path: Path) -> None:
    listed = json.loads(cimsearch("list", "hardware", "--json", cwd=tmp_path).stdout)
    assert {"macros/yu_cicc_2020", "macros/chih_isscc_2021", "macros/wan_nature_2022"} <= {
        entry["name"] for entry in listed
    }
    assert all(entry["summary"] for entry in listed)
    out = cimsearch("show", "macros/yu_cicc_2020", cwd=tmp_path).stdout
    row = next(line for line in out.splitlines() if line.startswith("array.rows "))
    assert "128" in row
    assert "reported" in row
    assert "yu_cicc_2020.yaml:" in row
    inherited = next(line for line in out.splitlines() if line.startswith("technology.node_nm "))
    assert "cmos_65nm.yaml:" in inherited
    assert "22 genes" in cimsearch("show", "vgg_tiny", cwd=tmp_path).stdout
    assert "sampler.lag" in cimsearch("show", "quickstart", cwd=tmp_path).stdout
    assert "known are" in failing("show", "nothing", cwd=tmp_path, code=3)


def test_check_tells_all_errors_of_all_files(tmp_path: Path, write: Write) -> None:
    write("good.yaml", TINY_STUDY)
    write("bad.yaml", TINY_STUDY.replace("optuna_nsga2", "nsga9").replace("chips: 2", "chips: 0"))
    assert cimsearch("check", "good.yaml", cwd=tmp_path).stdout == "good.yaml: ok\n"
    done = cimsearch("check", "good.yaml", "bad.yaml", cwd=tmp_path, expect=3)
    assert "good.yaml: ok" in done.stdout
    assert "bad.yaml:9:" in done.stderr
    assert "sampler.name" in done.stderr
    assert "rungs.0.chips" in done.stderr
    write("odd.yaml", "schema: something/1\n")
    assert "odd.yaml:1:1: schema" in failing("check", "odd.yaml", cwd=tmp_path, code=3)


def test_check_tells_programs_too(tmp_path: Path, write: Write) -> None:
    write("good.yaml", TINY_STUDY)
    write("bad.yaml", TINY_STUDY.replace("optuna_nsga2", "nsga9").replace("chips: 2", "chips: 0"))
    files = ["good.yaml", "bad.yaml", "nowhere.yaml"]
    done = cimsearch("check", *files, "--json", cwd=tmp_path, expect=3)
    assert not done.stderr
    good, bad, nowhere = json.loads(done.stdout)
    assert good == {"file": "good.yaml", "ok": True, "errors": [], "hint": ""}
    assert not bad["ok"]
    assert [error["file"] for error in bad["errors"]] == ["bad.yaml", "bad.yaml"]
    told = {error["message"].split(":")[0]: error for error in bad["errors"]}
    assert set(told) == {"sampler.name", "rungs.0.chips"}
    line = (tmp_path / "bad.yaml").read_text().splitlines()[told["sampler.name"]["line"] - 1]
    assert line[told["sampler.name"]["column"] - 1 :].startswith("name: nsga9")
    assert not nowhere["ok"]
    assert (nowhere["errors"][0]["line"], nowhere["errors"][0]["column"]) == (None, None)
    assert "nowhere.yaml" in nowhere["errors"][0]["message"]
    alone = cimsearch("check", "good.yaml", "--json", cwd=tmp_path)
    assert json.loads(alone.stdout) == [good]


def test_cost_tells_why_layers_are_not_pipelined(tmp_path: Path, write: Write) -> None:
    names = {}
    for macros in (64, 3):
        write(
            f"chip{macros}.yaml",
            "schema: cimsearch/hardware/1\nkind: system\nextends: systems/edge_soc\n"
            f"name: chip{macros}\nsummary: pipelined\nsource: assumed\nmacros: {macros}\n"
            "execution: pipelined\nbasis: {macros: assumed}\n",
        )
        arguments = ["cost", "vgg_tiny", "--hardware", f"chip{macros}.yaml"]
        text = cimsearch(*arguments, cwd=tmp_path).stdout
        names[macros] = text, json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)
    (fits, fitting), (text, report) = names[64], names[3]
    assert "not pipelined" not in fits
    assert fitting["pipelined"]
    assert fitting["interval_ns"] < fitting["latency_ns"]
    told = next(line for line in text.splitlines() if line.startswith("  interval "))
    assert "not pipelined, as the network does not fit" in told
    assert not report["pipelined"]
    assert report["interval_ns"] == report["latency_ns"]
    assert max(map(len, text.splitlines())) <= 120
    assert "nobody validated the rest" in unwrapped(text)


def test_cost_tells_the_groups_of_fused_layers(tmp_path: Path, write: Write) -> None:
    write(
        "fused.yaml",
        "schema: cimsearch/hardware/1\nkind: system\nextends: systems/edge_soc\n"
        "name: fused\nsummary: layers that fit run at once\nsource: assumed\n"
        "macros: 8\nexecution: fused\nbasis: {macros: assumed}\n",
    )
    arguments = ["cost", "vgg_tiny", "--hardware", "fused.yaml"]
    report = json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)
    text = cimsearch(*arguments, cwd=tmp_path).stdout
    groups = report["groups"]
    assert not report["pipelined"]
    assert [name for group in groups for name in group["layers"]] == [
        layer["name"] for layer in report["layers"]
    ]
    assert sum(group["batch_ns"] for group in groups) == pytest.approx(report["latency_ns"])
    assert f"weights are loaded at every inference, in {len(groups)} groups" in text
    header = next(line for line in text.splitlines() if line.startswith("layer "))
    assert header.split()[-1] == "group"
    last = next(line for line in text.splitlines() if line.startswith(groups[-1]["layers"][-1]))
    assert last.split()[-1] == str(len(groups))
    at = text.splitlines().index(next(x for x in text.splitlines() if x.startswith("group ")))
    told = text.splitlines()[at + 1 : at + 1 + len(groups)]
    for line, group in zip(told, groups, strict=True):
        assert line.startswith(str(groups.index(group) + 1))
        assert f"{group['loading_ns']:.4g}" in line
        assert group["layers"][0] in line
        assert ("in rounds" in line) != group["fits"]
    assert max(map(len, text.splitlines())) <= 120


def test_cost_tells_where_nothing_is_validated(tmp_path: Path, write: Write) -> None:
    write(
        "flash.yaml",
        "schema: cimsearch/hardware/1\nkind: macro\nextends: macros/choi_cicc_2023\n"
        "name: flash\nsummary: of a device that no chips are known of\nsource: assumed\n"
        "calibration: null\nbasis: {}\n",
    )
    arguments = ["cost", "vgg_tiny", "--hardware", "flash.yaml"]
    assert json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)[
        "unvalidated_frac"
    ] == pytest.approx(1.0)
    text = unwrapped(cimsearch(*arguments, cwd=tmp_path).stdout)
    assert "nobody validated any of the energy; that of the macros may be off by x or /" in text
    assert "nobody validated the rest" not in text


def test_cost_prices_without_training(tmp_path: Path) -> None:
    arguments = ["cost", "vgg_tiny", "--hardware", "macros/yu_cicc_2020"]
    text = cimsearch(*arguments, cwd=tmp_path).stdout
    assert "80 % band" in text
    uniform = json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)
    assert sum(uniform["components"].values()) == pytest.approx(uniform["energy_pj"])
    smallest = ",".join(["0"] * 22)
    small = json.loads(cimsearch(*arguments, "--genes", smallest, "--json", cwd=tmp_path).stdout)
    assert small["energy_pj"] < uniform["energy_pj"]


def test_cost_tells_signal_to_noise(tmp_path: Path) -> None:
    arguments = ["cost", "resnet8", "--hardware", "macros/yu_cicc_2020", "--snr"]
    text = cimsearch(*arguments, cwd=tmp_path).stdout
    assert "> 80 dB: no error that the model can tell; lossless: the bits" in unwrapped(text)
    stem, block = (
        next(line.split() for line in reversed(text.splitlines()) if line.startswith(name))
        for name in ("stem ", "stage0.block0.conv1 ")
    )
    assert stem[1:] == [*(3 * [">", "80", "dB"]), "-", "-"]
    report = json.loads(cimsearch(*arguments, "--json", cwd=tmp_path).stdout)
    layers = {layer["name"]: layer for layer in report["fidelity"]}
    assert layers["stem"]["snr_db"] is None
    found = layers["stage0.block0.conv1"]
    assert found["snr_db"] < min(found["snr_db_analog"], found["snr_db_adc"])
    assert block[1:7:2] == [f"{found[f'snr_db{part}']:.1f}" for part in ("", "_analog", "_adc")]
    assert block[7:10] == [str(found["adc_bits"]), "/", str(found["adc_bits_lossless"])]
    assert "fidelity" not in json.loads(cimsearch(*arguments[:-1], "--json", cwd=tmp_path).stdout)


@pytest.mark.parametrize(
    ("genes", "code", "message"),
    [
        ("1,2,three", 2, "found '1,2,three'; allowed are whole numbers with commas between"),
        ("1,2", 3, "found shape (1, 2); allowed is (n, 22)"),
        (",".join(["9"] * 22), 3, "found 9; allowed is a whole number from 0 to 2"),
        ("nowhere.json", 2, "nowhere.json"),
    ],
)
def test_cost_refuses_bad_genes(tmp_path: Path, genes: str, code: int, message: str) -> None:
    arguments = ["cost", "vgg_tiny", "--hardware", "macros/yu_cicc_2020", "--genes", genes]
    assert message in failing(*arguments, cwd=tmp_path, code=code)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["launch", "nothing"], 3, "no 'nothing' in the catalogue"),
        (["launch", "./nothing.yaml"], 3, "nothing.yaml: no such file"),
        (["launch", "bad.yaml"], 3, "bad.yaml:9:"),
        (["launch", "tiny.yaml", "--storage", "nonsense"], 4, "nonsense"),
        (["launch", "tiny.yaml", "--storage", "sqlite:///no/such/dir/x.db"], 4, "no/such/dir"),
        (["launch", "tiny.yaml", "--workers", "0"], 2, "--workers"),
        (["launch", "tiny.yaml", "--data", "somewhere"], 5, "takes no path"),
        (["launch", "cifar10_resnet8"], 5, "CIMSEARCH_DATA"),
        (["launch", "cifar10_resnet8", "--data", "nowhere"], 5, "nowhere: no such file"),
        (["status", "tiny", "--storage", "sqlite:///none.db"], 4, "none.db"),
        (["front", "tiny", "--storage", "sqlite:///none.db"], 4, "none.db"),
        (["resume", "other", "--storage", "sqlite:///none.db"], 4, "none.db"),
        (["launsh"], 2, "launsh"),
    ],
)
def test_bad_input_is_one_clear_message_and_a_code(
    tmp_path: Path, write: Write, arguments: list[str], code: int, message: str
) -> None:
    write("tiny.yaml", TINY_STUDY)
    write("bad.yaml", TINY_STUDY.replace("optuna_nsga2", "nsga9"))
    assert message in failing(*arguments, cwd=tmp_path, code=code)
    assert not (tmp_path / "none.db").exists()
    assert not (tmp_path / "reports").exists()


def test_a_cluster_that_does_not_answer_is_told(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_CONNECT_S", 1)
    write("tiny.yaml", TINY_STUDY)
    arguments = ["launch", "tiny.yaml", "--cluster", "tcp://127.0.0.1:9"]
    # In this process: it comes to no workers.
    code, _, told = ended(tmp_path, *arguments)
    assert code == 6
    message = checked(told)
    assert "no dask scheduler answers" in message
    assert not (tmp_path / "reports").exists()


def test_a_file_that_is_no_database_is_told(tmp_path: Path, write: Write) -> None:
    write(
        "x.db", "this is not a database, it is a text file that is long enough to be read\n" * 20
    )
    write("tiny.yaml", TINY_STUDY)
    arguments = ["launch", "tiny.yaml", "--storage", "sqlite:///x.db"]
    assert "x.db" in failing(*arguments, cwd=tmp_path, code=4)


@pytest.mark.slow
def test_reading_verbs_agree(finished_study: Path, tmp_path: Path) -> None:
    copy_database(finished_study, tmp_path)
    status = json.loads(cimsearch("status", "tiny", "--json", cwd=tmp_path).stdout)
    assert (status["done"], status["failed"], status["running"]) == (4, 0, 0)
    studies = json.loads(cimsearch("status", "--json", cwd=tmp_path).stdout)
    assert studies == [{"study": "tiny", "trials": 4, "scored": 4, "running": False}]
    front = json.loads(cimsearch("front", "tiny", "--json", cwd=tmp_path).stdout)
    assert len(front["front"]) == status["front"]
    assert {b["name"] for b in front["baselines"]} == {"uniform 8 bit", "uniform 4 bit"}
    number = front["front"][0]["number"]
    trial = json.loads(cimsearch("trial", "tiny", str(number), "--json", cwd=tmp_path).stdout)
    assert trial["objectives"] == front["front"][0]["objectives"]
    assert trial["cost"]["energy_pj"] == trial["objectives"]["energy_pj"]
    text = cimsearch("trial", "tiny", str(number), cwd=tmp_path).stdout
    assert "utilization" in text
    assert re.search(r"accuracy +[0-9.]+ % \(the mean of 2 chips\)", text)
    assert re.search(r"5th percentile +needs 20 chips", text)
    assert "yield" not in text
    told = cimsearch("trial", "tiny", str(number), "--target", "0.01", cwd=tmp_path).stdout
    assert "100.0 % (2 of 2 chips; 95 % interval 15.8 % to 100.0 %)" in told
    assert trial["accuracy_statistic"] == front["accuracy_statistic"] == "mean"
    found = trial["score"]["distribution"]
    assert found["mean"] == trial["objectives"]["accuracy"]
    assert found["worst"] == min(trial["score"]["accuracy_per_chip"])
    assert (found["percentile_5"], found["tolerance_95_95"]) == (None, None)
    assert "test" in cimsearch("front", "tiny", cwd=tmp_path).stdout
    assert "front" in cimsearch("status", "tiny", cwd=tmp_path).stdout
    path = cimsearch("report", "tiny", "-o", "out/r.html", cwd=tmp_path).stdout.strip()
    assert (tmp_path / path).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "it has trials 0 to 3" in failing("trial", "tiny", "99", cwd=tmp_path, code=1)
    assert "studies there: tiny" in failing("front", "tinny", cwd=tmp_path, code=1)


@pytest.mark.slow
def test_a_study_in_which_everything_fails_says_why_and_fails(
    tmp_path: Path, write: Write
) -> None:
    text = TINY_STUDY.replace("parent_lr: 0.2", "parent_lr: 1.0e9").replace(
        "trials: 4", "trials: 1"
    )
    write("tiny.yaml", text)
    done = cimsearch("launch", "tiny.yaml", "--workers", "1", cwd=tmp_path, expect=1)
    assert "failed 3 x: CimsearchError: training diverged" in done.stdout
    assert "every trial failed" in done.stderr
    status = json.loads(cimsearch("status", "tiny", "--json", cwd=tmp_path).stdout)
    assert (status["failed"], status["running"], status["waiting"]) == (1, 0, 0)


def test_doctor_looks_at_everything(tmp_path: Path) -> None:
    findings = json.loads(cimsearch("doctor", "--json", cwd=tmp_path).stdout)
    assert {"python", "optuna", "torch", "cpu", "catalogue", "database"} <= {
        finding["what"] for finding in findings
    }
    assert not (tmp_path / "cimsearch.db").exists()


def test_data_check_counts(tmp_path: Path, write: Write) -> None:
    write("tiny.yaml", TINY_STUDY)
    report = json.loads(cimsearch("data", "check", "tiny.yaml", "--json", cwd=tmp_path).stdout)
    assert sum(part["images"] for part in report["parts"].values()) == 1797
    text = cimsearch("data", "check", "tiny.yaml", cwd=tmp_path).stdout
    assert "in both train/test" in text


@pytest.mark.parametrize(("lag", "workers", "told"), [(4, 2, False), (8, 4, False), (4, 8, True)])
def test_a_lag_that_keeps_workers_waiting_is_told(
    lag: int, workers: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    _note_lag(lag, workers)
    text = capsys.readouterr().err
    assert ("8 workers will often wait for each other; 96 keeps them busy" in text) == told
    assert bool(text) == told
