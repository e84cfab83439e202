"""Changes to running trials wait in memory: seen at once, written with what comes next."""

import gc
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from cimsearch.store import CimStorage, open_storage, session
from cimsearch.store.records import add_trial, list_studies, trial_rows
from tests.unit.store.builders import DISTRIBUTIONS, complete, new_study, new_trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

ENDS_WITHOUT_CLOSING = """
import sys
from cimsearch.store import open_storage
storage = open_storage(sys.argv[1])
storage.set_trial_user_attr(storage.create_new_trial(int(sys.argv[2])), "last", "word")
"""


@pytest.fixture
def storage(database_url: str) -> Iterator[CimStorage]:
    opened = open_storage(database_url)
    yield opened
    opened.close()


@pytest.fixture
def other(storage: CimStorage, database_url: str) -> Iterator[CimStorage]:
    opened = open_storage(database_url)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a slow machine from writing what is to wait."""
    monkeypatch.setattr(session, "PATIENCE_S", 3600.0)


def run(code: str, *args: object) -> int:
    command = [sys.executable, "-c", code, *map(str, args)]
    root = Path(__file__).parents[3]
    return subprocess.run(command, cwd=root).returncode


def revision(storage: CimStorage, study_id: int) -> int:
    """Count the transactions that were made on a study."""
    with storage.session.study(study_id) as mirror:
        return mirror.revision


def attrs(storage: CimStorage, trial_id: int) -> dict[str, Any]:
    return storage.get_trial(trial_id).user_attrs


def test_ask_and_tell_are_two_transactions(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    study = optuna.load_study(study_name="study", storage=storage)
    study.tell(study.ask(DISTRIBUTIONS), (0.5, 1.0))
    before = revision(storage, study_id)
    trial = study.ask(DISTRIBUTIONS)
    trial.set_user_attr("note", [1, {"a": None}])
    trial.set_constraint("area", -2.0)
    study.tell(trial, (0.25, 2.0))
    assert revision(storage, study_id) == before + 2
    assert other.get_all_trials(study_id) == storage.get_all_trials(study_id)
    row = trial_rows(other, study_id)[1]
    assert (row.params, row.constraints) == (trial.params, (-2.0,))
    assert row.user_attrs == {"note": [1, {"a": None}]}


def test_change_is_seen_at_once_here_and_after_a_flush_elsewhere(
    storage: CimStorage, other: CimStorage
) -> None:
    study_id = new_study(storage)
    trial_id = storage.create_new_trial(study_id)
    before = storage.get_trial(trial_id)
    storage.set_trial_user_attr(trial_id, "a", (1, 2))
    storage.set_trial_system_attr(trial_id, "b", "x")
    storage.set_trial_intermediate_value(trial_id, 3, 0.5)
    here = storage.get_trial(trial_id)
    assert (here.user_attrs, here.system_attrs) == ({"a": [1, 2]}, {"b": "x"})
    assert here.intermediate_values == {3: 0.5}
    assert storage.get_all_trials(study_id) == [here]
    assert trial_rows(storage, study_id)[0].user_attrs == {"a": [1, 2]}
    # What was handed out stays as it was, and so does what the database has.
    assert before.user_attrs == {}
    assert other.get_trial(trial_id) == before
    storage.flush()
    assert other.get_trial(trial_id) == here == storage.get_trial(trial_id)


@pytest.mark.parametrize(
    "write",
    [
        lambda storage, study_id: storage.set_study_user_attr(study_id, "c", 1),
        lambda storage, study_id: storage.create_new_trial(study_id),
        lambda storage, study_id: add_trial(
            storage, study_id, new_trial(), evaluation=None, finished=complete()
        ),
        lambda storage, _: list_studies(storage),
        lambda storage, _: new_study(storage, "another"),
        lambda storage, _: storage.close(),
        lambda storage, _: pickle.dumps(storage),
    ],
    ids=["attribute", "trial", "record", "read", "study", "close", "pickle"],
)
def test_change_is_written_with_whatever_else_is_done(
    storage: CimStorage, other: CimStorage, write: Callable[[CimStorage, int], object]
) -> None:
    study_id = new_study(storage)
    trial_id = storage.create_new_trial(study_id)
    storage.set_trial_user_attr(trial_id, "a", 1)
    assert attrs(other, trial_id) == {}
    write(storage, study_id)
    assert attrs(other, trial_id) == {"a": 1}


def test_old_change_is_written_by_the_next_look(
    storage: CimStorage, other: CimStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id, elsewhere = new_study(storage), new_study(storage, "elsewhere")
    trial_id = storage.create_new_trial(study_id)
    storage.set_trial_user_attr(trial_id, "a", 1)
    storage.get_trial(trial_id)
    assert attrs(other, trial_id) == {}
    monkeypatch.setattr(session, "PATIENCE_S", 0.0)
    storage.get_all_trials(elsewhere)
    assert attrs(other, trial_id) == {"a": 1}
    storage.set_trial_user_attr(trial_id, "b", 2)
    storage.set_trial_user_attr(trial_id, "c", 3)
    assert attrs(other, trial_id) == {"a": 1, "b": 2}


def test_forgotten_storage_and_ended_process_write_what_waits(
    other: CimStorage, database_url: str
) -> None:
    study_id = new_study(other)
    storage = open_storage(database_url)
    storage.set_trial_user_attr(storage.create_new_trial(study_id), "last", "word")
    del storage
    gc.collect()
    assert run(ENDS_WITHOUT_CLOSING, database_url, study_id) == 0
    assert [t.user_attrs for t in other.get_all_trials(study_id)] == [{"last": "word"}] * 2


def test_trial_of_another_process_is_changed_at_once(
    storage: CimStorage, other: CimStorage
) -> None:
    study_id = new_study(storage)
    asked = storage.create_new_trial(study_id)
    recorded = add_trial(storage, study_id, new_trial(), evaluation=None, finished=None)
    storage.set_trial_user_attr(asked, "a", 1)
    other.set_trial_user_attr(asked, "b", 2)
    # Both are there once the one who asked writes too, whoever looks.
    assert attrs(storage, asked) == {"a": 1}
    storage.set_trial_user_attr(recorded.trial_id, "c", 3)
    assert attrs(other, recorded.trial_id)["c"] == 3
    assert attrs(other, asked) == attrs(storage, asked) == {"a": 1, "b": 2}


def test_waiting_trial_is_changed_in_memory_once_it_is_taken(
    storage: CimStorage, other: CimStorage
) -> None:
    study_id = new_study(storage)
    study = optuna.load_study(study_name="study", storage=storage)
    study.enqueue_trial({"width": 3}, user_attrs={"by": "hand"})
    before = revision(storage, study_id)
    trial = study.ask()
    trial.set_user_attr("a", 1)
    trial.set_user_attr("b", 2)
    assert revision(storage, study_id) == before + 1
    assert attrs(other, trial._trial_id) == {"by": "hand"}
    study.tell(trial, state=TrialState.FAIL)
    assert attrs(other, trial._trial_id) == {"by": "hand", "a": 1, "b": 2}


def test_copies_of_trials_that_are_alike_may_be_changed(storage: CimStorage) -> None:
    study_id = new_study(storage)
    study = optuna.load_study(study_name="study", storage=storage)
    for _ in range(3):
        trial = study.ask(DISTRIBUTIONS)
        storage.set_trial_system_attr(trial._trial_id, "generation", 1)
        study.tell(trial, (0.5, 1.0))
    first, second, third = study.trials
    first.system_attrs["generation"] = 2
    first.set_constraint("area", 1.0)
    first.distributions.clear()
    assert second.system_attrs == third.system_attrs == {"generation": 1}
    assert second.distributions == third.distributions == DISTRIBUTIONS
    assert [t.system_attrs for t in storage.get_all_trials(study_id)] == [{"generation": 1}] * 3


def test_threads_ask_at_once(storage: CimStorage, other: CimStorage) -> None:
    study_id = new_study(storage)
    study = optuna.load_study(study_name="study", storage=storage)

    def work() -> None:
        for _ in range(8):
            trial = study.ask(DISTRIBUTIONS)
            trial.set_user_attr("number", trial.number)
            study.tell(trial, (float(trial.number), 1.0))

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work) for _ in range(4)]:
            future.result()
    trials = other.get_all_trials(study_id)
    assert [t.number for t in trials] == list(range(32))
    assert all(t.user_attrs == {"number": t.number} for t in trials)
    assert all(t.params.keys() == DISTRIBUTIONS.keys() for t in trials)
    assert trials == storage.get_all_trials(study_id)


# Of one study with three trials: what is done, to which trial, with which key and number.
operations = st.lists(
    st.tuples(
        st.sampled_from(["float", "choice", "user", "system", "step", "end", "flush", "reopen"]),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=25,
)
KINDS: dict[str, BaseDistribution] = {
    "float": FloatDistribution(0, 10),
    "choice": CategoricalDistribution((None, True, "a", 0.5)),
}


def operate(storage: BaseStorage, trial_id: int, what: str, k: int) -> None:
    """Do one of `operations` as any storage can do it."""
    if what in KINDS:
        storage.set_trial_param(trial_id, f"{what}{k % 2}", k, KINDS[what])
    elif what == "user":
        storage.set_trial_user_attr(trial_id, f"key{k % 2}", k)
    elif what == "system":
        storage.set_trial_system_attr(trial_id, f"key{k % 2}", [k])
    elif what == "step":
        storage.set_trial_intermediate_value(trial_id, k % 2, k / 4)
    elif what == "end":
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, (float(k),))


def essence(storage: BaseStorage, study_id: int) -> list[tuple[Any, ...]]:
    return [
        (
            t.state,
            t.values,
            t.intermediate_values,
            [*t.params.items()],
            [*t.distributions.items()],
            [*t.user_attrs.items()],
            [*t.system_attrs.items()],
        )
        for t in storage.get_all_trials(study_id)
    ]


@given(operations)
def test_any_order_of_changes_gives_what_a_storage_in_memory_has(
    done: list[tuple[str, int, int]],
) -> None:
    ours, theirs = open_storage("sqlite:///:memory:"), InMemoryStorage()
    pairs = [(s, s.create_new_study([StudyDirection.MINIMIZE])) for s in (ours, theirs)]
    ids = [[s.create_new_trial(study_id) for _ in range(3)] for s, study_id in pairs]
    ended = set()
    for what, which, k in done:
        if what == "flush":
            ours.flush()
        elif what == "reopen":
            ours.flush()
            ours.session.forget(pairs[0][1])
        elif which not in ended:
            for (s, _), trials in zip(pairs, ids, strict=True):
                operate(s, trials[which], what, k)
            ended |= {which} if what == "end" else set()
        assert essence(ours, pairs[0][1]) == essence(theirs, pairs[1][1])
    ours.flush()
    ours.session.forget(pairs[0][1])
    assert essence(ours, pairs[0][1]) == essence(theirs, pairs[1][1])
    ours.close()
