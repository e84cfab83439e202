"""Studies of random trials, put into a storage in one go instead of trial by trial.

30 mixed parameters, 3 objectives, and the generations that NSGA-II would have noted.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import NSGAIISampler
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import insert

from cimsearch.seeds import stream
from cimsearch.store import CimStorage

NAME = "filled"
PARAMETERS, POPULATION = 30, 50
DIRECTIONS: list[Literal["maximize", "minimize"]] = ["maximize", "minimize", "minimize"]
GENERATION = "NSGAIISampler:generation"


def distributions() -> dict[str, BaseDistribution]:
    """Return 30 distributions, a third of each kind."""
    kinds: tuple[BaseDistribution, ...] = (
        IntDistribution(0, 7),
        CategoricalDistribution(("offset", "twos_complement", "differential", "none")),
        FloatDistribution(0.0, 1.0),
    )
    return {f"stage{n // 5}.gene{n}": kinds[n % len(kinds)] for n in range(PARAMETERS)}


def random_trials(n: int) -> list[FrozenTrial]:
    """Return ``n`` complete trials with random parameters and values, the same at each call."""
    rng, dists, now = stream("filled"), distributions(), datetime.now()
    trials = []
    for number in range(n):
        draws = rng.random(PARAMETERS)
        trial = create_trial(
            values=[float(v) for v in rng.random(len(DIRECTIONS))],
            params={
                name: _choice(dist, draw)
                for (name, dist), draw in zip(dists.items(), draws, strict=True)
            },
            distributions=dists,
            system_attrs={GENERATION: number // POPULATION},
        )
        trial.number, trial.datetime_start, trial.datetime_complete = number, now, now
        trials.append(trial)
    return trials


def filled_study(storage: BaseStorage, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """Return a new study in ``storage`` that holds ``trials``, with an NSGA-II sampler."""
    sampler = NSGAIISampler(population_size=POPULATION, seed=0)
    study = optuna.create_study(
        storage=storage, study_name=NAME, directions=DIRECTIONS, sampler=sampler
    )
    if isinstance(storage, CimStorage):
        with storage.session.writing_to(study._study_id) as write:
            for trial in trials:
                write.insert_trial(trial)
    elif isinstance(storage, InMemoryStorage):
        for trial in trials:
            storage.create_new_trial(study._study_id, template_trial=trial)
    else:
        # A study holds the storage with a cache before it.
        _fill_rdb(study._storage._backend, study._study_id, trials)  # type: ignore[attr-defined]
    return study


def _choice(dist: BaseDistribution, draw: float) -> int | float | str:
    if isinstance(dist, IntDistribution):
        return int(draw * (dist.high + 1))
    if isinstance(dist, CategoricalDistribution):
        return str(dist.choices[int(draw * len(dist.choices))])
    return draw


def _fill_rdb(storage: RDBStorage, study_id: int, trials: Sequence[FrozenTrial]) -> None:
    """Write the rows that Optuna's storage would write, in one transaction."""
    rows = [
        {
            "number": trial.number,
            "study_id": study_id,
            "state": TrialState.COMPLETE,
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
        }
        for trial in trials
    ]
    table = models.TrialModel.__table__
    texts = {
        name: optuna.distributions.distribution_to_json(dist)
        for name, dist in distributions().items()
    }
    adding = insert(table).returning(table.c.trial_id, sort_by_parameter_order=True)
    finite = models.TrialValueModel.TrialValueType.FINITE
    with storage.engine.begin() as conn:
        ids = conn.execute(adding, rows).scalars().all()
        of = list(zip(ids, trials, strict=True))
        params = [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": texts[name],
            }
            for trial_id, trial in of
            for name, value in trial.params.items()
        ]
        values = [
            {"trial_id": trial_id, "objective": k, "value": value, "value_type": finite}
            for trial_id, trial in of
            for k, value in enumerate(trial.values)
        ]
        attrs = [
            {
                "trial_id": trial_id,
                "key": GENERATION,
                "value_json": str(trial.system_attrs[GENERATION]),
            }
            for trial_id, trial in of
        ]
        conn.execute(insert(models.TrialParamModel.__table__), params)
        conn.execute(insert(models.TrialValueModel.__table__), values)
        conn.execute(insert(models.TrialSystemAttributeModel.__table__), attrs)
