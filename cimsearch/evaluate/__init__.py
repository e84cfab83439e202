"""From a job to its score: what a worker runs."""
