"""Studies over networks and macros together, with real training, and what users see of them."""

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random

import pytest

import cimsearch
from cimsearch.errors import StudyError
from cimsearch.evaluate import Job
from cimsearch.evaluate.run import evaluate
from cimsearch.orchestrate.launch import launch, resume
from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.starting import Start
from cimsearch.search.pricing import price
from cimsearch.space import Space
from cimsearch.spec import Study, load_hardware, load_space_spec, load_study
from cimsearch.spec.hardware_genes import Number
from cimsearch.spec.settings import with_settings
from cimsearch.spec.study import DigitsData, Recipe, Rung
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.training.fingerprint import fingerprint
from cimsearch.workers import Event, InlineExecutor
from tests.commands import cimsearch as run
from tests.commands import unwrapped
from tests.studies import TINY_STUDY, copy_database
from tests.unit.orchestrate.quick import QuickExecutor, table

Write = Callable[[str, str], Path]

OPENED = TINY_STUDY.replace("yu_cicc_2020", "charge_28nm").replace(
    "genes: {adc_bits: [3, 4, 5]}",
    "genes: {hardware: {rows: [64, 128], active_rows: [32, 64, 128], supply_v: [0.7, 0.9]}}",
)
DIGITS = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)


def url(directory: Path) -> str:
    return f"sqlite:///{directory / 'cimsearch.db'}"


def result_of(directory: Path) -> StudyResult:
    storage = open_storage(url(directory), create=False)
    row = db.find_study(storage, "tiny")
    assert row is not None
    return read_result(storage, row.id)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with ``tiny.yaml`` and the database of its whole run."""
    directory = tmp_path_factory.mktemp("searched")
    (directory / "tiny.yaml").write_text(OPENED.lstrip(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE", str(directory / "cache"))
        study = load_study(str(directory / "tiny.yaml"))
        launch(study, storage=url(directory), executor=InlineExecutor())
    return directory


@pytest.mark.slow
def test_a_front_is_over_networks_and_macros(searched: Path) -> None:
    result, study = result_of(searched), load_study(str(searched / "tiny.yaml"))
    assert result.count("complete") == 4
    assert len({trial.candidate.settings for trial in result.trials}) > 1
    for trial in result.trials:
        settings = dict(trial.candidate.settings)
        assert set(settings) == {"rows", "active_rows", "supply_v"}
        assert settings["active_rows"] <= settings["rows"]
        priced = price(study, trial.candidate)
        assert tuple(trial.objectives.values())[1:] == priced.objectives
        assert trial.cost is not None
        assert trial.cost["calibrated"] is False
    own = (("rows", 128), ("active_rows", 128), ("supply_v", 0.9))
    assert all(baseline.candidate.settings == own for baseline in result.baselines)


@pytest.mark.slow
def test_the_public_front_has_the_settings(searched: Path) -> None:
    for trial in cimsearch.pareto_front("tiny", storage=url(searched)):
        cost = cimsearch.estimate(trial.candidate, load_hardware("macros/charge_28nm"))
        assert cost.energy_pj == trial.objectives["energy_pj"]


@pytest.mark.slow
def test_launching_it_again_trains_nothing(searched: Path) -> None:
    before = result_of(searched)
    study = load_study(str(searched / "tiny.yaml"))
    again = launch(study, storage=url(searched), executor=InlineExecutor())
    assert [e.ended for e in again.evaluations] == [e.ended for e in before.evaluations]


@pytest.mark.slow
def test_other_choices_are_another_study(searched: Path, write: Write) -> None:
    other = load_study(str(write("tiny.yaml", OPENED.replace("[0.7, 0.9]", "[0.8, 0.9]"))))
    with pytest.raises(StudyError) as caught:
        launch(other, storage=url(searched), executor=InlineExecutor())
    assert "study.genes.hardware.supply_v" in caught.value.message


@pytest.mark.slow
def test_users_see_the_settings(searched: Path) -> None:
    told = json.loads(
        run("front", "tiny", "--storage", url(searched), "--json", cwd=searched).stdout
    )
    for trial in told["front"]:
        assert "supply_v" in json.dumps(trial)
    run("report", "tiny", "--storage", url(searched), "-o", "report.html", cwd=searched)
    assert "supply" in (searched / "report.html").read_text(encoding="utf-8")


def test_an_explained_price_is_that_of_the_trial_s_machine(write: Write, tmp_path: Path) -> None:
    """Also where the file has a calibration, which no machine of the search has."""
    text = OPENED.replace("macros/charge_28nm", "macros/jia_jssc_2020")
    opened = text[text.index("{rows") : text.index("}}") + 1]
    study = load_study(str(write("tiny.yaml", text.replace(opened, "{columns_per_adc: [2, 4]}"))))
    launch(study, storage=url(tmp_path), executor=QuickExecutor(1, Random(0)))
    asked = ("explain", "tiny/0", "--layer", "stage1.layer0", "--storage", url(tmp_path))
    told = run(*asked, cwd=tmp_path).stdout
    machine = dict(result_of(tmp_path).trials[0].candidate.settings)
    settings = f"columns_per_adc {machine['columns_per_adc']}"
    heading = unwrapped(told).partition("data statistics")[0]
    assert f"on jia_jssc_2020 with columns per adc {machine['columns_per_adc']}" in heading.lower()
    assert f"follows from the settings {settings}, as docs/hardware-genes.md says" in told
    assert "not calibrated" in told
    explained = json.loads(run(*asked, "--json", cwd=tmp_path).stdout)
    assert explained["settings"] == machine
    assert list(explained).index("settings") == list(explained).index("hardware") + 1
    by_path = {each["path"]: each for each in explained["constants"]}
    assert by_path["macro.adc.columns_per_adc"]["value"] == machine["columns_per_adc"]
    assert by_path["macro.adc.columns_per_adc"]["origin"]["basis"] == "derived"
    assert by_path["macro.adc.model.k1_ff"]["origin"]["source"].startswith("H. Jia")


class Killed(Exception):  # noqa: N818 - it is no error, it is the end of a process
    pass


class MortalExecutor(QuickExecutor):
    """Ends the process after a number of results, as a kill would."""

    left = 5

    def events(self, timeout_s: float) -> list[Event]:
        found = super().events(timeout_s)
        self.left -= len(found)
        if self.left < 0:
            raise Killed
        return found


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    text = OPENED.replace("{trials: 4}", "{trials: 16}").replace("optuna_nsga2", "auto")
    (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    return load_study(str(folder / "tiny.yaml"))


@pytest.fixture(scope="module")
def finished(study: Study, folder: Path) -> Path:
    """Return a directory with the database of the whole study, only to read or to copy."""
    launch(study, storage=url(folder), executor=QuickExecutor(1, Random(0)))
    return folder


@pytest.fixture
def whole(finished: Path, tmp_path: Path) -> str:
    """Return the URL of a database of the test's own that has the whole study."""
    copy_database(finished, tmp_path)
    return url(tmp_path)


