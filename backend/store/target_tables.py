"""The tables of target models: every training, and who trains right now."""

from __future__ import annotations

import sqlalchemy as sa

from backend.store.database import UTCDateTime
from backend.store.schema import metadata


def _project_key() -> sa.Column[int]:
    reference = sa.ForeignKey("project.id", ondelete="CASCADE")
    return sa.Column("project_id", reference, primary_key=True, nullable=False)


target = sa.Table(
    "target",
    metadata,
    _project_key(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    # how often this training was begun: a kill does not end it
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("control", sa.Text, nullable=False),
    sa.Column("form", sa.Text, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    # the project's change when the labels were read
    sa.Column("change", sa.Integer, nullable=False),
    sa.Column("started_at", UTCDateTime, nullable=False),
    sa.Column("finished_at", UTCDateTime),
    # tasks that were learned from, and seconds of all attempts
    sa.Column("labelled", sa.Integer, nullable=False, server_default="0"),
    sa.Column("seconds", sa.Float, nullable=False, server_default="0"),
    sa.Column("progress", sa.JSON),
    sa.Column("figures", sa.JSON, nullable=False),
    sa.Column("decision", sa.Text, nullable=False, server_default=""),
    sa.Column("serves", sa.Boolean, nullable=False),
    sa.Column("error", sa.Text),
)

# Like `lease`: a training and the rounds go on side by side.
training_lease = sa.Table(
    "training_lease",
    metadata,
    _project_key(),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False),
)
