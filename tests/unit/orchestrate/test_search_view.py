"""Random search and the baselines beside a search, and what a study cost."""

from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.evaluate import Score
from cimsearch.evaluate.joint import JointJob, joint_score, read_job
from cimsearch.orchestrate.derive.reprice import reprice
from cimsearch.orchestrate.derive.rescore import rescore
from cimsearch.orchestrate.launch import launch, resume
from cimsearch.orchestrate.read.results import StudyResult
from cimsearch.orchestrate.read.search_view import (
    expected_hypervolume,
    hypervolume_history,
    random_search,
    search_cost,
    volumes,
)
from cimsearch.orchestrate.read.view import study_view
from cimsearch.orchestrate.steering import enqueue
from cimsearch.pareto import share_of
from cimsearch.seeds import stream
from cimsearch.space import Candidate, space_of
from cimsearch.spec import load_study
from cimsearch.workers import Event
from tests.studies import TINY_STUDY
from tests.unit.orchestrate.quick import QuickExecutor, score_of
from tests.unit.orchestrate.repriced import Changes, quick_study, result_of, steady

WAYS = ("maximize", "minimize")
REFERENCE = (0.1, 10.0)
POINTS = st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 12.0)), min_size=1, max_size=12)


class JointExecutor(QuickExecutor):
    """Answers for candidates of several workloads."""

    def fate(self, token: str, payload: bytes) -> list[Event]:
        job = read_job(payload.decode())
        assert isinstance(job, JointJob)
        parts = [(m.workload, score_of(m.to_json().encode())) for m in job.members]
        scores = [(name, Score.from_json(found.decode())) for name, found in parts]
        text = joint_score(job.over, scores).to_json()
        return [Event(token, "done", text.encode(), worker="quick")]


def studied(folder: Path, *changes: tuple[str, str], trials: int = 12) -> StudyResult:
    return result_of(quick_study(folder, trials=trials, changes=changes), "tiny")


def sampler(text: str) -> Changes:
    return (("{name: optuna_nsga2, population: 4, lag: 2}", f"{{{text}}}"),)


@settings(max_examples=30, deadline=None)
@given(points=POINTS)
def test_more_draws_are_expected_to_have_more(points: list[tuple[float, float]]) -> None:
    curve = expected_hypervolume(points, WAYS, REFERENCE, stream("test", 0))
    shares = [share for _, share in curve]
    assert [count for count, _ in curve] == list(range(1, len(points) + 1))
    assert all(b >= a - 1e-12 for a, b in pairwise(shares))
    assert shares[-1] == pytest.approx(share_of(points, WAYS, REFERENCE), abs=1e-12)
    assert curve == expected_hypervolume(points, WAYS, REFERENCE, stream("test", 0))


def test_one_draw_is_expected_to_have_the_mean_of_all() -> None:
    points = [(0.5, 1.0), (0.9, 5.0), (0.2, 0.5), (0.6, 9.0)]
    singles = [share_of([point], WAYS, REFERENCE) for point in points]
    first = expected_hypervolume(points, WAYS, REFERENCE, stream("test", 1))[0]
    spread = np.std(singles) / np.sqrt(100)
    assert first[0] == 1
    assert first[1] == pytest.approx(float(np.mean(singles)), abs=4 * float(spread))


def test_a_curve_of_many_draws_has_few_points() -> None:
    points = np.random.default_rng(0).random((1000, 2)) * (1.0, 10.0)
    curve = expected_hypervolume(points.tolist(), WAYS, REFERENCE, stream("test", 2))
    assert len(curve) <= 60
    assert (curve[0][0], curve[-1][0]) == (1, 1000)


def test_the_first_generation_is_the_random_search_of_a_study(tmp_path: Path) -> None:
    result = studied(tmp_path)
    found = random_search(result)
    # Four results end the first generation, and the last two of those are not yet known.
    drawn = [trial for trial in result.trials if trial.uniform]
    assert [trial.number for trial in drawn] == list(range(6))
    assert [count for count, _ in found.curve] == [1, 2, 3, 4, 5, 6]
    history = hypervolume_history(result)
    assert found.curve[-1][1] == pytest.approx(history[5][1])
    assert not found.is_all
    assert history[-1][1] == pytest.approx(result.hypervolume)
    told = volumes(result)
    assert (told.draws, told.why_none) == (6, "")
    assert told.random == pytest.approx(found.curve[-1][1])
    values = [tuple(b.objectives.values()) for b in result.baselines]
    assert told.baselines == pytest.approx(share_of(values, result.directions, result.reference))


def test_all_of_a_random_study_is_random_search(tmp_path: Path) -> None:
    found = random_search(studied(tmp_path, *sampler("name: random, lag: 2")))
    assert found.is_all
    assert found.curve[-1][0] == 12


def test_auto_begins_with_uniform_draws(tmp_path: Path) -> None:
    result = studied(tmp_path, *sampler("name: auto, population: 4, lag: 2"), trials=20)
    drawn = [trial.number for trial in result.trials if trial.uniform]
    assert drawn == list(range(10))


def test_a_study_without_uniform_draws_says_so(tmp_path: Path) -> None:
    result = studied(tmp_path, *sampler("name: qmc, lag: 2"), trials=5)
    found = random_search(result)
    assert found.curve == ()
    assert found.why_none == volumes(result).why_none
    assert found.why_none.startswith("qmc spreads its points evenly")
    assert volumes(result).random is None


def test_enqueued_candidates_are_no_draws(tmp_path: Path) -> None:
    url = quick_study(tmp_path, trials=4)
    before = result_of(url, "tiny")
    genes = study_genes(before)
    enqueue("tiny", [genes], storage=url)
    resume("tiny", storage=url, trials=5, executor=steady())
    after = result_of(url, "tiny")
    assert [t.uniform for t in after.trials] == [True] * 4 + [False]
    assert random_search(after).curve[-1][0] == 4
    assert not random_search(after).is_all


