"""Budgets: what managers set and when, every version of an annotation, and whether the queue is closed.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

from backend.store.database import UTCDateTime

revision = "0002"
down_revision = "0001"

_SEEN_SO_FAR = """
INSERT INTO annotation_version
    (project_id, annotation_id, updated_at, task_id, completed_by, created_at, milliseconds, skipped,
    added, is_first, is_label, is_timed)
SELECT project_id, id, updated_at, task_id, completed_by, coalesce(created_at, updated_at),
    milliseconds, was_cancelled, coalesce(milliseconds, 0), TRUE, NOT was_cancelled, milliseconds IS NOT NULL
FROM (
    SELECT *,
        CASE WHEN lead_time > 0 AND lead_time < 1e9 THEN CAST(round(lead_time * 1000) AS BIGINT) END
        AS milliseconds
    FROM annotation WHERE task_id IS NOT NULL AND updated_at IS NOT NULL
) AS seen
"""


def upgrade() -> None:
    """Create the tables; what was seen of annotations so far is their first version."""
    op.create_table(
        "live_setting",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "subject", "revision"),
    )
    op.create_table(
        "annotation_version",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("completed_by", sa.Integer(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("milliseconds", sa.BigInteger(), nullable=True),
        sa.Column("skipped", sa.Boolean(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("is_first", sa.Boolean(), nullable=False),
        sa.Column("is_label", sa.Boolean(), nullable=False),
        sa.Column("is_timed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "annotation_id", "updated_at"),
    )
    op.create_index(
        "annotation_version_recent", "annotation_version", ["project_id", "updated_at"], unique=False
    )
    op.create_index(
        "annotation_deleted",
        "annotation",
        ["project_id"],
        unique=False,
        sqlite_where=sa.text("deleted"),
        postgresql_where=sa.text("deleted"),
    )
    op.create_table(
        "closure",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id"),
    )
    op.execute(_SEEN_SO_FAR)
