"""The samplers in plain Optuna studies: any space, any number of objectives, and repeatable."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import TrialState

from cimsearch.errors import UsageError
from cimsearch.search import make_sampler
from cimsearch.spec.study import SamplerName
from cimsearch.store import CimStorage, open_storage

NAMES: tuple[SamplerName, ...] = get_args(SamplerName)
QUICK = tuple(name for name in NAMES if name != "gp")
WAYS: list[Literal["minimize", "maximize"]] = ["minimize", "maximize", "minimize", "minimize"]

optuna.logging.set_verbosity(optuna.logging.WARNING)


class TestAsOptunaTestsItsOwn(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    """Optuna's suite for samplers."""

    @pytest.fixture(params=["nsga2", "tpe"])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        """Give what makes samplers."""
        return lambda: make_sampler(request.param, 0)


def objective(trial: optuna.Trial) -> tuple[float, ...]:
    """Return four values of parameters of every kind, one under a condition."""
    x = trial.suggest_float("x", -1.0, 1.0)
    rate = trial.suggest_float("rate", 1e-5, 1.0, log=True)
    share = trial.suggest_float("share", 0.0, 1.0, step=0.25)
    layers = trial.suggest_int("layers", 1, 6)
    width = trial.suggest_int("width", 1, 512, log=True)
    images = trial.suggest_int("images", 0, 1000, step=5)
    trial.suggest_float("fixed", 2.0, 2.0)
    kind = trial.suggest_categorical("kind", ["plain", None, True])
    extra = trial.suggest_float("extra", 0.0, 1.0) if kind == "plain" else 0.5
    trial.set_constraint("narrow", width - 300)
    if layers == 6:
        raise RuntimeError("does not fit")
    return x * x + extra, rate * layers, share + width / 512, images / 1000 + abs(x)


def study(
    name: str,
    trials: int,
    *,
    objectives: int = 2,
    storage: CimStorage | None = None,
    n_jobs: int = 1,
) -> optuna.Study:
    """Return a study that has run so many more trials."""
    made = optuna.create_study(
        directions=WAYS[:objectives],
        sampler=make_sampler(name, 3),
        storage=storage,
        study_name="s" if storage else None,
        load_if_exists=True,
    )
    made.optimize(
        lambda trial: objective(trial)[:objectives],
        n_trials=trials,
        catch=RuntimeError,
        n_jobs=n_jobs,
    )
    return made


def params(made: optuna.Study) -> list[dict[str, object]]:
    return [trial.params for trial in made.trials]


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("name", QUICK)
def test_any_space_with_any_number_of_objectives(name: str, objectives: int) -> None:
    made = study(name, 14, objectives=objectives)
    assert {trial.state for trial in made.trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    assert {"plain", None, True} == {trial.params["kind"] for trial in made.trials}
    assert all(trial.params["fixed"] == 2.0 for trial in made.trials)
    assert all(trial.params["share"] in (0, 0.25, 0.5, 0.75, 1) for trial in made.trials)
    assert params(study(name, 14, objectives=objectives)) == params(made)


def test_the_gaussian_process_model_takes_it_too() -> None:
    made = study("gp", 13, objectives=1)
    results = [trial.state == TrialState.COMPLETE for trial in made.trials]
    assert sum(results[:-1]) >= 10, "the last trial is not of a process yet"
    assert len({tuple(trial.params.items()) for trial in made.trials}) == 13


def test_one_that_needs_what_is_not_installed_says_so_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match="gp needs torch") as refused:
        make_sampler("gp")
    assert "cimsearch[train]" in refused.value.hint
    make_sampler("tpe")


@pytest.mark.parametrize(
    ("name", "population"), [("auto", 16), ("tpe", 10), ("nsga2", 50), ("optuna_nsga3", 50)]
)
def test_a_study_goes_on_the_same_after_reloading(
    name: str, population: int, tmp_path: Path
) -> None:
    """It is reloaded before the sampler has results enough to go by, and when it has."""
    parts = (population - 8, 16, 8)
    whole = params(study(name, sum(parts)))
    for trials in parts:
        storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
        found = params(study(name, trials, storage=storage))
        storage.close()
    assert found == whole


