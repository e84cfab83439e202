"""Several workloads on one chip: their jobs and scores as one."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.errors import DataError, HardwareError
from cimsearch.evaluate import AtCondition, Job, JointJob, Score, read_job
from cimsearch.evaluate.joint import joint_score, members_of, with_members
from cimsearch.evaluate.report import Report
from cimsearch.evaluate.run import evaluate, evaluate_json
from cimsearch.evaluate.train import forget_parents
from cimsearch.spec import load_hardware
from cimsearch.spec.workload import OverWorkloads
from tests.unit.evaluate.test_run import job

accuracy = st.integers(0, 100).map(lambda percent: percent / 100)
over = st.sampled_from(["mean", "worst"])


def score(*chips: float, **changes: object) -> Score:
    plain = Score("L1", "validation", 100, chips, ideal_accuracy=0.9, float_accuracy=0.95)
    return replace(plain, **changes)  # type: ignore[arg-type]


def pair(how: OverWorkloads = "mean") -> JointJob:
    other = job(data=job().data.model_copy(update={"split_seed": 1}), data_fingerprint="f")
    return JointJob((replace(job(), workload="a"), replace(other, workload="b")), how)


@given(over, st.lists(st.lists(accuracy, min_size=3, max_size=3), min_size=1, max_size=4))
def test_a_chip_has_what_its_workloads_have_on_it(
    how: OverWorkloads, rows: list[list[float]]
) -> None:
    found = joint_score(how, [(f"w{n}", score(*row)) for n, row in enumerate(rows)])
    expected = [fmean(chip) if how == "mean" else min(chip) for chip in zip(*rows, strict=True)]
    assert found.accuracy_per_chip == pytest.approx(expected)
    assert [part.name for part in found.workloads] == [f"w{n}" for n in range(len(rows))]
    for part, row in zip(found.workloads, rows, strict=True):
        assert part.accuracy_per_chip == tuple(row)
        assert part.accuracy_by("worst") == min(row)
        assert part.accuracy == pytest.approx(fmean(row))
    assert found.accuracy_by("worst") == pytest.approx(min(expected))


def test_the_worst_chip_is_the_worst_of_one_chip_not_of_any_two() -> None:
    found = joint_score("mean", [("a", score(0.9, 0.5)), ("b", score(0.5, 0.9))])
    assert found.accuracy_worst == pytest.approx(0.7)


def test_conditions_are_met_by_all_workloads_at_once() -> None:
    hot = (AtCondition("hot", (0.4, 0.8)), AtCondition("cold", (0.9, 0.7)))
    cold = (AtCondition("hot", (0.8, 0.6)), AtCondition("cold", (0.3, 0.5)))
    scores = [
        ("a", score(0.4, 0.7, conditions=hot)),
        ("b", score(0.3, 0.5, conditions=cold)),
    ]
    found = joint_score("mean", scores)
    labels = {at.label: at.accuracy_per_chip for at in found.conditions}
    assert labels["hot"] == pytest.approx((0.6, 0.7))
    assert labels["cold"] == pytest.approx((0.6, 0.6))
    assert found.accuracy_per_chip == pytest.approx((0.6, 0.6))
    assert joint_score("worst", scores).accuracy_per_chip == (0.3, 0.5)


def test_what_was_used_adds_up_and_layers_stay_apart() -> None:
    first = score(0.5, epochs=3, parent_epochs=2, cpu_seconds=1.5, activity_frac={"a/x": 0.5})
    second = score(0.7, epochs=4, parent_epochs=1, cpu_seconds=0.5, activity_frac={"b/x": 0.2})
    found = joint_score("mean", [("a", first), ("b", second)])
    assert (found.epochs, found.parent_epochs, found.cpu_seconds) == (7, 3, 2.0)
    assert [part.parent_epochs for part in found.workloads] == [2, 1]
    assert found.activity_frac == {"a/x": 0.5, "b/x": 0.2}
    assert found.shared_accuracy is None


def test_calibrated_chips_keep_what_was_fitted_once() -> None:
    parts = [
        ("a", score(0.8, 0.6, shared_accuracy_per_chip=(0.5, 0.5), calibration_images=64)),
        ("b", score(0.6, 0.8, shared_accuracy_per_chip=(0.3, 0.7), calibration_images=64)),
    ]
    found = joint_score("mean", parts)
    assert found.shared_accuracy_per_chip == pytest.approx((0.4, 0.6))
    assert found.calibration_images == 128


@pytest.mark.parametrize(
    ("how", "images", "expected"),
    [("mean", (100, 100), 200), ("mean", (100, 10_000), 396), ("worst", (100, 300), 100)],
)
def test_an_accuracy_is_as_sure_as_so_many_images(
    how: OverWorkloads, images: tuple[int, int], expected: int
) -> None:
    scores = [(str(count), score(0.5, images=count)) for count in images]
    found = joint_score(how, scores)
    assert found.images == expected
    assert [part.images for part in found.workloads] == list(images)


def test_a_joint_score_survives_its_json() -> None:
    found = joint_score("worst", [("a", score(0.5, 0.6)), ("b", score(0.4, 0.9))])
    assert Score.from_json(found.to_json()) == found


def test_a_score_of_one_workload_is_written_as_ever() -> None:
    assert "workloads" not in json.loads(score(0.5).to_json())
    assert "workload" not in json.loads(job().to_json())


def test_a_joint_job_survives_its_json() -> None:
    for each in (pair(), pair("worst"), job()):
        again = read_job(each.to_json())
        assert again == each
        assert again.key == each.key
    assert members_of(pair())[1].workload == "b"
    assert members_of(job()) == (job(),)
    with pytest.raises(ValueError, match="job schema is None"):
        read_job("{}")
    with pytest.raises(ValueError, match="job schema is 'cimsearch/job/4'"):
        JointJob.from_json(job().to_json())


def test_its_key_is_that_of_all_that_its_score_depends_on() -> None:
    one, keys = pair(), {pair().key, pair("worst").key}
    a, b = one.members
    for members in (
        (b, a),
        (a, replace(b, workload="c")),
        (a, replace(b, recipe=b.recipe.model_copy(update={"batch": 32}))),
        (a, replace(b, data_fingerprint="g")),
        (a, b, replace(b, workload="c")),
    ):
        keys.add(replace(one, members=members).key)
    assert len(keys) == 7
    moved = [replace(member, data_path="/elsewhere", cache="/there") for member in one.members]
    assert with_members(one, moved).key == one.key
    assert with_members(job(), [replace(job(), cache="/there")]).key == job().key


def quick(workload: str, **changes: object) -> Job:
    """Return a job that is done in a second, at a level that draws every cell."""
    rung = job().rung.model_copy(update={"epochs": 1, "train_level": "L0", "images": 100})
    recipe = job().recipe.model_copy(update={"batch": 128, "parent_epochs": 2})
    return replace(job(rung=rung, recipe=recipe, **changes), workload=workload)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return where trained networks are kept."""
    monkeypatch.delenv("CIMSEARCH_CACHE_GB", raising=False)
    forget_parents()
    return tmp_path / "kept"


