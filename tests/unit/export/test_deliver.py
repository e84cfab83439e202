"""Trials of studies, delivered and verified as users do it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import onnx
import pytest
from safetensors.numpy import load, load_file

from cimsearch.errors import DataError, StudyError
from cimsearch.evaluate import Job
from cimsearch.evaluate.machine import fingerprint
from cimsearch.evaluate.train import forget_parents
from cimsearch.evaluate.weights import kept_weights
from cimsearch.export.inputs import inputs_of
from cimsearch.export.scoring import scored_images
from cimsearch.export.verify import verify_export
from cimsearch.export.write import write_export
from cimsearch.orchestrate.derive.deliver import deliver
from cimsearch.orchestrate.derive.reprice import reprice
from cimsearch.orchestrate.launch import launch
from cimsearch.orchestrate.read.noted import Noted
from cimsearch.orchestrate.run.state import ADAPTATION
from cimsearch.space import Candidate
from cimsearch.spec import Study, load_study
from cimsearch.spec.adaptation import Adaptation
from cimsearch.spec.study import Normalisation
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.training.data import normalise
from tests.commands import cimsearch
from tests.unit.export.networks import DIGITS, hardware, job, subject
from tests.unit.onnx.runtimes import run_onnx
from tests.unit.orchestrate.repriced import quick_study, steady
from tests.workloads import TWO_WORKLOADS, JointExecutor

IN_SEARCH, ON_FRONT = 0, 3
"""Trials of the finished study: one that was not scored on test images, and one that was."""


PIXELS = "x = pixel / 255, pixel being scikit-learn's grey level (0 to 16) times 255 / 16, rounded"


def cache_of(study: Path) -> dict[str, str]:
    return {"CIMSEARCH_CACHE": str(study / "cache")}


@pytest.fixture(scope="module")
def delivered(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an export of the trial on the front, to be read only."""
    out = tmp_path_factory.mktemp("delivered") / "out"
    cimsearch(
        *("export", "tiny", str(ON_FRONT), "--to", str(out)),
        cwd=finished_study,
        environment=cache_of(finished_study),
    )
    return out


def test_a_network_scored_on_test_images_is_the_one_that_was(
    finished_study: Path, delivered: Path
) -> None:
    shown = json.loads(
        cimsearch("trial", "tiny", str(ON_FRONT), "--json", cwd=finished_study).stdout
    )
    scores = json.loads((delivered / "scores.json").read_text())
    assert scores["split"] == "test"
    assert scores["as_in_study"]
    mean = sum(scores["accuracy_per_chip"]) / len(scores["accuracy_per_chip"])
    assert mean == shown["test_accuracy"]
    assert [chip["chip"] for chip in scores["chips"]] == [1000, 1001]
    out = cimsearch("verify", str(delivered), cwd=finished_study).stdout
    assert "every prediction of 2 chips at level L1 on 100 test images is the same" in out
    assert out.endswith("\nreproduces its accuracy to the last image\n")


def test_weights_are_those_that_were_kept(finished_study: Path, delivered: Path) -> None:
    found = Job.from_json((delivered / "job.json").read_text())
    assert found.replicate == 1
    kept = kept_weights(replace(found, cache=str(finished_study / "cache")), fingerprint())
    assert kept is not None
    weights = {n: v.tobytes() for n, v in load(kept).items()}
    given = load_file(delivered / "weights.safetensors")
    assert {name: values.tobytes() for name, values in given.items()} == weights


def test_nothing_of_this_machine_s_folders_is_delivered(
    finished_study: Path, delivered: Path
) -> None:
    content = b"".join(path.read_bytes() for path in delivered.iterdir())
    assert str(finished_study).encode() not in content


def test_without_a_cache_the_same_bytes_come_again(finished_study: Path, tmp_path: Path) -> None:
    """Of a trial of the search alone: its own weights and validation images."""
    url, outs = f"sqlite:///{finished_study / 'cimsearch.db'}", []
    for cache in ("kept", "none"):
        forget_parents()
        with pytest.MonkeyPatch.context() as patch:
            if cache == "kept":
                patch.setenv("CIMSEARCH_CACHE", str(finished_study / "cache"))
            deliver("tiny", str(IN_SEARCH), tmp_path / cache, storage=url)
        outs.append({p.name: p.read_bytes() for p in (tmp_path / cache).iterdir()})
    assert outs[0] == outs[1]
    scores = json.loads(outs[0]["scores.json"])
    assert (scores["split"], scores["chips"][0]["chip"]) == ("validation", 0)
    assert (
        b"Its weights are those that the study scored on validation images." in outs[0]["card.md"]
    )


