"""What the tests of the store put into it."""

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from cimsearch.store import CimStorage
from cimsearch.store.records import (
    FrontChange,
    LayerCost,
    NewEvaluation,
    NewTrial,
    Role,
    Tell,
    create_study,
)

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "width": IntDistribution(0, 7),
    "bits": IntDistribution(0, 3),
    "act": CategoricalDistribution(("relu", "none")),
}
LAYERS = (
    LayerCost(0, "conv1", "conv", 1.5, 20.0, 3.0, 0.75, {"adc": 1.0, "cells": 0.5}),
    LayerCost(1, "relu1", "relu", 0.25, 5.0, 1.0, 1.0, {"digital": 0.25}),
    LayerCost(2, "fc", "linear", 2.0, 9.0, 2.0, 0.1, {"adc": 2.0}),
)


def new_study(storage: CimStorage, name: str = "study") -> int:
    """Create a study of two objectives."""
    return create_study(
        storage,
        name=name,
        directions=["maximize", "minimize"],
        spec_hash=None,
        user_attrs={"seed": 1},
    )


def new_trial(k: int = 0, **extra: Any) -> NewTrial:
    """Make the trial of candidate k."""
    params = {"width": k % 8, "bits": k % 4, "act": "relu" if k % 2 else "none"}
    return NewTrial(
        **{
            "params": params,
            "distributions": DISTRIBUTIONS,
            "candidate_hash": f"candidate-{k}",
            "rung": 0,
            "promoted_from": None,
            "user_attrs": {"energy_measured_pj": 1.5},
            "system_attrs": {"NSGAIISampler:generation": 0},
            **extra,
        }
    )


def new_evaluation(key: str = "key", role: Role = "trial", **extra: Any) -> NewEvaluation:
    """Make an evaluation with three layers."""
    texts = {"candidate": '{"c": 1}', "cost": '{"energy_pj": 3.75}', "job": '{"seed": 1}'}
    return NewEvaluation(
        role=role, label=f"label of {key}", key=key, layers=LAYERS, **texts, **extra
    )


def complete(accuracy: float = 0.9, energy_pj: float = 3.75, **extra: Any) -> Tell:
    """Make the tell of a feasible trial that enters the front."""
    return Tell(
        **{
            "state": "complete",
            "values": (accuracy, energy_pj),
            "constraints": (-1.0, -0.5),
            "fail_reason": None,
            "front": (FrontChange(None, "add"),),
            "hypervolume": 2.5,
            "user_attrs": {"hypervolume": 2.5},
            **extra,
        }
    )


def failed(reason: str) -> Tell:
    """Make the tell of a trial that failed."""
    return Tell("fail", None, (), reason, (), None, {})
