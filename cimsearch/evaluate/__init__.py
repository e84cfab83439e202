"""From a job to its score: what a worker runs. Importing this loads no torch."""

from cimsearch.evaluate.job import Job, Part
from cimsearch.evaluate.joint import AnyJob, JointJob, read_job
from cimsearch.evaluate.score import AtCondition, OfWorkload, Score

__all__ = [
    "AnyJob",
    "AtCondition",
    "Job",
    "JointJob",
    "OfWorkload",
    "Part",
    "Score",
    "read_job",
]