def test_onnx_says_what_an_ideal_converter_does(delivered: Path) -> None:
    given = Job.from_json((delivered / "job.json").read_text())
    images = normalise(scored_images(given).x, given.data).numpy()
    logits = run_onnx(delivered / "model.onnx", images)
    ideal = json.loads((delivered / "scores.json").read_text())["ideal_predictions"]
    assert logits.argmax(axis=1).tolist() == ideal


def test_the_card_tells_figures_with_unit_and_source(delivered: Path) -> None:
    text = (delivered / "card.md").read_text()
    scores = json.loads((delivered / "scores.json").read_text())
    mean = sum(scores["accuracy_per_chip"]) / len(scores["accuracy_per_chip"])
    for line in (
        "# tiny, trial 3",
        f"| mean over chips | {100 * mean:.2f} % | `scores.json` |",
        "100 test images, which the search never saw.",
        "| data | digits, 10 classes, images of 1 x 8 x 8, augmentation `{",
        f"| input of the network | {PIXELS} | the study and its data |",
        "| images | train 1151, validation 287, test 359 | the data |",
        "| shares held out, of each class | validation 0.2 of the training images; test 0.2 of",
        "Not validated by any chip:",
        "for 80 % of chips",
        "| study seed, replicate | 0, 1 | the study |",
    ):
        assert line in text, line
    assert "There is no ONNX file" not in text
    mapping = json.loads((delivered / "mapping.json").read_text())
    assert all(f"| {layer['layer']} | conv | arrays |" in text for layer in mapping["layers"])


@pytest.mark.parametrize("name", ["model.onnx", "model.qonnx.onnx"])
def test_graphs_say_how_images_become_inputs(delivered: Path, name: str) -> None:
    model = onnx.load(delivered / name)
    assert model.graph.input[0].doc_string == PIXELS
    assert {each.key: each.value for each in model.metadata_props}["cimsearch.images"] == PIXELS


def test_the_card_tells_the_normalisation() -> None:
    normalised = Normalisation(mean=(0.25,), std=(0.5,))
    data = DIGITS.model_copy(update={"normalisation": normalised})
    found = inputs_of(job(hardware(), data=data))
    assert found.text.startswith("x = (pixel / 255 - mean) / std, with mean [0.25] and std [0.5] ")
    assert found.counts == {"train": 357, "validation": 362}


