"""What workers need, imported once by the process that they are forked from.

Where a library is missing or broken, each worker finds so with its first job, and says so.
"""

from contextlib import suppress

with suppress(ImportError, OSError, RuntimeError):
    import cimsearch.evaluate.run  # noqa: F401
