"""The tables. A migration must follow every change here; a test compares the two."""

from __future__ import annotations

import sqlalchemy as sa

from backend.store.database import UTCDateTime

metadata = sa.MetaData()


def _project_key(*, primary_key: bool = True) -> sa.Column[int]:
    reference = sa.ForeignKey("project.id", ondelete="CASCADE")
    return sa.Column("project_id", reference, primary_key=primary_key, nullable=False)


project = sa.Table(
    "project",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("label_config", sa.Text, nullable=False),
    sa.Column("maximum_annotations", sa.Integer, nullable=False, server_default="1"),
    sa.Column("connected_at", UTCDateTime, nullable=False),
    # disconnected projects keep their data until they are forgotten
    sa.Column("connected", sa.Boolean, nullable=False),
    # what `disconnect` puts back
    sa.Column("previous", sa.JSON, nullable=False),
    sa.Column("webhook_id", sa.Integer),
    # the secret itself is known to Label Studio alone
    sa.Column("webhook_digest", sa.Text),
    sa.Column("webhook_seen_at", UTCDateTime),
    sa.Column("ml_backend_id", sa.Integer),
    # rises with every change that a round could learn from; rows and annotations carry its value
    sa.Column("change", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_row", sa.Integer, nullable=False, server_default="0"),
    # the newest `updated_at` read from Label Studio
    sa.Column("cursor", UTCDateTime),
    sa.Column("polled_at", UTCDateTime),
    # when a webhook last said that something changed which only a poll can find
    sa.Column("woken_at", UTCDateTime),
    sa.Column("reconciled_at", UTCDateTime),
    sa.Column("wanted", sa.Text),
    sa.Column("progress", sa.JSON),
    # what keeps the worker from working, in words
    sa.Column("trouble", sa.Text),
)

# One row per (task, content): append-only. An edited task gets a new row; the old one stays, not live.
pool_row = sa.Table(
    "pool_row",
    metadata,
    _project_key(),
    sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("task_id", sa.Integer, nullable=False),
    sa.Column("content", sa.String(32), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    # when the task was found gone: a listing asked for before then proves nothing
    sa.Column("removed_at", UTCDateTime),
    sa.Column("change", sa.Integer, nullable=False),
    sa.UniqueConstraint("project_id", "task_id", "content"),
    sa.Index("pool_row_change", "project_id", "change"),
)

annotation = sa.Table(
    "annotation",
    metadata,
    _project_key(primary_key=False),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("task_id", sa.Integer),
    sa.Column("result", sa.JSON, nullable=False),
    sa.Column("was_cancelled", sa.Boolean, nullable=False),
    sa.Column("ground_truth", sa.Boolean, nullable=False),
    sa.Column("completed_by", sa.Integer),
    sa.Column("lead_time", sa.Float),
    sa.Column("created_at", UTCDateTime),
    sa.Column("updated_at", UTCDateTime),
    # when this program last heard of it, by its own clock
    sa.Column("seen_at", UTCDateTime, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("change", sa.Integer, nullable=False),
    sa.Index("annotation_task", "project_id", "task_id"),
    sa.Index("annotation_change", "project_id", "change"),
    sa.Index(
        "annotation_deleted",
        "project_id",
        sqlite_where=sa.text("deleted"),
        postgresql_where=sa.text("deleted"),
    ),
)

queue_version = sa.Table(
    "queue_version",
    metadata,
    _project_key(),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("switched_at", UTCDateTime),
    # when its predictions were last seen gone from Label Studio
    sa.Column("erased_at", UTCDateTime),
)

front = sa.Table(
    "front",
    metadata,
    sa.Column("project_id", sa.Integer, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("task_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("utility", sa.Float, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("result", sa.JSON, nullable=False),
    sa.ForeignKeyConstraint(
        ["project_id", "version"], ["queue_version.project_id", "queue_version.version"], ondelete="CASCADE"
    ),
)

# Tasks that a front ever asked for at random: they measure. A task that nobody drew may have been picked for
# what it is, or labelled before the project was connected.
drawn_task = sa.Table(
    "drawn_task",
    metadata,
    _project_key(),
    sa.Column("task_id", sa.Integer, primary_key=True, autoincrement=False),
)

round_ = sa.Table(
    "round",
    metadata,
    _project_key(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    # the project's change when this round read its labels
    sa.Column("change", sa.Integer),
    sa.Column("started_at", UTCDateTime, nullable=False),
    sa.Column("finished_at", UTCDateTime),
    sa.Column("steps", sa.JSON, nullable=False),
    sa.Column("figures", sa.JSON, nullable=False),
    sa.Column("error", sa.Text),
)

# How many leading rows of the pool are on disk, per encoder; committed after the file was flushed.
encoding = sa.Table(
    "encoding",
    metadata,
    _project_key(),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("rows", sa.Integer, nullable=False),
)

lease = sa.Table(
    "lease",
    metadata,
    _project_key(),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("expires_at", UTCDateTime, nullable=False),
)

worker = sa.Table(
    "worker",
    metadata,
    sa.Column("holder", sa.Text, primary_key=True),
    sa.Column("started_at", UTCDateTime, nullable=False),
    sa.Column("seen_at", UTCDateTime, nullable=False),
)

# What managers set while nextlabel runs (budget, standing, shares): append-only, the highest revision holds.
live_setting = sa.Table(
    "live_setting",
    metadata,
    _project_key(),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
)

# Each version of an annotation that was ever seen, deleted or not: what was spent is derived from these.
annotation_version = sa.Table(
    "annotation_version",
    metadata,
    _project_key(),
    sa.Column("annotation_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("updated_at", UTCDateTime, primary_key=True),
    sa.Column("task_id", sa.Integer, nullable=False),
    sa.Column("completed_by", sa.Integer),
    sa.Column("created_at", UTCDateTime, nullable=False),
    # Label Studio's lead time of the annotation up to this version; null where it has none
    sa.Column("milliseconds", sa.BigInteger),
    sa.Column("skipped", sa.Boolean, nullable=False),
    # worked out anew from all versions of the annotation whenever one of them is written:
    # what this version added; whether it is the first; and on the first, whether any was submitted, or timed
    sa.Column("added", sa.BigInteger, nullable=False),
    sa.Column("is_first", sa.Boolean, nullable=False),
    sa.Column("is_label", sa.Boolean, nullable=False),
    sa.Column("is_timed", sa.Boolean, nullable=False),
    sa.Index("annotation_version_recent", "project_id", "updated_at"),
)

# Whether the queue should be closed, whether Label Studio has been told, and what to put back.
closure = sa.Table(
    "closure",
    metadata,
    _project_key(),
    sa.Column("closed", sa.Boolean, nullable=False),
    sa.Column("settled", sa.Boolean, nullable=False),
    # counts the closings: the manager is told once of each
    sa.Column("number", sa.Integer, nullable=False, server_default="0"),
    sa.Column("changed_at", UTCDateTime, nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("kept", sa.JSON, nullable=False),
    sa.Column("told", sa.JSON, nullable=False),
)
