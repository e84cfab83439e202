"""What verbs say of a study of several rungs."""

import json
from random import Random

import pytest
from click.testing import CliRunner

from cimsearch.cli import cli
from cimsearch.cli.live import LiveProgress
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.run.progress import Progress
from cimsearch.spec import load_study
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.quick import QuickExecutor

RUNG = "  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}\n"
TAU = "rungs 0 and 1: Kendall's tau "


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a finished study of two rungs and one of one rung."""
    directory = tmp_path_factory.mktemp("rungs")
    url = f"sqlite:///{directory / 'study.db'}"
    two = TINY_STUDY.replace(RUNG, 2 * RUNG).replace("trials: 4", "trials: 26")
    two += "halving: {cohort: 2, eta: 2}\n"
    for name, text in (("two", two), ("one", TINY_STUDY)):
        path = directory / f"{name}.yaml"
        path.write_text(text.replace("name: tiny", f"name: {name}", 1), encoding="utf-8")
        launch(load_study(str(path)), storage=url, executor=QuickExecutor(2, Random(0)))
    return url


def output(*arguments: str) -> str:
    done = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_front_and_status_tell_trials_by_rung_and_whether_they_rank(storage: str) -> None:
    said = output("front", "two", "--storage", storage)
    assert "the last of 2 rungs; trained are 26 + 13 at rungs 0 to 1" in said
    assert TAU in said
    status = output("status", "two", "--storage", storage)
    assert "scored       26 + 13 at rungs 0 to 1" in status
    assert TAU in status
    assert "over 13 candidates" in status
    assert ("rung 0 does not rank" in status) == ("below 0.4" in status)


def test_json_has_the_same(storage: str) -> None:
    for verb in ("front", "status"):
        found = json.loads(output(verb, "two", "--storage", storage, "--json"))
        assert found["by_rung"] == [26, 13]
        (agreement,) = found["agreements"]
        assert (agreement["rungs"], agreement["shared"]) == ([0, 1], 13)
        assert agreement["ranks"] == (agreement["kendall_tau"] >= 0.4)
    front = json.loads(output("front", "two", "--storage", storage, "--json"))["front"]
    assert front
    for point in front:
        assert point["rung"] == 1
        below = output("trial", "two", str(point["promoted_from"]), "--storage", storage)
        assert below.splitlines()[0].endswith("complete at rung 0")


def test_of_one_rung_nothing_is_said(storage: str) -> None:
    for verb in ("front", "status"):
        assert "rung" not in output(verb, "one", "--storage", storage)
        found = json.loads(output(verb, "one", "--storage", storage, "--json"))
        assert (found["by_rung"], found["agreements"]) == ([4], [])
    assert "rung" not in output("trial", "one", "0", "--storage", storage)


def test_the_progress_line_counts_promotions(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(
        phase="searching",
        done=9,
        to_do=3,
        running=2,
        failed=0,
        infeasible=0,
        budget=20,
        best_accuracy=None,
        hypervolume=0.0,
        front=0,
        elapsed_s=1.0,
        left_s=None,
        by_rung=(9, 3, 1),
    )
    LiveProgress()(progress)
    assert "9/20 done | 3 at rung 1 | 1 at rung 2 | 3 to do" in capsys.readouterr().err