@pytest.mark.parametrize("name", QUICK)
def test_a_parameter_under_a_condition_is_searched_too(name: str) -> None:
    made = study(name, 40)
    values = [trial.params["extra"] for trial in made.trials if "extra" in trial.params]
    assert len(set(values)) > 2
    assert made.sampler.infer_relative_search_space(made, made.trials[-1])["extra"]


def few(trial: optuna.Trial) -> tuple[float, float]:
    """Return values of one of twelve parameter sets."""
    n = trial.suggest_int("n", 0, 3)
    c = trial.suggest_categorical("c", ["a", "b", "c"])
    return n + (c == "b"), -n + (c == "c")


@pytest.mark.parametrize("name", QUICK)
def test_parameters_do_not_repeat_until_all_were_tried(name: str) -> None:
    made = optuna.create_study(directions=WAYS[:2], sampler=make_sampler(name))
    made.enqueue_trial({"n": 1, "c": "b"})
    made.optimize(few, n_trials=12)
    assert len({tuple(trial.params.items()) for trial in made.trials}) == 12
    made.optimize(few, n_trials=3)
    assert len(made.trials) == 15


def test_a_branch_that_was_taken_is_not_taken_again() -> None:
    """There are five ways through the objective, though nine sets of all parameters."""

    def branching(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("way", ["a", "b", "c"]) == "a":
            return trial.suggest_int("n", 0, 2)
        return 5.0

    made = optuna.create_study(sampler=make_sampler("random", 1))
    made.optimize(branching, n_trials=8)
    ways = [tuple(trial.params.items()) for trial in made.trials]
    assert len(set(ways)) == 5
    assert len(set(ways[1:6])) >= 4


def test_what_is_running_is_not_suggested_again() -> None:
    made = optuna.create_study(sampler=make_sampler("tpe"))
    space: dict[str, BaseDistribution] = {"n": IntDistribution(0, 7)}
    for _ in range(2):
        made.tell(made.ask(space), 0.0)
    asked = [made.ask(space).params["n"] for _ in range(6)]
    assert len({*asked, *(trial.params["n"] for trial in made.trials)}) == 8


def test_any_state_and_any_value_can_be_in_a_study() -> None:
    for name in QUICK:
        made = optuna.create_study(directions=WAYS[:2], sampler=make_sampler(name, 2))
        space: dict[str, BaseDistribution] = {
            "x": FloatDistribution(0, 1),
            "n": IntDistribution(0, 9),
        }
        ends = [(1.0, 2.0), (float("inf"), 1.0), None, (0.5, 0.5), "pruned", "running"]
        ends += [(0.2, sys.float_info.max), (0.1, -1e200), (0.3, 0.1), (0.2, 0.4)]
        for number in range(70):
            trial, end = made.ask(space), ends[number % len(ends)]
            if number % 4 == 0:
                trial.set_constraint(f"c{number % 3}", number - 9.0)
            if isinstance(end, tuple):
                made.tell(trial, end)
            elif end != "running":
                made.tell(trial, state=TrialState.FAIL if end is None else TrialState.PRUNED)
        assert len(made.trials) == 70


@pytest.mark.parametrize("name", ["nsga2", "tpe", "optuna_nsga3"])
def test_two_threads_share_a_sampler(name: str) -> None:
    made = study(name, 40, n_jobs=2)
    assert len(made.trials) == 40


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_and_a_reseeded_one_suggest_the_same(name: str) -> None:
    made = study(name, 9)
    space = made.trials[0].distributions
    copy = pickle.loads(pickle.dumps(made.sampler))
    made.sampler.reseed_rng()
    assert str(copy) == str(made.sampler)
    trial = made.ask()
    known = {name: dist for name, dist in space.items() if not dist.single()}
    first = made.sampler.sample_relative(made, trial._cached_frozen_trial, known)
    assert copy.sample_relative(made, trial._cached_frozen_trial, known) == first


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match='"nsga"; allowed is auto, random, nsga2, nsga3'):
        make_sampler("nsga")
