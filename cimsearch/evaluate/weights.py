"""The weights of candidates that were evaluated, as far as they are still kept."""

from cimsearch.evaluate.job import Job
from cimsearch.evaluate.keys import candidate_key
from cimsearch.training.keep import Keep


def kept_weights(job: Job, machine: str) -> bytes | None:
    """Return the trained network of a job that was evaluated, as a safetensors file.

    Its tensors are the network's parameters and statistics as they were scored; its metadata has
    the candidate's hash under ``candidate`` and, as JSON, the steps of each quantised layer under
    ``layers``. Neither torch nor safetensors is needed.

    Args:
        job: What was evaluated.
        machine: The kind of machine it was evaluated on: the score's ``fingerprint``.

    Returns:
        None if it is not kept (any more), or where this machine cannot read.

    Raises:
        UsageError: ``CIMSEARCH_CACHE_GB`` is not a number of gigabytes.
    """
    return Keep.at(job.cache).get("candidates", candidate_key(job, machine))
