"""What annotators did: every version of an annotation that was ever seen, and the sums that follow from them.

Label Studio's lead time grows: each edit is saved with the time of all before it. So the time of an edit is
what it adds to the longest lead time seen before it, and the same versions give the same sums, in whatever
order, however often and by whatever way they came. Nothing is ever taken out: who deletes an annotation has
been paid for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from backend.domain import Annotation
from backend.store.database import Database, insert
from backend.store.schema import annotation, annotation_version

LONGEST_SECONDS = 1e9
"""Thirty years: a longer lead time is no time at all."""

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
        """Add up all work of a project, or all from `since` on. Cost: 1 ms per 1,000 versions.

        cap: milliseconds that one sitting counts at most
        """
        with self._database.read() as db:
            row = db.execute(_totals(project_id, cap, since)).mappings().one()
        return Totals(**{name: int(row[name] or 0) for name in Totals.__dataclass_fields__})

    def by_annotator(
        self, project_id: int, *, cap: int, since: datetime | None = None
    ) -> dict[int | None, Totals]:
        """Add up the same for each annotator (a user's id in Label Studio)."""
        query = _totals(project_id, cap, since, each_annotator=True)
        with self._database.read() as db:
            rows = db.execute(query).mappings().all()
        return {
            row["annotator"]: Totals(**{name: int(row[name] or 0) for name in Totals.__dataclass_fields__})
            for row in rows
        }

    def by_day(self, project_id: int, *, cap: int, since: datetime | None = None) -> list[Day]:
        """Add up labels (on the day when the annotation was made) and work, day by day, oldest first."""
        sittings = _sittings(project_id, cap)
        born = _annotations(sittings, since)
        work = _days(sittings, sittings.c.at, sa.func.sum(sittings.c.counted), since)
        labels = _days(born, born.c.born, sa.func.sum(born.c.submitted), since)
        found: dict[str, list[int]] = {}
        with self._database.read() as db:
            for place, query in enumerate((labels, work)):
                for day, amount in db.execute(query):
                    found.setdefault(str(day), [0, 0])[place] += int(amount or 0)
        return [Day(day, *amounts) for day, amounts in sorted(found.items())]

    def recent(self, project_id: int, limit: int) -> list[Worked]:
        """List the annotations worked on last, newest first."""
        query = (
            sa.select(
                _v.annotation_id,
                sa.func.max(_v.task_id).label("task_id"),
                sa.func.max(_v.completed_by).label("annotator"),
                sa.func.max(_v.milliseconds).label("milliseconds"),
                sa.func.min(sa.case((_v.skipped, 1), else_=0)).label("skipped"),
            )
            .where(_v.project_id == project_id)
            .group_by(_v.annotation_id)
            .order_by(sa.func.max(_v.updated_at).desc(), _v.annotation_id.desc())
            .limit(limit)
        )
        with self._database.read() as db:
            rows = db.execute(query).mappings().all()
        return [Worked(**{**row, "skipped": bool(row["skipped"])}) for row in rows]


def note_versions(db: sa.Connection, project_id: int, items: Iterable[Annotation]) -> None:
    """Keep what was seen of annotations, old versions and the deleted too; repeating it does no harm."""
    values = [
        {
            "project_id": project_id,
            "annotation_id": item.id,
            "updated_at": item.updated_at,
            "task_id": item.task_id,
            "completed_by": item.completed_by,
            "created_at": item.created_at or item.updated_at,
            "milliseconds": milliseconds(item.lead_time),
            "skipped": item.was_cancelled,
        }
        for item in items
    ]
    if values:
        db.execute(_note_statement(db.dialect.name), values)


def milliseconds(lead_time: float | None) -> int | None:
    """Read a lead time; None where it cannot be one: negative, not a number, or longer than a career."""
    if lead_time is None or not math.isfinite(lead_time) or not 0 < lead_time < LONGEST_SECONDS:
        return None
    return round(lead_time * 1000)


@cache
def _note_statement(dialect: str) -> sa.Insert:
    """Build the statement once: every webhook runs it. Of the same version the most that was heard holds."""
    statement = insert(dialect, annotation_version)
    said = statement.excluded
    longer = said.milliseconds > sa.func.coalesce(_v.milliseconds, -1)
    return statement.on_conflict_do_update(
        index_elements=["project_id", "annotation_id", "updated_at"],
        set_={
            "milliseconds": sa.case((longer, said.milliseconds), else_=_v.milliseconds),
            "skipped": sa.and_(_v.skipped, said.skipped),
        },
        where=longer | sa.and_(_v.skipped, ~said.skipped),
    )


def _sittings(project_id: int, cap: int) -> sa.Subquery:
    """One row a version: what it added, and when that was: at first, when the annotation was made."""
    so_far = sa.func.coalesce(_v.milliseconds, 0)
    before = sa.func.max(so_far).over(partition_by=_v.annotation_id, order_by=_v.updated_at, rows=(None, -1))
    seen = (
        sa.select(
            _v.annotation_id,
            _v.completed_by,
            _v.updated_at,
            _v.created_at,
            _v.milliseconds,
            _v.skipped,
            so_far.label("so_far"),
            before.label("before"),
        )
        .where(_v.project_id == project_id)
        .subquery("seen")
    )
    first = seen.c.before.is_(None)
    added = sa.case(
        (first, seen.c.so_far),
        (seen.c.so_far > seen.c.before, seen.c.so_far - seen.c.before),
        else_=0,
    )
    return sa.select(
        seen,
        sa.case((first, seen.c.created_at), else_=seen.c.updated_at).label("at"),
        sa.case((added > cap, cap), else_=added).label("counted"),
        sa.case((added > cap, 1), else_=0).label("over"),
        sa.case((sa.or_(first, added == 0), 0), else_=1).label("edit"),
    ).subquery("sitting")


def _annotations(sittings: sa.Subquery, since: datetime | None) -> sa.Subquery:
    """One row an annotation: what of its work is from `since` on, and what it is."""
    c = sittings.c
    recent: sa.ColumnElement[bool] = sa.true() if since is None else c.at >= since
    return (
        sa.select(
            c.annotation_id,
            sa.func.max(c.completed_by).label("annotator"),
            sa.func.min(c.created_at).label("born"),
            sa.func.max(sa.case((c.skipped, 0), else_=1)).label("submitted"),
            sa.func.max(sa.case((c.milliseconds.is_(None), 0), else_=1)).label("timed"),
            sa.func.sum(sa.case((recent, c.counted), else_=0)).label("counted"),
            sa.func.sum(sa.case((recent, c.over), else_=0)).label("over"),
            sa.func.sum(sa.case((recent, c.edit), else_=0)).label("edits"),
        )
        .group_by(c.annotation_id)
        .subquery("worked")
    )


def _totals(
    project_id: int, cap: int, since: datetime | None, *, each_annotator: bool = False
) -> sa.Select[Any]:
    worked = _annotations(_sittings(project_id, cap), since)
    c = worked.c
    mine: sa.ColumnElement[bool] = sa.true() if since is None else c.born >= since
    gone = sa.exists().where(annotation.c.id == c.annotation_id, annotation.c.deleted)
    query = sa.select(
        sa.func.sum(sa.case((mine, c.submitted), else_=0)).label("labels"),
        sa.func.sum(sa.case((mine, 1 - c.submitted), else_=0)).label("skips"),
        sa.func.sum(sa.case((sa.and_(mine, c.submitted == 1, gone), 1), else_=0)).label("deleted"),
        sa.func.sum(c.edits).label("edits"),
        sa.func.sum(c.counted).label("milliseconds"),
        sa.func.sum(c.over).label("capped"),
        sa.func.sum(sa.case((mine, 1 - c.timed), else_=0)).label("untimed"),
    ).select_from(worked)
    return query.add_columns(c.annotator).group_by(c.annotator) if each_annotator else query


def _days(
    of: sa.Subquery, at: sa.ColumnElement[Any], amount: sa.ColumnElement[Any], since: datetime | None
) -> sa.Select[Any]:
    day = sa.func.date(at)
    query = sa.select(day, amount).select_from(of).group_by(day)
    return query if since is None else query.where(at >= since)
