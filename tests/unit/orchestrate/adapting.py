"""Adaptations of a tiny study, the executors that they run on, and what they come to."""

from dataclasses import replace
from pathlib import Path

import pytest

from cimsearch.orchestrate.adapt.adapt import adapt
from cimsearch.orchestrate.read.adaptation import Adapting
from cimsearch.orchestrate.read.adapted_steps import accuracy_of
from cimsearch.spec import Study, load_study
from cimsearch.spec.adaptation import Adaptation, FinalScoring, Pruning
from cimsearch.spec.study import Rung
from cimsearch.workers import InlineExecutor
from tests.once import run_once
from tests.studies import TINY_STUDY

HOW = Adaptation(
    networks=2,
    max_accuracy_drop=0.5,
    training=Rung(epochs=1, train_level="L0", score_level="L1", chips=2, images=100),
    pruning=Pruning(cost_frac=0.9, tune_epochs=0.2, images=128),
    rounds=2,
    test=FinalScoring(chips=3),
    changes=0,
)


def study_in(folder: Path, how: Adaptation = HOW) -> Study:
    (folder / "tiny.yaml").write_text(TINY_STUDY, encoding="utf-8")
    study = load_study(str(folder / "tiny.yaml"))
    return replace(study, spec=study.spec.model_copy(update={"adapt": how}))


def storage_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'a.db'}"


def adapted_in(folder: Path, study: Study, cache: Path) -> Adapting:
    """Return a study's adaptation, with the folder's database: for shared fixtures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE", str(cache))
        return adapt(study, storage=storage_in(folder), executor=InlineExecutor(run_once))


class Counting(InlineExecutor):
    """An executor that counts what it is given, and stops after so many."""

    def __init__(self, most: int) -> None:
        super().__init__(run_once)
        self.given, self.most = 0, most

    def submit(self, token: str, payload: bytes) -> None:
        self.given += 1
        if self.given > self.most:
            raise KeyboardInterrupt
        super().submit(token, payload)


def plain(found: Adapting) -> list[tuple[str, str, str, float]]:
    return [
        (chain.name, chain.ended_by, step.candidate.hash, accuracy_of(step, "mean"))
        for chain in (*found.baselines, *found.chains)
        for step in chain.trained
    ]