def test_a_killed_study_goes_on_to_the_same_trials(study: Study, whole: str) -> None:
    cut = whole.replace("cimsearch.db", "cut.db")
    with pytest.raises(Killed):
        launch(study, storage=cut, executor=MortalExecutor(3, Random(1)))
    resume("tiny", storage=cut, executor=QuickExecutor(2, Random(2)))
    assert table(cut) == table(whole)
    numbers = [row[0] for row in table(cut)]
    assert len(numbers) == len(set(numbers)) >= 16


def test_a_search_may_begin_with_the_baselines_on_the_file_s_machine(
    study: Study, tmp_path: Path
) -> None:
    baselines, executor = Start(baselines=True), QuickExecutor(1, Random(0))
    launch(study, storage=url(tmp_path), executor=executor, start=baselines)
    first, second = result_of(tmp_path).trials[:2]
    assert [first.candidate.hash, second.candidate.hash] == [
        baseline.candidate.hash for baseline in result_of(tmp_path).baselines
    ]


def test_another_study_of_the_same_machines_takes_scores_over(
    whole: str, write: Write, tmp_path: Path
) -> None:
    text = OPENED.replace("name: tiny", "name: cheap").replace("{trials: 4}", "{trials: 2}")
    cheap = load_study(str(write("cheap.yaml", text + "objectives: [accuracy, energy_pj]\n")))
    begun = Start(study="tiny")
    result = launch(cheap, storage=whole, executor=QuickExecutor(1, Random(0)), start=begun)
    first = result_of(tmp_path)
    assert [t.reused for t in result.trials][:16] == [True] * 16
    for own, other in zip(result.trials, first.trials, strict=False):
        assert own.candidate.hash == other.candidate.hash
        assert own.objectives["accuracy"] == other.objectives["accuracy"]