def test_without_onnx_the_card_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cimsearch.export.graphs.find_spec", lambda _: None)
    given = subject(job(hardware(), level="L0", calibration="per_chip"))
    write_export(given, tmp_path / "out")
    text = (tmp_path / "out" / "card.md").read_text()
    assert "There is no ONNX file: the package onnx was not installed" in text
    assert not list((tmp_path / "out").glob("*.onnx"))
    assert "**What is delivered was fitted once for all chips.**" in text
    found = verify_export(tmp_path / "out")
    assert found.passed
    assert found.notes == (
        "the study calibrated each chip; this is the network before it, fitted once for all",
    )
    # A score that nothing explains is an error, not an export.
    wrong = replace(given, score=replace(given.score, shared_accuracy_per_chip=(0.5, 0.5)))
    with pytest.raises(StudyError, match="trial 3 of small does not score again as it did"):
        write_export(wrong, tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("tiny", "uniform 9 bit"), 1, "or one of: uniform 8 bit; uniform 4 bit"),
        (("tiny", "99"), 1, "tiny: no trial 99\nhint: it has trials 0 to 3"),
        (("other", "0"), 1, "no study 'other' in the database"),
        (("tiny", "0", "--data", "x"), 5, "data of kind digits takes no path"),
    ],
)
def test_what_cannot_be_delivered_is_said(
    finished_study: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = cimsearch(
        "export", *arguments, "--to", str(tmp_path / "out"), cwd=finished_study, expect=code
    )
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_directory_in_use_is_refused_before_any_work(finished_study: Path) -> None:
    done = cimsearch("export", "none", "0", "--to", ".", cwd=finished_study, expect=2)
    assert "exists and is not an empty directory" in done.stderr


def test_networks_of_several_workloads_are_refused(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(TWO_WORKLOADS, encoding="utf-8")
    url = f"sqlite:///{tmp_path / 'two.db'}"
    launch(
        load_study(str(tmp_path / "two.yaml")), storage=url, executor=JointExecutor(1, Random(0))
    )
    with pytest.raises(StudyError, match=r"several networks on one chip \(vgg_tiny, other\)"):
        deliver("two", str(0), tmp_path / "out", storage=url)


def test_an_infeasible_trial_and_a_stale_one_are_refused(tmp_path: Path) -> None:
    bound = ("budget:", "constraints: {energy_pj: {max: 1.0e+6}}\nbudget:")
    url = quick_study(tmp_path, trials=8, changes=(bound,))
    storage = open_storage(url, create=False)
    (study,) = db.list_studies(storage)
    rows = db.trial_rows(storage, study.id)
    storage.close()
    infeasible = next(row.number for row in rows if row.evaluation_id is None)
    with pytest.raises(StudyError, match="has no trained network: it is infeasible"):
        deliver("tiny", str(infeasible), tmp_path / "out", storage=url)
    reprice("tiny", str(tmp_path / "noisy.yaml"), storage=url)
    trained = next(row.number for row in rows if row.evaluation_id is not None)
    with pytest.raises(StudyError, match="is stale: it was found on other hardware"):
        deliver("tiny.noisy", str(trained), tmp_path / "out", storage=url)


def test_a_score_of_another_machine_is_told_beside_the_own(tmp_path: Path) -> None:
    given = subject(job(hardware(), level="L0"))
    other = replace(given.score, accuracy_per_chip=(0.25, 0.75), fingerprint="another kind")
    written = write_export(replace(given, score=other), tmp_path / "out")
    (note,) = written.notes
    assert "the study scored it on another kind of machine (another kind)" in note
    assert not written.scores.as_in_study
    assert f"> Note: {note}." in (tmp_path / "out" / "card.md").read_text()
    assert verify_export(tmp_path / "out").passed


def test_other_data_is_refused(own_export: Path, resealed: Callable[[str, bytes], Path]) -> None:
    plain = json.loads((own_export / "job.json").read_text())
    plain["data_fingerprint"] = "0" * 64
    with pytest.raises(DataError, match="digits: not the data of the export"):
        verify_export(resealed("job.json", json.dumps(plain).encode()))


def test_a_baseline_is_delivered_by_its_name(finished_study: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    cimsearch(
        *("export", "tiny", "uniform 4 bit", "--to", out),
        cwd=finished_study,
        environment=cache_of(finished_study),
    )
    text = (tmp_path / "out" / "card.md").read_text()
    assert text.startswith("# tiny, uniform 4 bit\n\nIts weights were trained anew")
    assert "the study: mean of its chips, other weights |" in text
    shown = cimsearch("verify", out, cwd=tmp_path).stdout
    assert shown.startswith("uniform 4 bit of tiny\n")


def test_an_adapted_network_scored_on_test_images_has_the_same_weights(
    tmp_path: Path, tiny_study: Study
) -> None:
    """Added as an adaptation adds it: under its label, tested with the training it has."""
    own = job(hardware(), level="L0")
    tested = replace(own, split="test", first_chip=1000)
    url = f"sqlite:///{tmp_path / 'adapted.db'}"
    launch(tiny_study, storage=url, executor=steady())
    storage = open_storage(url)
    (study,) = db.list_studies(storage)
    label = "trial 1: trained"
    steps = {label: db.add_evaluation(storage, study.id, evaluated(own, "adapted"))}
    tests = {label: db.add_evaluation(storage, study.id, evaluated(tested, "test"))}
    noted = Noted(Adaptation(training=own.rung), (1,), steps, tests)
    storage.set_study_user_attr(
        study.id, ADAPTATION, noted.to_attr([row.id for row in db.evaluations(storage, study.id)])
    )
    storage.close()
    written = deliver("tiny", "trial 1: trained", tmp_path / "out", storage=url)
    assert written.scores.study.split == "test"
    assert written.scores.as_in_study
    text = (tmp_path / "out" / "card.md").read_text()
    assert "Its weights are those that the study scored on validation images." in text
    assert "the study: mean of its chips, the same weights |" in text


def evaluated(of: Job, role: db.Role) -> db.NewEvaluation:
    """A finished evaluation as the database keeps it."""
    given = subject(of)
    return db.NewEvaluation(
        role=role,
        label="trial 1: trained",
        key=of.key,
        candidate=Candidate(of.blueprint, of.parent, ()).to_json(),
        cost=json.dumps(given.cost),
        job=of.to_json(),
        score=given.score.to_json(),
    )