def study_genes(result: StudyResult) -> tuple[int, ...]:
    """Return genes of a candidate that a study does not have."""
    space = space_of(result.study)
    known = {trial.candidate.hash for trial in result.trials}
    for genes in space.sample_genes(50, 7).tolist():
        if space.decode(genes).hash not in known:
            return tuple(genes)
    raise AssertionError("all are known")


def test_promoted_candidates_are_no_random_sample(tmp_path: Path) -> None:
    rungs = (
        (
            "  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}\n",
            "  - {epochs: 1, train_level: L0, score_level: L1, chips: 1, images: 100}\n"
            "  - {epochs: 1, train_level: L0, score_level: L1, chips: 2, images: 100}\n"
            "halving: {cohort: 4, eta: 2}\n",
        ),
    )
    result = studied(tmp_path, *rungs)
    assert any(trial.uniform for trial in result.last_rung)
    assert random_search(result).curve == ()
    assert "promoted" in volumes(result).why_none


def test_a_repriced_study_cost_nothing_until_it_is_rescored(tmp_path: Path) -> None:
    url = quick_study(tmp_path)
    assert search_cost(result_of(url, "tiny")).epochs > 0
    reprice("tiny", str(tmp_path / "noisy.yaml"), storage=url)
    repriced = result_of(url, "tiny.noisy")
    cost = search_cost(repriced)
    assert (cost.epochs, cost.cpu_hours, cost.wall_seconds) == (0, 0.0, 0.0)
    assert cost.trained == cost.reused == 12
    rescore("tiny.noisy", storage=url, front_only=True, executor=steady())
    rescored = search_cost(result_of(url, "tiny.noisy"))
    assert rescored.epochs > 0
    assert rescored.reused < 12


def test_a_repriced_study_keeps_its_random_search_and_marks_what_is_stale(tmp_path: Path) -> None:
    url = quick_study(tmp_path)
    reprice("tiny", str(tmp_path / "noisy.yaml"), storage=url)
    result = result_of(url, "tiny.noisy")
    assert random_search(result).curve[-1][0] == 6
    assert result.missing_baselines == {}
    view = study_view(result)
    assert {point.stale for point in view.scored} == {"yu_cicc_2020"}
    assert {baseline.stale for baseline in view.baselines} == {"yu_cicc_2020"}
    assert view.missing_baselines == ()
    rescore("tiny.noisy", storage=url, executor=steady())
    fresh = study_view(result_of(url, "tiny.noisy"))
    assert not any(point.stale for point in fresh.points)
    assert not any(baseline.stale for baseline in fresh.baselines)


def test_a_baseline_that_misses_a_constraint_says_which(tmp_path: Path) -> None:
    free = studied(tmp_path)
    latencies = sorted(baseline.objectives["latency_ns"] for baseline in free.baselines)
    assert len(latencies) == 2
    limit = (latencies[0] + latencies[1]) / 2
    other = tmp_path / "limited"
    other.mkdir()
    added = ("budget:", f"constraints: {{latency_ns: {{max: {limit}}}}}\nbudget:")
    result = studied(other, added)
    over = {b.name: b.infeasible for b in result.baselines}
    by = round(100 * (latencies[1] - limit) / limit)
    assert sorted(over.values()) == ["", f"latency_ns by {by} %"]
    assert max(over, key=lambda name: len(over[name])) == "uniform 8 bit"
    view = study_view(result)
    assert [b.infeasible for b in view.baselines] == list(over.values())
    allowed = [tuple(b.objectives.values()) for b in result.baselines if not b.infeasible]
    assert volumes(result).baselines == pytest.approx(
        share_of(allowed, result.directions, result.reference)
    )


def test_a_baseline_that_cannot_run_there_says_why(tmp_path: Path) -> None:
    url = quick_study(tmp_path, changes=(("adc_bits: [3, 4, 5]", "adc_bits: [3, 4]"),))
    reprice("tiny", str(tmp_path / "coarse.yaml"), storage=url)
    result = result_of(url, "tiny.coarse")
    reasons = dict(study_view(result).missing_baselines)
    names = {baseline.name for baseline in result.baselines}
    assert names.isdisjoint(reasons)
    assert names | set(reasons) == {"uniform 8 bit", "uniform 4 bit"}


def test_a_float_parent_that_workloads_share_with_others_counts_once(tmp_path: Path) -> None:
    also = (
        "budget:",
        "also:\n  - name: second\n    space: vgg_tiny\n    data: {kind: digits, shape: [1, 8, 8], "
        "classes: 10, validation_frac: 0.3}\nbudget:",
    )
    old, new = also
    text = TINY_STUDY.replace("trials: 4", "trials: 6").replace(old, new)
    (tmp_path / "two.yaml").write_text(text, encoding="utf-8")
    study = load_study(str(tmp_path / "two.yaml"))
    result = launch(
        study, storage=f"sqlite:///{tmp_path / 'two.db'}", executor=JointExecutor(2, Random(0))
    )
    view = study_view(result)
    assert view.workloads == ("vgg_tiny", "second")
    assert view.data.startswith("vgg_tiny: digits")
    rows = [row for row in result.evaluations if row.score is not None]
    own = sum(t.score.epochs for t in result.trials if t.score)
    assert own == 2 * 6
    parents = set()
    for row in rows:
        for name, member in Candidate.from_json(row.candidate).members:
            parents.add((name, member.parent.hash, row.role == "test"))
    # Two epochs a float parent, one a network.
    assert view.cost.epochs == 2 * len(parents) + 2 * len(rows)
