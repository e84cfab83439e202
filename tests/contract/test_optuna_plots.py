"""Optuna's own figures are drawn from a study of ours, and show its values."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna import visualization as plots
from optuna.trial import FrozenTrial
from plotly.graph_objects import Figure

from cimsearch.orchestrate.read.results import StudyResult, read_result
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.records import find_study

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def storage(finished_study: Path) -> Iterator[CimStorage]:
    with closing(open_storage(f"sqlite:///{finished_study / 'cimsearch.db'}")) as opened:
        yield opened


@pytest.fixture
def result(storage: CimStorage) -> StudyResult:
    row = find_study(storage, "tiny")
    assert row is not None
    return read_result(storage, row.id)


@pytest.fixture
def study(storage: CimStorage) -> optuna.Study:
    return optuna.load_study(study_name="tiny", storage=storage)


def energy(trial: FrozenTrial) -> float:
    return float(trial.values[1])


def points(figure: Figure, *axes: str) -> set[tuple[float, ...]]:
    """Return the points of all traces of a figure."""
    columns = [np.concatenate([np.atleast_1d(t[axis]) for t in figure.data]) for axis in axes]
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_pareto_front(study: optuna.Study, result: StudyResult) -> None:
    front = {tuple(t.objectives.values()) for t in result.front}
    figure = plots.plot_pareto_front(study, include_dominated_trials=False)
    assert points(figure, "x", "y", "z") == front
    everything = plots.plot_pareto_front(study)
    assert points(everything, "x", "y", "z") == {
        tuple(t.objectives.values()) for t in result.trials
    }


def test_history_of_an_objective(study: optuna.Study, result: StudyResult) -> None:
    figure = plots.plot_optimization_history(study, target=energy, target_name="energy_pj")
    assert points(figure, "x", "y") >= {
        (t.number, t.objectives["energy_pj"]) for t in result.trials
    }


def test_hypervolume_history_ends_as_ours(study: optuna.Study, result: StudyResult) -> None:
    figure = plots.plot_hypervolume_history(study, list(result.reference))
    history = figure.data[0].y
    assert list(history) == sorted(history)
    assert history[-1] > 0


@pytest.mark.parametrize(
    "plot",
    [
        plots.plot_contour,
        plots.plot_parallel_coordinate,
        plots.plot_rank,
        plots.plot_slice,
    ],
)
def test_plots_of_one_objective_over_genes(
    plot: Callable[..., Figure], study: optuna.Study
) -> None:
    genes = list(study.trials[0].params)[:3]
    assert plot(study, params=genes, target=energy, target_name="energy_pj").data


@pytest.mark.filterwarnings("ignore:PedAnovaImportanceEvaluator computes:UserWarning")
@pytest.mark.parametrize("plot", [plots.plot_edf, plots.plot_param_importances])
def test_plots_of_one_objective(plot: Callable[..., Figure], study: optuna.Study) -> None:
    assert plot(study, target=energy, target_name="energy_pj").data


def test_timeline(study: optuna.Study, result: StudyResult) -> None:
    (bars,) = plots.plot_timeline(study).data
    assert len(bars.y) == len(result.trials)


def test_intermediate_values_and_terminator() -> None:
    with closing(open_storage("sqlite:///:memory:")) as storage:
        study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))

        def objective(trial: optuna.Trial) -> float:
            x = trial.suggest_float("x", 0, 1)
            for step in range(3):
                trial.report(x / (1 + step), step)
            return x

        study.optimize(objective, n_trials=12)
        assert len(plots.plot_intermediate_values(study).data) == 12
        assert plots.plot_terminator_improvement(study).data
