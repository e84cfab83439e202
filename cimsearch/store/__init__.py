"""The database of studies: Optuna's storage contract and cimsearch's own records."""

from cimsearch.store.database import upgrade
from cimsearch.store.storage import CimStorage, open_storage

__all__ = ["CimStorage", "open_storage", "upgrade"]
