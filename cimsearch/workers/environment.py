"""The environment that local workers get: no secret of the orchestrator's, one thread."""

import re
from collections.abc import Mapping

_SECRET_NAME = re.compile(
    r"^CIMSEARCH_STORAGE$|^PG|PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"[a-z][a-z0-9+.-]*://([^/\s@]*:[^\s@]*@|\S*[?&]\w*password=)", re.IGNORECASE
)
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of ``environment`` a worker may see.

    Left out is what names the database, what is called a secret, and every URL that holds a
    password: only the orchestrator opens the database. Numerical libraries get one thread: more
    pools than processor cores are many times slower.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if not _SECRET_NAME.search(name) and not _SECRET_VALUE.search(value)
    }
    return kept | dict.fromkeys(_ONE_THREAD, "1")
