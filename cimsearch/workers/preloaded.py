"""What the process that workers are forked from imports, and that it dies with the warden.

Where a library is missing, each worker finds so with its first job, and says so.
"""

from cimsearch.workers.mortal import die_with_parent

die_with_parent()

import cimsearch.evaluate.run  # noqa: E402, F401
