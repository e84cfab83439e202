"""A table of a whole space: every candidate at every rung, built, kept, read and replayed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cimsearch.errors import SpaceError, StudyError, UsageError
from cimsearch.evaluate import Job
from cimsearch.evaluate.report import OnReport
from cimsearch.evaluate.run import evaluate
from cimsearch.orchestrate.table.build import build_table
from cimsearch.search.pricing import estimate_batch, price
from cimsearch.search.problem import Draws
from cimsearch.search.samplers import propose
from cimsearch.search.table import PRICES, Table, every_candidate, load_table
from cimsearch.space import Space
from cimsearch.spec import Study, load_study
from cimsearch.spec.study import Sampler
from cimsearch.workers import InlineExecutor
from cimsearch.workers.shim import run_job
from tests.commands import cimsearch

SPACE = """
schema: cimsearch/space/1
name: few
summary: a space of few candidates
source: made for a test
family: vgg
input_shape: [1, 8, 8]
classes: 10
stages:
  - {width: [4], depth: [1], downsample: true}
  - {width: [4], depth: [1, 2], downsample: true}
genes: {weight_bits: [2, 4], activation_bits: [4], prune_ratio: [0.0]}
first_layer: {placement: digital, bits: 8}
classifier: {placement: digital, bits: 8}
"""
STUDY = """
schema: cimsearch/study/1
name: few
summary: a study whose space is evaluated in seconds
source: made for a test
space: ./few_space.yaml
hardware: macros/yu_cicc_2020
data: {kind: digits, shape: [1, 8, 8], classes: 10}
sampler: {name: random, lag: 2}
recipe: {batch: 128, parent_epochs: 2, parent_lr: 0.2, qat_lr: 0.05}
rungs:
  - {epochs: 0, train_level: L0, score_level: L1, chips: 2, images: 100}
  - {epochs: 1, train_level: L0, score_level: L1, chips: 3, images: 100}
halving: {cohort: 3, eta: 3}
budget: {trials: 4}
"""
CANDIDATES = 2 + 2 * 2
EVALUATIONS = 2 * 2 * CANDIDATES
"""At two rungs, once and again: fewer candidates than are repeated, so all are."""


class Counting:
    """Evaluates jobs and remembers them."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __call__(self, payload: bytes, on_report: OnReport) -> bytes:
        self.jobs.append(Job.from_json(payload.decode()))
        return run_job(payload, on_report)


def write_study(folder: Path) -> Study:
    (folder / "few_space.yaml").write_text(SPACE, encoding="utf-8")
    (folder / "few.yaml").write_text(STUDY, encoding="utf-8")
    return load_study(str(folder / "few.yaml"))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder with the cache that all tests here share."""
    folder = tmp_path_factory.mktemp("table")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def built(room: Path) -> tuple[Study, Table, Path, list[Job]]:
    """Return a study, its table, the table's file, and the jobs that were evaluated."""
    study, run = write_study(room), Counting()
    table = build_table(study, room / "few.npz", replicates=1, executor=InlineExecutor(run))
    return study, table, room / "few.npz", run.jobs


def test_every_candidate_is_there_once() -> None:
    space = Space(load_study("quickstart").space)
    with pytest.raises(SpaceError, match="a table takes at most"):
        every_candidate(space)
    small = Space(load_study("digits_table").space)
    genes = every_candidate(small)
    assert len(genes) == small.size == 1200
    assert len({row.tobytes() for row in genes}) == len(genes)
    sampled = small.canonical(small.sample_genes(500, 0))
    assert {row.tobytes() for row in sampled} <= {row.tobytes() for row in genes}
    assert len({small.decode(row).hash for row in small.repair(genes)}) == len(genes)


def test_evaluates_every_candidate_at_every_rung(
    built: tuple[Study, Table, Path, list[Job]],
) -> None:
    study, table, _, jobs = built
    assert len(table) == CANDIDATES
    assert len(jobs) == len({job.key for job in jobs}) == EVALUATIONS
    assert [chips.shape for chips in table.accuracy] == [(CANDIDATES, 2), (CANDIDATES, 3)]
    assert [chips.shape for chips in table.repeats] == [(1, CANDIDATES, 2), (1, CANDIDATES, 3)]
    assert {job.replicate for job in jobs} == {0, 2}
    for before, after in zip(jobs[::2], jobs[1::2], strict=True):
        assert before.candidate_hash == after.candidate_hash
        assert after.earlier == (before.rung,) == study.spec.rungs[:1]


