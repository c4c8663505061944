"""The tables behind the pages: who may come in, what was done there, what is drawn there."""

from __future__ import annotations

import sqlalchemy as sa

from backend.store.database import UTCDateTime
from backend.store.schema import metadata, pool_row


def _project_key(*, primary_key: bool) -> sa.Column[int]:
    reference = sa.ForeignKey("project.id", ondelete="CASCADE")
    return sa.Column("project_id", reference, primary_key=primary_key, nullable=False)


# what this installation made for itself once, such as the key that signs cookies
secret = sa.Table(
    "secret",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

login = sa.Table(
    "login",
    metadata,
    # the hash of what the cookie holds
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    # the projects that Label Studio let this person read; null for all
    sa.Column("projects", sa.JSON),
    sa.Column("made_at", UTCDateTime, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False),
)

api_token = sa.Table(
    "api_token",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("rights", sa.Text, nullable=False),
    sa.Column("projects", sa.JSON),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("made_at", UTCDateTime, nullable=False),
    sa.Column("used_at", UTCDateTime),
    sa.Column("revoked_at", UTCDateTime),
)

person = sa.Table(
    "person",
    metadata,
    # Label Studio's id of the user
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
)

# A sample of the pool in two dimensions; one per project, replaced as a whole.
pool_map = sa.Table(
    "pool_map",
    metadata,
    _project_key(primary_key=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("labelled", sa.Integer, nullable=False),
    # what the embeddings were made by: places from another one mean nothing
    sa.Column("layout", sa.Text, nullable=False),
    sa.Column("made_at", UTCDateTime, nullable=False),
    # the same in short, for those who do not see it: the page need not read the points
    sa.Column("summary", sa.JSON, nullable=False),
    sa.Column("points", sa.JSON, nullable=False),
)

# What else is known of the tasks of the current front: nearest labelled task, likeliest labels.
front_facts = sa.Table(
    "front_facts",
    metadata,
    _project_key(primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
)

# What somebody did to a project on the page or through the API.
event = sa.Table(
    "event",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _project_key(primary_key=False),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Index("event_project", "project_id", "id"),
)

# What the worker should do once, until it has.
wish = sa.Table(
    "wish",
    metadata,
    _project_key(primary_key=True),
    sa.Column("action", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at", UTCDateTime, nullable=False),
)

# Counting the pool and looking a task up reads this alone, not the texts.
sa.Index(
    "pool_row_live",
    pool_row.c.project_id,
    pool_row.c.task_id,
    sqlite_where=sa.text("live = 1"),
    postgresql_where=sa.text("live"),
)
