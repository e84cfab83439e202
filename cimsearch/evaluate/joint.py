"""Several workloads on one chip: their jobs as one, and their scores as one.

A worker evaluates them one after the other, on the same chips: a chip is one piece of silicon that
runs all of them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from cimsearch.evaluate.job import Job
from cimsearch.evaluate.score import AtCondition, OfWorkload, Score
from cimsearch.spec.base import canonical_json, content_hash
from cimsearch.spec.workload import OverWorkloads, over_workloads

JOINT_SCHEMA = "cimsearch/joint_job/1"


@dataclass(frozen=True)
class JointJob:
    """The jobs of a candidate that is a network of each of several workloads.

    Attributes:
        members: A job of each workload, in order; each names its own.
        over: What the accuracy of a chip is of its workloads'.
    """

    members: tuple[Job, ...]
    over: OverWorkloads

    def to_json(self) -> str:
        """Return the job as canonical JSON."""
        members = [json.loads(member.to_json()) for member in self.members]
        return canonical_json({"schema": JOINT_SCHEMA, "over": self.over, "members": members})

    @cached_property
    def key(self) -> str:
        """Hash of everything the score depends on: that of each member, and what is made of it."""
        keys = [member.key for member in self.members]
        return content_hash({"schema": JOINT_SCHEMA, "over": self.over, "members": keys})

    @classmethod
    def from_json(cls, text: str) -> "JointJob":
        """Return the job that ``to_json`` described.

        Raises:
            ValueError: The schema is another, or a part is not valid.
        """
        raw = json.loads(text)
        if raw.get("schema") != JOINT_SCHEMA:
            raise ValueError(f"job schema is {raw.get('schema')!r}; allowed is {JOINT_SCHEMA!r}")
        members = (Job.from_json(json.dumps(member)) for member in raw["members"])
        return cls(tuple(members), raw["over"])


AnyJob = Job | JointJob
"""What a worker is given: the job of one network, or of several on one chip."""


def read_job(text: str) -> AnyJob:
    """Return the job that its ``to_json`` described.

    Raises:
        ValueError: The schema is not one of this version, or a part is not valid.
    """
    joint = json.loads(text).get("schema") == JOINT_SCHEMA
    return JointJob.from_json(text) if joint else Job.from_json(text)


def members_of(job: AnyJob) -> tuple[Job, ...]:
    """Return the jobs of the networks: one, or those of all workloads."""
    return job.members if isinstance(job, JointJob) else (job,)


def with_members(job: AnyJob, members: Sequence[Job]) -> AnyJob:
    """Return a job with the jobs of its networks replaced."""
    return replace(job, members=tuple(members)) if isinstance(job, JointJob) else members[0]


def joint_score(over: OverWorkloads, scores: Sequence[tuple[str, Score]]) -> Score:
    """Return the scores of workloads, by name, on the same chips as one.

    Accuracies are those over the workloads chip by chip, where a rung has conditions at each of
    them: a chip is at one condition when it runs all. Only ``shared_accuracy_per_chip``, of which
    conditions are not kept, is of each workload's own worst. Layers are called by their workload
    already, as its job names it. Epochs, images used and times add up.
    """
    parts = [score for _, score in scores]
    combined = partial(_by_chip, over)
    conditions = _conditions(over, parts)
    rows = [at.accuracy_per_chip for at in conditions]
    own = tuple(map(min, zip(*rows, strict=True))) if rows else None
    return Score(
        level=parts[0].level,
        split=parts[0].split,
        images=_images(over, [part.images for part in parts]),
        accuracy_per_chip=own or combined(part.accuracy_per_chip for part in parts),
        ideal_accuracy=over_workloads(over, [part.ideal_accuracy for part in parts]),
        float_accuracy=over_workloads(over, [part.float_accuracy for part in parts]),
        activity_frac={name: v for part in parts for name, v in part.activity_frac.items()},
        density_frac={name: v for part in parts for name, v in part.density_frac.items()},
        parent_epochs=sum(part.parent_epochs for part in parts),
        epochs=sum(part.epochs for part in parts),
        seconds=sum(part.seconds for part in parts),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
        fingerprint=parts[0].fingerprint,
        conditions=conditions,
        shared_accuracy_per_chip=combined(part.shared_accuracy_per_chip for part in parts),
        calibration_images=sum(part.calibration_images for part in parts),
        calibration_cpu_seconds=sum(part.calibration_cpu_seconds for part in parts),
        workloads=tuple(_of_workload(name, score) for name, score in scores),
    )


def _by_chip(over: OverWorkloads, rows: Iterable[Sequence[float]]) -> tuple[float, ...]:
    """Return one accuracy a chip, given those of each workload."""
    return tuple(over_workloads(over, chip) for chip in zip(*rows, strict=True))


def _conditions(over: OverWorkloads, parts: Sequence[Score]) -> tuple[AtCondition, ...]:
    """Return the accuracies over workloads at each condition, if there are any."""
    return tuple(
        AtCondition(found[0].label, _by_chip(over, (at.accuracy_per_chip for at in found)))
        for found in zip(*(part.conditions for part in parts), strict=True)
    )


def _images(over: OverWorkloads, images: Sequence[int]) -> int:
    """Return how many images an accuracy over workloads is as sure as.

    Each workload has images of its own. The variance of their mean is the sum of theirs over the
    square of their number; the worst is as sure as the least sure one.
    """
    if over == "worst":
        return min(images)
    return round(len(images) ** 2 / sum(1 / count for count in images))


def _of_workload(name: str, score: Score) -> OfWorkload:
    return OfWorkload(
        name=name,
        images=score.images,
        accuracy_per_chip=score.accuracy_per_chip,
        ideal_accuracy=score.ideal_accuracy,
        float_accuracy=score.float_accuracy,
        parent_epochs=score.parent_epochs,
    )
