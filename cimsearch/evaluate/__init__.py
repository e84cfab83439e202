"""From a job to its score: what a worker runs. Importing this loads no torch."""

from cimsearch.evaluate.job import AtCondition, Job, Part, Score

__all__ = ["AtCondition", "Job", "Part", "Score"]
