"""What the loop knows from looking at changes alone equals what all trials say."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsearch.orchestrate.run.known import Known
from cimsearch.orchestrate.run.state import front_of, is_scored, seen
from cimsearch.search.samplers import distributions, params_of
from cimsearch.space import Space
from cimsearch.spec import load_space_spec
from cimsearch.store import CimStorage, open_storage
from cimsearch.store import records as db

DIRECTIONS: list[db.Direction] = ["maximize", "minimize", "minimize"]
REFERENCE = (0.1, 10.0, 10.0)
RUNGS = 3

Outcome = str | tuple[int, int, int]

# Few values, so that equal and dominated points are common.
value = st.integers(0, 4)
outcome = st.one_of(st.just("diverged"), st.tuples(value, value, value))


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(load_space_spec("vgg_tiny"))


@pytest.fixture
def storage() -> Iterator[CimStorage]:
    opened = open_storage("sqlite:///:memory:")
    yield opened
    opened.close()


@dataclass
class StudyOfTest:
    """A study whose trials end as the test says, in any order."""

    storage: CimStorage
    space: Space
    id: int

    def known(self) -> Known:
        return Known(self.storage, self.id, self.space, DIRECTIONS, REFERENCE, RUNGS)

    def add(self, number: int, rung: int = RUNGS - 1) -> int:
        genes = tuple(self.space.sample_genes(1, number)[0].tolist())
        new = db.NewTrial(
            params_of(self.space, genes),
            distributions(self.space),
            candidate_hash=str(number),
            rung=rung,
        )
        wanted = db.NewEvaluation("trial", "", str(number), "{}", "{}", "{}")
        ids = db.add_trial(self.storage, self.id, new, evaluation=wanted, finished=None)
        assert ids.evaluation_id is not None
        return ids.evaluation_id

    def end(self, evaluation_id: int, how: Outcome) -> None:
        reason = how if isinstance(how, str) else None
        values = None if isinstance(how, str) else (how[0] / 4, 2.0 * how[1], 2.0 * how[2])
        tell = db.Tell("fail" if reason else "complete", values, fail_reason=reason)
        db.finish_evaluation(
            self.storage,
            evaluation_id,
            token=None,
            score=None if reason else "{}",
            fail_reason=reason,
            tell=tell,
        )


def study_of(storage: CimStorage, space: Space) -> StudyOfTest:
    name = f"study {len(db.list_studies(storage))}"
    row = db.create_study(storage, name=name, directions=DIRECTIONS, spec_hash=None, user_attrs={})
    return StudyOfTest(storage, space, row)


def check(known: Known, study: StudyOfTest) -> None:
    trials = db.trial_rows(study.storage, study.id)
    scored = [t for t in trials if is_scored(t)]
    assert known.trials == trials
    assert known.seen == [seen(study.space, trial) for trial in trials]
    for rung in range(RUNGS):
        points = [(t.trial_id, t.values or ()) for t in scored if t.rung == rung]
        whole = front_of(points, DIRECTIONS, REFERENCE)
        front = known.front_at(rung)
        assert front.trial_ids == whole.trial_ids
        assert front.hypervolume == pytest.approx(whole.hypervolume, abs=1e-12)
        assert known.scored_by_rung[rung] == len(points)
    assert known.front == front
    assert known.best_accuracy == max((values[0] for _, values in points), default=None)
    assert known.scored == known.scored_by_rung[0]
    assert (known.trained, known.promoted) == (
        sum(t.evaluation_id is not None and t.rung == 0 for t in trials),
        sum(t.evaluation_id is not None and t.rung in (1, 2) for t in trials),
    )
    assert known.failed == sum(t.state == "fail" for t in trials)
    assert all(known.rung_of(t.trial_id) == t.rung for t in trials)


@settings(max_examples=40, deadline=None)
@given(
    outcomes=st.lists(st.tuples(outcome, st.integers(0, RUNGS - 1)), max_size=25),
    order=st.randoms(use_true_random=False),
)
def test_looking_at_changes_gives_what_all_trials_say(
    space: Space, outcomes: list[tuple[Outcome, int]], order: random.Random
) -> None:
    storage = open_storage("sqlite:///:memory:")
    study = study_of(storage, space)
    known, running = study.known(), []
    for number, (how, rung) in enumerate(outcomes):
        running.append((study.add(number, rung), how))
        while running and order.random() < 0.5:
            study.end(*running.pop(order.randrange(len(running))))
        if order.random() < 0.5:
            check(known.look(), study)
    for each in running:
        study.end(*each)
    check(known.look(), study)
    check(study.known().look(), study)
    storage.close()


def test_a_front_is_told_beforehand_as_it_becomes(space: Space, storage: CimStorage) -> None:
    study = study_of(storage, space)
    first, second = study.add(0), study.add(1)
    study.end(first, (2, 2, 2))
    known = study.known().look()
    trial_id = known.trials[1].trial_id
    told = known.front_with(RUNGS - 1, trial_id, (3 / 4, 2.0, 4.0))
    assert known.front.trial_ids == (known.trials[0].trial_id,), "telling must not change it"
    study.end(second, (3, 1, 2))
    assert known.look().front == told


def test_infeasible_trials_are_no_points(space: Space, storage: CimStorage) -> None:
    study = study_of(storage, space)
    genes = tuple(space.sample_genes(1, 0)[0].tolist())
    new = db.NewTrial(params_of(space, genes), distributions(space))
    told = db.Tell("complete", (0.0, 1.0, 1.0), (0.5,))
    db.add_trial(storage, study.id, new, evaluation=None, finished=told)
    known = study.known().look()
    assert (len(known.trials), known.infeasible, known.trained, known.scored) == (1, 1, 0, 0)
    assert known.front.trial_ids == ()
    assert known.best_accuracy is None
