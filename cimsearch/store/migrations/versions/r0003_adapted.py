"""Evaluations of networks that are adapted from those of a study."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ROLES = "role IN ('trial', 'baseline', 'test', 'adapted')"
_CHECK = "ck_evaluation_role"


def upgrade() -> None:
    """Allow one role more."""
    if op.get_bind().dialect.name == "sqlite":
        # A check of SQLite's cannot be changed: the rows move to a table with another.
        with op.batch_alter_table("evaluation", recreate="always", copy_from=_evaluation()):
            pass
        return
    op.drop_constraint(op.f(_CHECK), "evaluation", type_="check")
    op.create_check_constraint(op.f(_CHECK), "evaluation", _ROLES)


def _evaluation() -> sa.Table:
    """Describe the table as the first layout has it, with the new check."""
    return sa.Table(
        "evaluation",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("candidate", sa.Text(), nullable=False),
        sa.Column("cost", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("score", sa.Text(), nullable=True),
        sa.Column("fail_reason", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(_ROLES, name=op.f(_CHECK)),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'done', 'failed')",
            name=op.f("ck_evaluation_state"),
        ),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_evaluation_study_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trial.id"], name=op.f("fk_evaluation_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation")),
        sa.Index(op.f("ix_evaluation_key"), "key"),
        sa.Index(op.f("ix_evaluation_study_id"), "study_id"),
        sa.Index(op.f("ix_evaluation_trial_id"), "trial_id"),
        sqlite_autoincrement=True,
    )
