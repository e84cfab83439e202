"""Studies as the database keeps them, and whether one there is the one that is meant."""

import os

import cimsearch
from cimsearch.errors import StudyError
from cimsearch.orchestrate.run.plan import Plan
from cimsearch.orchestrate.run.sources import other_data, stored_sources
from cimsearch.orchestrate.run.state import differing
from cimsearch.spec import Study
from cimsearch.store import CimStorage
from cimsearch.store import records as db

DEFAULT_STORAGE = "sqlite:///cimsearch.db"


def storage_url(given: str | None) -> str:
    """Return the database to use: the one given, ``CIMSEARCH_STORAGE``, or the default."""
    return given or os.environ.get("CIMSEARCH_STORAGE") or DEFAULT_STORAGE


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


def check_own(row: db.StudyRow) -> None:
    """Check that the study was not imported.

    Raises:
        StudyError: It was.
    """
    imported_from = db.imported_from(row)
    if imported_from is not None:
        raise StudyError(
            f"study {row.name!r} was imported from {imported_from} and can only be read",
            "launch its study file under another name to go on from there",
        )


def check_equal(database: CimStorage, row: db.StudyRow, plan: Plan) -> None:
    """Check that the study in the database is this one, on this data.

    Raises:
        StudyError: It is another; says what differs.
    """
    there = stored_study(database, row)
    differences = differing(plan.study.identity(), there.identity())
    differences += other_data(plan.study, stored_sources(row.user_attrs), plan.sources)
    version = row.user_attrs.get("version")
    if version != cimsearch.__version__:
        differences.append(f"version: {version} in the database, {cimsearch.__version__} here")
    if differences:
        raise StudyError(
            f"study {row.name!r} exists with another spec:\n  " + "\n  ".join(differences),
            "give this study another name, or another --storage",
        )
