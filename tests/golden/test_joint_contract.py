"""The contracts of studies of several workloads, frozen as those of one are."""

import json
from dataclasses import replace

from cimsearch.evaluate import JointJob, Score, read_job
from cimsearch.evaluate.joint import joint_score
from cimsearch.space import Candidate, Space, StudySpace
from cimsearch.spec import load_space_spec
from tests.golden.golden import HERE, check_golden
from tests.golden.test_contracts import a_job, a_score

SPACE = StudySpace(
    tuple((name, Space(load_space_spec("vgg_tiny"))) for name in ("vgg_tiny", "other"))
)


def a_joint_job() -> JointJob:
    recipe = a_job().recipe.model_copy(update={"parent_epochs": 1})
    own, other = replace(a_job(), workload="vgg_tiny"), replace(a_job(), workload="other")
    return JointJob((own, replace(other, recipe=recipe)), "worst")


def a_joint_score() -> Score:
    other = replace(a_score(), accuracy_per_chip=(0.75, 0.625), images=300)
    parts = [("vgg_tiny", a_score()), ("other", other)]
    named = {
        name: {"activity_frac": {f"{name}/a": 0.25}, "density_frac": {f"{name}/a": 0.5}}
        for name, _ in parts
    }
    return joint_score("mean", [(name, replace(part, **named[name])) for name, part in parts])  # type: ignore[arg-type]


def test_joint_job_json() -> None:
    job = a_joint_job()
    check_golden("joint_job.json", json.loads(job.to_json()))
    again = read_job((HERE / "joint_job.json").read_text(encoding="utf-8"))
    assert again == job
    assert again.key == job.key


def test_joint_score_json() -> None:
    score = a_joint_score()
    check_golden("joint_score.json", json.loads(score.to_json()))
    text = (HERE / "joint_score.json").read_text(encoding="utf-8")
    assert Score.from_json(text) == score


def test_joint_candidate_json_and_hash() -> None:
    candidate = SPACE.sample(0)
    names = [node.name for node in candidate.blueprint.nodes]
    data = {
        "hash": candidate.hash,
        "genes": list(candidate.genes),
        "gene_names": list(SPACE.gene_names),
        "nodes": names,
        "members": {name: member.hash for name, member in candidate.members},
        "space_hash": SPACE.hash,
    }
    check_golden("joint_candidate.json", data)
    assert Candidate.from_json(candidate.to_json()) == candidate
