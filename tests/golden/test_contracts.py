"""The contracts that databases, workers and other programs rely on."""

import json
from dataclasses import replace

import pytest
from pydantic import BaseModel

from cimsearch.blueprint import Blueprint
from cimsearch.evaluate import Job, Score
from cimsearch.search.samplers import distributions, params_of
from cimsearch.space import Candidate, Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import MacroFile, SystemFile, TechnologyFile
from cimsearch.spec.network import NetworkSpec
from cimsearch.spec.space import SpaceSpec
from cimsearch.spec.study import DigitsData, Recipe, Rung, StudySpec
from cimsearch.training.fingerprint import fingerprint
from tests.golden.golden import HERE, check_golden

SPACES = {name: Space(load_space_spec(name)) for name in ("vgg_tiny", "resnet8")}


def a_job() -> Job:
    candidate = SPACES["vgg_tiny"].sample(0)
    data = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
    return Job(
        candidate_hash=candidate.hash,
        blueprint=candidate.blueprint,
        parent=candidate.parent,
        hardware=load_hardware("macros/yu_cicc_2020"),
        data=data,
        data_path=None,
        data_fingerprint=fingerprint(data, None),
        recipe=Recipe(batch=64, parent_epochs=2, parent_lr=0.2, qat_lr=0.05),
        rung=Rung(epochs=1, train_level="L0", score_level="L1", chips=2),
        study_seed=7,
    )


def a_score() -> Score:
    return Score(
        level="L1",
        split="validation",
        images=100,
        accuracy_per_chip=(0.5, 0.75),
        ideal_accuracy=0.8,
        float_accuracy=0.9,
        activity_frac={"a": 0.25},
        density_frac={"a": 0.5},
        parent_epochs=2,
        epochs=1,
        seconds=1.5,
        cpu_seconds=1.25,
        fingerprint="x86_64 torch 2.13.0",
    )


def test_genes_and_params() -> None:
    data = {}
    for name, space in SPACES.items():
        genes = tuple(space.sample_genes(1, 0)[0].tolist())
        data[name] = {
            "space_hash": space.hash,
            "size": str(space.size),
            "genes": {g.name: list(g.choices) for g in space.genes},
            "distributions": {n: repr(d) for n, d in distributions(space).items()},
            "sample": list(genes),
            "params": params_of(space, genes),
            "choices": space.choices(genes),
        }
    check_golden("genes.json", data)


def test_candidate_hashes() -> None:
    data = {
        name: {str(seed): space.sample(seed).hash for seed in range(4)}
        | {"uniform8": space.uniform(weight_bits=8, activation_bits=8).hash}
        for name, space in SPACES.items()
    }
    check_golden("candidate_hashes.json", data)


def test_blueprint_and_candidate_json() -> None:
    candidate = SPACES["vgg_tiny"].sample(0)
    check_golden("blueprint.json", candidate.blueprint.to_dict())
    check_golden("candidate.json", json.loads(candidate.to_json()))
    frozen = json.loads((HERE / "blueprint.json").read_text(encoding="utf-8"))
    assert Blueprint.from_dict(frozen) == candidate.blueprint
    text = (HERE / "candidate.json").read_text(encoding="utf-8")
    assert Candidate.from_json(text) == candidate


def test_job_json() -> None:
    job = a_job()
    check_golden("job.json", json.loads(job.to_json()))
    again = Job.from_json((HERE / "job.json").read_text(encoding="utf-8"))
    assert again == job
    assert again.key == job.key


def test_job_json_of_a_later_rung() -> None:
    below = Rung(epochs=0, train_level="L0", score_level="L1", chips=1, images=50)
    job = replace(a_job(), earlier=(below,))
    check_golden("job_of_a_later_rung.json", json.loads(job.to_json()))
    text = (HERE / "job_of_a_later_rung.json").read_text(encoding="utf-8")
    assert Job.from_json(text) == job


@pytest.mark.parametrize("version", ["2", "3"])
def test_jobs_of_earlier_versions_are_read(version: str) -> None:
    """A database may hold evaluations that an earlier version has left pending."""
    text = (HERE / f"job_{version}.json").read_text(encoding="utf-8")
    assert Job.from_json(text) == a_job()


def test_score_json() -> None:
    score = a_score()
    check_golden("score.json", json.loads(score.to_json()))
    assert Score.from_json((HERE / "score.json").read_text(encoding="utf-8")) == score


def test_file_schemas() -> None:
    models: dict[str, type[BaseModel]] = {
        "hardware_technology": TechnologyFile,
        "hardware_macro": MacroFile,
        "hardware_system": SystemFile,
        "space": SpaceSpec,
        "network": NetworkSpec,
        "study": StudySpec,
    }
    check_golden("file_schemas.json", {n: m.model_json_schema() for n, m in models.items()})
