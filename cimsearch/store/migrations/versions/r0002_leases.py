"""Leases on studies, the progress of attempts, and attempts that no worker is to blame for."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_STATES = "state IN ('running', 'done', 'lost', 'interrupted', 'failed', 'late')"
_CHECK = "ck_attempt_state"


def upgrade() -> None:
    """Add a table and two columns, and tell the interrupted attempts from the lost ones."""
    op.create_table(
        "study_lease",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("taken", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renewed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_study_lease_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_study_lease")),
    )
    _change_attempts()
    op.execute(
        "UPDATE attempt SET state = 'interrupted' WHERE state = 'lost' "
        "AND (reason LIKE 'the orchestrator%' OR reason = 'a new attempt was started')"
    )


def _change_attempts() -> None:
    columns: list[sa.Column[Any]] = [
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("progressed", sa.DateTime(timezone=True), nullable=True),
    ]
    if op.get_bind().dialect.name == "sqlite":
        # A check of SQLite's cannot be changed: the rows move to a table with another.
        with op.batch_alter_table("attempt", recreate="always", copy_from=_attempt()) as table:
            for column in columns:
                table.add_column(column)
        return
    for column in columns:
        op.add_column("attempt", column)
    op.drop_constraint(op.f(_CHECK), "attempt", type_="check")
    op.create_check_constraint(op.f(_CHECK), "attempt", _STATES)


def _attempt() -> sa.Table:
    """Describe the table as the first layout has it, with the new check."""
    return sa.Table(
        "attempt",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("evaluation_id", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(_STATES, name=op.f(_CHECK)),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluation.id"],
            name=op.f("fk_attempt_evaluation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("evaluation_id", "n", name=op.f("uq_attempt_evaluation_id_n")),
        sa.UniqueConstraint("token", name=op.f("uq_attempt_token")),
    )
