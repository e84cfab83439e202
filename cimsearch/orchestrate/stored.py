"""Studies as the database keeps them."""

from cimsearch.errors import StudyError
from cimsearch.spec import Study
from cimsearch.store import CimStorage
from cimsearch.store import records as db


def require_study(database: CimStorage, name: str) -> db.StudyRow:
    """Return the study of that name.

    Raises:
        StudyError: There is none; lists those that there are.
    """
    row = db.find_study(database, name)
    if row is None:
        known = ", ".join(study.name for study in db.list_studies(database)) or "none"
        raise StudyError(f"no study {name!r} in the database", f"studies there: {known}")
    if row.spec_hash is None:
        raise StudyError(f"study {name!r} was not made by cimsearch, it has no spec")
    return row


def stored_study(database: CimStorage, row: db.StudyRow) -> Study:
    """Return the study as the database keeps it."""
    return Study.from_json(db.load_spec(database, row.spec_hash or ""))
