"""Which tasks were asked for at random: those measure.

Revision: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table, and guess the past: what fronts say, or else when a task was first answered.

    Only tasks of the audit slice are looked up in it. Those that were answered since the project was
    connected were asked for at random, or picked by hand.
    """
    op.create_table(
        "drawn_task",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "task_id"),
    )
    op.execute(
        "INSERT INTO drawn_task (project_id, task_id) SELECT annotation.project_id, annotation.task_id "
        "FROM annotation JOIN project ON project.id = annotation.project_id "
        "WHERE annotation.task_id IS NOT NULL AND NOT annotation.deleted AND NOT EXISTS (SELECT 1 FROM front "
        "WHERE front.project_id = annotation.project_id AND front.task_id = annotation.task_id) "
        "GROUP BY annotation.project_id, annotation.task_id, project.connected_at "
        "HAVING min(annotation.created_at) >= project.connected_at"
    )
    op.execute(
        "INSERT INTO drawn_task (project_id, task_id) "
        "SELECT DISTINCT project_id, task_id FROM front WHERE origin = 'audit'"
    )
