"""From a job to its score: what a worker runs. Importing this loads no torch."""

from cimsearch.evaluate.job import Job, Part, Score

__all__ = ["Job", "Part", "Score"]
