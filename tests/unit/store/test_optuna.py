"""What Optuna sees on the storage: values of every kind, and constraints."""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from cimsearch.store import CimStorage, open_storage
from cimsearch.store.encoding import (
    decode_distributions,
    decode_trial,
    encode_distributions,
    encode_trial,
)
from cimsearch.store.records import add_trial, finish_evaluation, trial_rows
from tests.unit.store.builders import complete, new_evaluation, new_study, new_trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

# Optuna takes 1, 1.0 and True for the same choice, so no tuple mixes them.
CHOICES: list[tuple[bool | int | float | str | None, ...]] = [
    ("a", "µ", ""),
    (0, 1, 5),
    (None, True, False),
    (0.5, math.inf),
]

floats = st.floats(allow_nan=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
attributes = st.dictionaries(st.text(), json_values, max_size=4)


@pytest.fixture
def storage() -> Iterator[CimStorage]:
    opened = open_storage("sqlite:///:memory:")
    yield opened
    opened.close()


@st.composite
def genes(draw: st.DrawFn) -> tuple[BaseDistribution, Any]:
    """Draw a distribution and a value of it."""
    kind = draw(st.sampled_from(["int", "float", "choice"]))
    if kind == "int":
        low = draw(st.integers(-1000, 1000))
        value: Any = draw(st.integers(low, low + 50))
        return IntDistribution(low, low + 50), value
    if kind == "float":
        bottom = draw(st.floats(-1e9, 1e9))
        top = draw(st.floats(bottom, 2e9))
        return FloatDistribution(bottom, top), draw(st.floats(bottom, top))
    choices = draw(st.sampled_from(CHOICES))
    return CategoricalDistribution(choices), draw(st.sampled_from(choices))


@st.composite
def frozen_trials(draw: st.DrawFn) -> FrozenTrial:
    """Draw a trial as any program on Optuna might store one."""
    drawn = draw(st.dictionaries(st.text(), genes(), max_size=4))
    state = draw(st.sampled_from(list(TrialState)))
    times = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1))
    return FrozenTrial(
        number=draw(st.integers(0, 10)),
        trial_id=draw(st.integers(0, 10)),
        state=state,
        value=None,
        values=draw(st.lists(floats, min_size=1, max_size=4) | st.none()),
        datetime_start=draw(times | st.none()),
        datetime_complete=draw(times | st.none()),
        params={n: value for n, (_, value) in drawn.items()},
        distributions={n: distribution for n, (distribution, _) in drawn.items()},
        user_attrs=draw(attributes),
        system_attrs=draw(attributes),
        intermediate_values=draw(st.dictionaries(st.integers(), floats, max_size=3)),
    )


@given(frozen_trials())
def test_trial_comes_back_equal_and_in_order(frozen: FrozenTrial) -> None:
    text = encode_distributions(frozen.distributions)
    row = {**encode_trial(frozen), "number": frozen.number, "id": frozen._trial_id}
    back = decode_trial(row, decode_distributions(text))
    assert back == frozen
    assert list(back.params) == list(frozen.params)
    assert [type(v) for v in back.params.values()] == [type(v) for v in frozen.params.values()]
    assert all(isinstance(v, str) and v.isascii() for v in row.values() if isinstance(v, str))


@given(frozen=frozen_trials())
def test_trial_is_the_same_in_the_mirror_and_in_the_database(frozen: FrozenTrial) -> None:
    storage = open_storage("sqlite:///:memory:")
    study_id = new_study(storage)
    trial_id = storage.create_new_trial(study_id, frozen)
    mirrored = storage.get_trial(trial_id)
    storage.session.forget(study_id)
    loaded = storage.get_trial(trial_id)
    assert loaded == mirrored
    assert loaded.params == frozen.params
    assert loaded.values == frozen.values
    assert loaded.user_attrs == frozen.user_attrs
    assert loaded.datetime_start == frozen.datetime_start
    storage.close()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.1 + 0.2, 5e-324])
def test_any_float_survives(storage: CimStorage, value: float) -> None:
    study_id = new_study(storage)
    told = not math.isnan(value)  # Optuna takes NaN for an attribute, not for a value
    tell = complete(
        values=(value if told else 0.0, 1.0),
        constraints=(value,) if told else (),
        user_attrs={"x": [value]},
    )
    ids = add_trial(storage, study_id, new_trial(), evaluation=None, finished=tell)
    storage.session.forget(study_id)
    (row,) = trial_rows(storage, study_id)
    assert repr(row.user_attrs["x"]) == repr([value])
    if told:
        assert row.values == (value, 1.0)
        assert row.constraints == (value,)
        assert storage.get_trial(ids.trial_id).values == [value, 1.0]


def test_nsga2_and_best_trials_see_the_constraints_of_a_tell(storage: CimStorage) -> None:
    study_id = new_study(storage)
    sampler = optuna.samplers.NSGAIISampler(population_size=4, seed=0)
    study = optuna.load_study(study_name="study", storage=storage, sampler=sampler)
    for k in range(8):
        # The even ones are better in both objectives, but infeasible.
        feasible = k % 2 == 1
        tell = complete(
            0.5 - 0.01 * k if feasible else 0.99,
            10.0 - k if feasible else 0.1,
            constraints=(-1.0, -1.0 if feasible else 2.0),
        )
        ids = add_trial(
            storage, study_id, new_trial(k), evaluation=new_evaluation(), finished=None
        )
        assert ids.evaluation_id is not None
        finish_evaluation(
            storage, ids.evaluation_id, token=None, score="{}", fail_reason=None, tell=tell
        )
    assert all(t.constraints.keys() == {"0", "1"} for t in study.trials)
    assert {t.number for t in study.best_trials} == {1, 3, 5, 7}
    parents = sampler.get_parent_population(study, generation=1)
    assert {t.number for t in parents} == {1, 3, 5, 7}


def test_constraints_that_optuna_set_are_in_our_column_and_rows(storage: CimStorage) -> None:
    study_id = new_study(storage)
    study = optuna.load_study(study_name="study", storage=storage)
    trial = study.ask({"x": FloatDistribution(0, 1)})
    trial.set_constraint("area", -3.0)
    trial.set_constraint("latency", math.inf)
    study.tell(trial, (0.5, 1.0))
    (row,) = trial_rows(storage, study_id)
    assert row.constraints == (-3.0, math.inf)
    with storage.session.reading() as conn:
        text = str(conn.exec_driver_sql("SELECT constraints FROM trial").scalar())
    assert json.loads(text) == {"area": -3.0, "latency": math.inf}


def test_nsga2_runs_on_the_storage_as_in_memory(storage: CimStorage) -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        x = trial.suggest_int("x", 0, 20)
        y = trial.suggest_float("y", 0.0, 1.0)
        act = trial.suggest_categorical("act", ("relu", "none"))
        trial.set_constraint("c", x - 15.0)
        return x + y, (x - 10) ** 2 + (act == "relu")

    results = []
    for on in (storage, optuna.storages.InMemoryStorage()):
        study = optuna.create_study(
            storage=on,
            directions=["minimize", "minimize"],
            sampler=optuna.samplers.NSGAIISampler(population_size=5, seed=1),
        )
        study.optimize(objective, n_trials=25)
        results.append([(t.params, t.values, t.constraints) for t in study.trials])
    assert results[0] == results[1]