def test_members_are_evaluated_in_order_and_keep_their_trained_networks(kept: Path) -> None:
    alone, members = quick("", cache=str(kept)), []
    for name in ("a", "b"):
        members.append(replace(alone, workload=name))
    before = evaluate(alone)
    told: list[Report] = []
    joint = JointJob(tuple(members), "mean")
    found = Score.from_json(evaluate_json(joint.to_json(), told.append))
    # What was trained for a study of one workload is not trained again.
    assert {report.stage for report in told} == {"chips"}
    assert [report.workload for report in told] == ["a", "a", "b", "b"]
    layers = [node.name for node in alone.blueprint.nodes if node.has_weights]
    assert set(found.activity_frac) == {f"{w}/{layer}" for w in "ab" for layer in layers}
    a, b = found.workloads
    assert (a.ideal_accuracy, a.float_accuracy) == (before.ideal_accuracy, before.float_accuracy)
    assert (b.ideal_accuracy, b.float_accuracy) == (before.ideal_accuracy, before.float_accuracy)
    assert found.epochs == 2 * before.epochs
    chips = [fmean(chip) for chip in zip(a.accuracy_per_chip, b.accuracy_per_chip, strict=True)]
    assert found.accuracy_per_chip == pytest.approx(chips)


def test_equal_networks_have_arrays_of_their_own_on_a_chip(kept: Path) -> None:
    rung = quick("").rung.model_copy(update={"chips": 4})
    alone = replace(quick("", cache=str(kept)), rung=rung)
    rows = [evaluate(replace(alone, workload=name)).accuracy_per_chip for name in ("", "a", "b")]
    assert len(set(rows)) == 3
    assert evaluate(replace(alone, workload="a")).accuracy_per_chip == rows[1]


def test_what_is_wrong_says_of_which_workload(kept: Path) -> None:
    hardware = load_hardware("macros/wan_nature_2022")
    good, bad = (quick(name, cache=str(kept), hardware=hardware) for name in "ab")
    nodes = tuple(
        replace(node, encoding="twos_complement") if node.placement == "cim" else node
        for node in bad.blueprint.nodes
    )
    bad = replace(bad, blueprint=replace(bad.blueprint, nodes=nodes))
    with pytest.raises(HardwareError, match=r"^workload b: .*needs cells of 1 bit"):
        evaluate_json(JointJob((good, bad), "mean").to_json())


def test_other_data_of_any_workload_is_refused() -> None:
    with pytest.raises(DataError, match="not what the study was started with"):
        evaluate_json(pair().to_json())