def test_a_study_of_one_machine_has_other_candidates(
    study: Study, write: Write, tmp_path: Path
) -> None:
    plain = TINY_STUDY.replace("yu_cicc_2020", "charge_28nm").replace(
        "{adc_bits: [3, 4, 5]}", "{}"
    )
    one = load_study(str(write("one.yaml", plain.replace("name: tiny", "name: one"))))
    launch(one, storage=url(tmp_path), executor=QuickExecutor(1, Random(0)))
    executor = QuickExecutor(1, Random(0))
    result = launch(study, storage=url(tmp_path), executor=executor, start=Start(study="one"))
    assert not any(trial.reused for trial in result.trials)
    assert result.started is not None
    assert result.started["outside"] == ["no hardware.rows"]


@pytest.mark.parametrize(
    ("old", "new"), [("[0.7, 0.9]", "[0.8, 1.0]"), (", supply_v: [0.7, 0.9]", "")]
)
def test_settings_that_another_study_does_not_have_are_named(
    whole: str, write: Write, old: str, new: str
) -> None:
    text = OPENED.replace("name: tiny", "name: other").replace("{trials: 4}", "{trials: 1}")
    other = load_study(str(write("other.yaml", text.replace(old, new))))
    executor = QuickExecutor(1, Random(0))
    started = launch(other, storage=whole, executor=executor, start=Start(study="tiny")).started
    assert started is not None
    assert sorted(started["outside"]) == ["hardware.supply_v 0.7", "hardware.supply_v 0.9"]


def test_genes_of_the_hardware_are_parameters_of_a_trial(finished: Path) -> None:
    storage = open_storage(url(finished), create=False)
    row = db.find_study(storage, "tiny")
    assert row is not None
    for trial in db.trial_rows(storage, row.id):
        assert {"hardware.rows", "hardware.active_rows", "hardware.supply_v"} <= set(trial.params)


def test_a_job_is_of_its_machine(study: Study) -> None:
    plan = Plan(study, None, "digits", 4)
    space = plan.space
    for seed in range(6):
        candidate = space.sample(seed)
        job = plan.job(candidate, test=False)
        assert isinstance(job, Job)
        assert job.hardware == study.machine(candidate.settings)
        assert job.hardware.macro.supply_v == dict(candidate.settings)["supply_v"]
        back = Job.from_json(job.to_json())
        assert back == job
        assert back.key == job.key


def scored(level: str, **settings: Number) -> float:
    return _scored(level, tuple(settings.items()))


@lru_cache
def _scored(level: str, settings: tuple[tuple[str, Number], ...]) -> float:
    """Return the accuracy of one network after training on a loud macro with other settings."""
    candidate = Space(load_space_spec("vgg_tiny")).uniform(weight_bits=6, activation_bits=4)
    file = load_hardware("macros/charge_28nm")
    noise = file.macro.noise.model_copy(update={"adc_sigma_frac": 0.01})
    loud = file.model_copy(update={"macro": file.macro.model_copy(update={"noise": noise})})
    score = evaluate(
        Job(
            candidate_hash=candidate.hash,
            blueprint=candidate.blueprint,
            parent=candidate.parent,
            hardware=with_settings(loud, settings),
            data=DIGITS,
            data_path=None,
            data_fingerprint=fingerprint(DIGITS, None),
            recipe=Recipe(batch=64, parent_epochs=6, parent_lr=0.2, qat_lr=0.05),
            rung=Rung.model_validate(
                {"epochs": 0, "train_level": "L0", "score_level": level, "chips": 3}
            ),
            study_seed=7,
        )
    )
    return score.accuracy


@pytest.mark.slow
@pytest.mark.parametrize("level", ["L0", "L1"])
def test_accuracy_pays_for_what_energy_saves(level: str) -> None:
    """The same trained network on machines whose sums are read with less and less swing."""
    own = scored(level)
    assert own > 0.5
    assert scored(level, supply_v=0.63) < own - 0.02
    assert scored(level, rows=512) < scored(level, rows=256) < own - 0.02
    assert scored(level, adc_bits=3) < own - 0.02