def test_accuracies_and_prices_are_those_of_the_candidates(
    built: tuple[Study, Table, Path, list[Job]],
    room: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study, table, _, jobs = built
    # From nothing that is kept.
    monkeypatch.setenv("CIMSEARCH_CACHE", str(room / "another"))
    job = jobs[3]
    row = next(
        row
        for row, genes in enumerate(table.space.repair(table.genes))
        if table.space.decode(genes).hash == job.candidate_hash
    )
    assert evaluate(job).accuracy_per_chip == tuple(table.accuracy[1][row])
    genes = table.space.repair(table.genes)
    costs = estimate_batch(table.space, genes, study.hardware, study.spec.statistics)
    for name in PRICES:
        assert np.array_equal(table.prices[name], getattr(costs, name))
    priced = price(study, table.space.decode(genes[row]))
    assert tuple(table.values(1)[row, 1:]) == pytest.approx(priced.objectives)
    assert table.values(1)[row, 0] == pytest.approx(table.accuracy[1][row].mean())


def test_a_file_gives_the_same_table(built: tuple[Study, Table, Path, list[Job]]) -> None:
    study, table, path, _ = built
    read = load_table(path)
    assert read.study.hash == study.hash == read.about["study_hash"]
    assert read.about == table.about
    assert read.reference == table.reference
    assert np.array_equal(read.genes, table.genes)
    for rung in (0, 1):
        assert np.array_equal(read.accuracy[rung], table.accuracy[rung])
        assert np.array_equal(read.repeats[rung], table.repeats[rung])
        assert np.array_equal(read.points(rung), table.points(rung))
        assert read.hypervolume(rung) == table.hypervolume(rung) > 0
        assert read.noise_std(rung) == table.noise_std(rung) >= 0
    assert -1 <= read.rank_agreement(0, 1) <= 1


def test_a_build_that_was_stopped_goes_on(
    built: tuple[Study, Table, Path, list[Job]], tmp_path: Path
) -> None:
    study, whole, _, _ = built
    out, stop = tmp_path / "few.npz", 5

    def stopping(done: int, total: int) -> None:
        assert total == EVALUATIONS
        if done == stop:
            raise KeyboardInterrupt

    first, second, third = Counting(), Counting(), Counting()
    with pytest.raises(KeyboardInterrupt):
        build_table(study, out, replicates=1, executor=InlineExecutor(first), on_progress=stopping)
    assert not out.exists()
    with (tmp_path / "few.npz.scores").open("a", encoding="utf-8") as file:
        file.write('["a line that was cut o')
    table = build_table(study, out, replicates=1, executor=InlineExecutor(second))
    assert (len(first.jobs), len(second.jobs)) == (stop, EVALUATIONS - stop)
    for rung in (0, 1):
        assert np.array_equal(table.accuracy[rung], whole.accuracy[rung])
        assert np.array_equal(table.repeats[rung], whole.repeats[rung])
    again = build_table(study, out, replicates=1, executor=InlineExecutor(third))
    assert third.jobs == []
    assert np.array_equal(again.accuracy[1], whole.accuracy[1])


def test_a_failed_evaluation_is_told_and_the_others_are_kept(room: Path, tmp_path: Path) -> None:
    study, run = write_study(tmp_path), Counting()

    def failing(payload: bytes, on_report: OnReport) -> bytes:
        if len(run.jobs) == 2:
            raise ValueError("training diverged")
        return run(payload, on_report)

    out = tmp_path / "few.npz"
    with pytest.raises(StudyError, match=r"candidate 1, genes.*training diverged"):
        build_table(study, out, replicates=0, executor=InlineExecutor(failing))
    kept = (tmp_path / "few.npz.scores").read_text(encoding="utf-8").splitlines()
    assert len(kept) == 2
    assert not out.exists()


def test_a_search_is_replayed(built: tuple[Study, Table, Path, list[Job]]) -> None:
    _, table, _, _ = built
    problem, space = table.problem(), table.space
    assert problem.price is not None
    vectors = space.sample_genes(20, 0).astype(np.float64)
    prices = problem.price(vectors)
    rows = table.rows(vectors)
    assert np.isnan(prices.objectives[:, 0]).all()
    assert np.array_equal(prices.objectives[:, 1:], table.points(0)[rows][:, 1:])
    proposal = propose(space, problem, Sampler(name="random"), Draws(0, 0), ())
    assert proposal is not None
    (row,) = table.rows(np.array([proposal.genes]))
    assert space.decode(space.repair(table.genes)[row]).hash == proposal.candidate.hash


def test_the_front_is_the_spaces(built: tuple[Study, Table, Path, list[Job]]) -> None:
    _, table, _, _ = built
    points, on_front = table.points(1), table.front(1)
    for point in points[~on_front]:
        assert ((points[on_front] <= point).all(axis=1)).any()
    assert on_front.any()


@pytest.mark.parametrize("content", [b"no table", b""])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read as a table"):
        load_table(path)


def test_arrays_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez_compressed(path, genes=np.zeros((1, 1)))
    with pytest.raises(UsageError, match="cannot be read as a table"):
        load_table(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.npz"
    rng = np.random.default_rng(0)
    np.savez_compressed(path, about=str(list(range(300))), genes=rng.integers(0, 5, (400, 9)))
    whole = path.read_bytes()
    for place in rng.integers(0, len(whole), 200):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(UsageError, match="damaged"):
            load_table(path)


def test_an_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(UsageError, match="cannot be read as a table"):
        load_table(tmp_path / "one.npy")


@pytest.mark.slow
def test_the_verb_builds_with_workers(
    built: tuple[Study, Table, Path, list[Job]], tmp_path: Path
) -> None:
    _, whole, path, _ = built
    study = path.with_name("few.yaml")
    out = tmp_path / "few.npz"
    verb = ("bench", "build-table", str(study), "--out", str(out), "--replicates", "0")
    done = cimsearch(*verb, "--workers", "2", cwd=tmp_path)
    assert "few: 6 candidates" in done.stdout
    assert f"{2 * CANDIDATES} of {2 * CANDIDATES} evaluations" in done.stderr
    table = load_table(out)
    assert np.array_equal(table.accuracy[1], whole.accuracy[1])
    cimsearch("bench", "build-table", str(study), "--out", "few.csv", cwd=tmp_path, expect=2)


def test_the_file_must_be_a_table(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.npz"):
        build_table(write_study(tmp_path), tmp_path / "few.csv")
