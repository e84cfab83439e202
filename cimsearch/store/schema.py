"""The tables of the database, and the version of their layout.

JSON is kept in TEXT columns in the form Python's `json` writes: ASCII, and with the literals
`NaN`, `Infinity` and `-Infinity` (as in JSON5), because objective values and attributes may be
infinite and PostgreSQL's own JSON type refuses them. Times are UTC.

A study has a counter, `study.revision`, raised by every transaction that writes to the study; a
trial row carries the revision that wrote it last. A reader that remembers the counter sees with
one cheap query whether anything is new, and loads only the rows that are.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

SCHEMA = "0003"
"""The newest migration: the layout described by `metadata`."""

VERSION_TABLE = "cimsearch_schema"
"""Where the migrations keep the version of a database."""


class UtcTime(TypeDecorator[datetime]):
    """A point in time: aware in Python, always UTC; naive UTC in databases without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the database UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give Python an aware time in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

spec = Table(
    "spec",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("json", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
)

study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("directions", Text, nullable=False),
    Column("spec_hash", Text, ForeignKey(spec.c.hash)),
    Column("user_attrs", Text, nullable=False),
    Column("system_attrs", Text, nullable=False),
    Column("n_trials", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created", UtcTime, nullable=False),
    # Optuna wants an id that no deleted study ever had; the same for trials.
    sqlite_autoincrement=True,
)

study_lease = Table(
    "study_lease",
    metadata,
    Column("study_id", Integer, ForeignKey(study.c.id, ondelete="CASCADE"), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("taken", UtcTime, nullable=False),
    Column("renewed", UtcTime, nullable=False),
    Column("expires", UtcTime, nullable=False),
)

distribution_set = Table(
    "distribution_set",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("json", Text, nullable=False),
)

trial = Table(
    "trial",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, ForeignKey(study.c.id, ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("dists_hash", Text, ForeignKey(distribution_set.c.hash), nullable=False),
    Column("values", Text),
    Column("constraints", Text, nullable=False),
    Column("intermediate", Text, nullable=False),
    Column("user_attrs", Text, nullable=False),
    Column("system_attrs", Text, nullable=False),
    Column("candidate_hash", Text),
    Column("rung", Integer),
    Column("promoted_from", Integer, ForeignKey("trial.id"), index=True),
    Column("started", UtcTime),
    Column("ended", UtcTime),
    Column("fail_reason", Text),
    Column("revision", Integer, nullable=False),
    UniqueConstraint("study_id", "number"),
    CheckConstraint("state IN ('waiting', 'running', 'complete', 'pruned', 'fail')", name="state"),
    Index(None, "study_id", "revision"),
    sqlite_autoincrement=True,
)

evaluation = Table(
    "evaluation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "study_id",
        Integer,
        ForeignKey(study.c.id, ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("role", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("trial_id", Integer, ForeignKey(trial.c.id, ondelete="CASCADE"), index=True),
    Column("key", Text, nullable=False, index=True),
    Column("candidate", Text, nullable=False),
    Column("cost", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("score", Text),
    Column("fail_reason", Text),
    Column("created", UtcTime, nullable=False),
    Column("ended", UtcTime),
    CheckConstraint("role IN ('trial', 'baseline', 'test', 'adapted')", name="role"),
    CheckConstraint("state IN ('pending', 'running', 'done', 'failed')", name="state"),
    sqlite_autoincrement=True,
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "evaluation_id", Integer, ForeignKey(evaluation.c.id, ondelete="CASCADE"), nullable=False
    ),
    Column("n", Integer, nullable=False),
    Column("token", Text, nullable=False, unique=True),
    Column("worker", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("started", UtcTime, nullable=False),
    Column("ended", UtcTime),
    Column("reason", Text),
    Column("progress", Text),
    Column("progressed", UtcTime),
    UniqueConstraint("evaluation_id", "n"),
    CheckConstraint(
        "state IN ('running', 'done', 'lost', 'interrupted', 'failed', 'late')", name="state"
    ),
)

layer_cost = Table(
    "layer_cost",
    metadata,
    Column(
        "evaluation_id",
        Integer,
        ForeignKey(evaluation.c.id, ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("layer_index", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("energy_pj", Double, nullable=False),
    Column("latency_ns", Double, nullable=False),
    Column("area_um2", Double, nullable=False),
    Column("utilization", Double, nullable=False),
    Column("components", Text, nullable=False),
)

front_event = Table(
    "front_event",
    metadata,
    Column("study_id", Integer, ForeignKey(study.c.id, ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("rung", Integer),
    Column(
        "trial_id",
        Integer,
        ForeignKey(trial.c.id, ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("action", Text, nullable=False),
    Column("hypervolume", Double),
    CheckConstraint("action IN ('add', 'remove')", name="action"),
)
