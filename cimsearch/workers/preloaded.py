"""What evaluations need, imported once by the process that workers are forked from.

Where a library is missing or broken, each worker finds so with its first job, and says so.
"""

from contextlib import suppress

with suppress(ImportError, OSError, RuntimeError):
    import cimsearch.evaluate.imports  # noqa: F401
