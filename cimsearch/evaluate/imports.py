"""All that evaluations import, for a process that others are forked from."""

# An optimiser imports it when the first is made, which takes as long as a short trial.
import torch._dynamo  # noqa: F401

import cimsearch.evaluate.run  # noqa: F401
