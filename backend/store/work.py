"""What annotators did, added up from every version of an annotation that was ever seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.store.database import Database, UTCDateTime, chunks
from backend.store.schema import annotation, annotation_version

_v = annotation_version.c


@dataclass(frozen=True)
class Totals:
    """What came out of annotators' work.

    labels:       annotations that were submitted at least once, whatever became of them
    skips:        annotations that were never anything but a skip
    deleted:      how many of the labels are gone from Label Studio
    edits:        versions after the first that took time
    milliseconds: of work, each sitting up to the cap
    capped:       sittings that took longer than the cap
    untimed:      labels and skips without a lead time
    """

    labels: int = 0
    skips: int = 0
    deleted: int = 0
    edits: int = 0
    milliseconds: int = 0
    capped: int = 0
    untimed: int = 0

    @property
    def timed(self) -> int:
        """Labels and skips with a lead time."""
        return self.labels + self.skips - self.untimed


@dataclass(frozen=True)
class Worked:
    """One annotation: how long it took in all, as Label Studio has it; None where it does not say."""

    annotation_id: int
    task_id: int
    annotator: int | None
    milliseconds: int | None
    skipped: bool


@dataclass(frozen=True)
class Day:
    """One day (UTC) of work."""

    day: str
    labels: int
    milliseconds: int


class Work:
    """All annotators' work. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def totals(self, project_id: int, *, cap: int, since: datetime | None = None) -> Totals:
        """Add up all work of a project, or all from `since` on; one scan of its versions.

        cap: milliseconds that one sitting counts at most
        """
        query = sa.select(*_sums(cap, since)).where(_v.project_id == project_id)
        with self._database.read() as db:
            row = db.execute(query).mappings().one()
            gone = int(db.scalar(_deleted(project_id, since)) or 0)
        return Totals(**{name: int(row[name] or 0) for name in row}, deleted=gone)

    def by_annotator(
        self, project_id: int, *, cap: int, since: datetime | None = None
    ) -> dict[int | None, Totals]:
        """Add up the same for each annotator (a user's id in Label Studio)."""
        who = _v.completed_by.label("annotator")
        query = sa.select(who, *_sums(cap, since)).where(_v.project_id == project_id).group_by(who)
        deleted = _deleted(project_id, since).add_columns(who).group_by(who)
        with self._database.read() as db:
            rows = db.execute(query).mappings().all()
            gone = {annotator: int(count) for count, annotator in db.execute(deleted)}
        return {
            row["annotator"]: Totals(
                **{name: int(row[name] or 0) for name in row if name != "annotator"},
                deleted=gone.get(row["annotator"], 0),
            )
            for row in rows
        }

    def last_by_annotator(self, project_id: int) -> dict[int | None, datetime]:
        """Say when each annotator's last work was saved, whenever that was."""
        last = sa.type_coerce(sa.func.max(_v.updated_at), UTCDateTime)
        query = (
            sa.select(_v.completed_by.label("annotator"), last.label("last"))
            .where(_v.project_id == project_id)
            .group_by(_v.completed_by)
        )
        with self._database.read() as db:
            return {row.annotator: row.last for row in db.execute(query)}

    def by_day(self, project_id: int, *, cap: int, since: datetime | None = None) -> list[Day]:
        """Add up labels (on the day when the annotation was made) and work, day by day, oldest first."""
        day = sa.func.date(_AT)
        query = (
            sa.select(
                day,
                sa.func.sum(sa.case((_v.is_label, 1), else_=0)),
                sa.func.sum(_counted(cap)),
            )
            .where(_v.project_id == project_id)
            .group_by(day)
            .order_by(day)
        )
        if since is not None:
            query = query.where(since <= _AT)
        with self._database.read() as db:
            return [Day(str(when), int(labels), int(work)) for when, labels, work in db.execute(query)]

    def recent(self, project_id: int, limit: int) -> list[Worked]:
        """List the annotations of the last `limit` versions, newest first."""
        last = (
            sa.select(_v.annotation_id)
            .where(_v.project_id == project_id)
            .order_by(_v.updated_at.desc(), _v.annotation_id.desc())
            .limit(limit)
        )
        with self._database.read() as db:
            ids = list(dict.fromkeys(db.scalars(last)))
            rows = [row for chunk in chunks(ids) for row in db.execute(_worked(project_id, chunk)).mappings()]
        found = {row["annotation_id"]: Worked(**{**row, "skipped": bool(row["skipped"])}) for row in rows}
        return [found[id_] for id_ in ids]


_AT = sa.case((_v.is_first, _v.created_at), else_=_v.updated_at)
"""When a version was worked on; a first one when the annotation was made: nobody saw what came before."""


def _counted(cap: int) -> sa.ColumnElement[int]:
    return sa.case((_v.added > cap, cap), else_=_v.added)


def _sums(cap: int, since: datetime | None) -> list[sa.Label[Any]]:
    """Everything of `Totals` but what was deleted."""
    recent: sa.ColumnElement[bool] = sa.true() if since is None else since <= _AT

    def count(*that: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((sa.and_(recent, *that), 1), else_=0))

    return [
        count(_v.is_label).label("labels"),
        count(_v.is_first, ~_v.is_label).label("skips"),
        count(~_v.is_first, _v.added > 0).label("edits"),
        sa.func.sum(sa.case((recent, _counted(cap)), else_=0)).label("milliseconds"),
        count(_v.added > cap).label("capped"),
        count(_v.is_first, ~_v.is_timed).label("untimed"),
    ]


def _deleted(project_id: int, since: datetime | None) -> sa.Select[Any]:
    """Count labels that are gone; begins at the annotations that are, for they are few."""
    query = (
        sa.select(sa.func.count())
        .select_from(annotation)
        .join(
            annotation_version,
            sa.and_(_v.project_id == annotation.c.project_id, _v.annotation_id == annotation.c.id),
        )
        .where(annotation.c.project_id == project_id, annotation.c.deleted, _v.is_label)
    )
    return query if since is None else query.where(since <= _AT)


def _worked(project_id: int, ids: Sequence[int]) -> sa.Select[Any]:
    return (
        sa.select(
            _v.annotation_id,
            sa.func.max(_v.task_id).label("task_id"),
            sa.func.max(_v.completed_by).label("annotator"),
            sa.func.max(_v.milliseconds).label("milliseconds"),
            sa.func.min(sa.case((_v.skipped, 1), else_=0)).label("skipped"),
        )
        .where(_v.project_id == project_id, _v.annotation_id.in_(ids))
        .group_by(_v.annotation_id)
    )
