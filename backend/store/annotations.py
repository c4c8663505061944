"""Every annotation ever seen, by its id. The newer `updated_at` wins; a delete leaves a tombstone.

Two sources speak: a *webhook* (a hint: late, repeated, out of order) and a *listing* of a task (the truth
at the moment when it was asked for). A webhook never revives a tombstone. A listing does, if it was asked for
after the tombstone was made: it would not hold what is gone. A listing that lacks an annotation proves it
deleted only if that was heard of well before: a webhook may come out of a transaction not yet visible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from backend.domain import Annotation
from backend.store.database import Database, UTCDateTime, chunks, insert
from backend.store.projects import hold, raise_change
from backend.store.schema import annotation, pool_row, project
from backend.store.versions import note_versions

UNSEEN_FOR = timedelta(seconds=15)
"""How long a listing may lack an annotation that a webhook announced."""
LONGEST_LISTING = timedelta(minutes=10)
"""What seems to be seen later than this after a page was asked for was seen on a clock that was ahead."""


@dataclass(frozen=True)
class Answer:
    """One live annotation, as far as learning needs it."""

    id: int
    task_id: int
    result: list[dict[str, Any]]
    was_cancelled: bool
    ground_truth: bool
    completed_by: int | None
    updated_at: datetime
    lead_time: float | None = None


@dataclass(frozen=True)
class Counts:
    """Annotations by what became of them."""

    submitted: int
    skipped: int
    deleted: int


class Annotations:
    """The annotations of all projects. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def heard(self, project_id: int, items: Sequence[Annotation], *, now: datetime) -> int:
        """Take in what a webhook brought; returns how many were news. Costs one small transaction."""
        with self._database.write() as db:
            hold(db, project_id)
            known = _known(db, [item.id for item in items])
            mine = [item for item in items if _is_of(known.get(item.id), project_id)]
            news = [item for item in _newest(mine) if _is_news(known.get(item.id), item)]
            if news:
                change = raise_change(db, project_id, webhook_seen_at=now)
                upsert(db, project_id, news, now=now, change=change)
            else:
                _note_webhook(db, project_id, now)
            note_versions(db, project_id, mine)
            return len(news)

    def heard_deleted(self, project_id: int, ids: Sequence[int], *, now: datetime) -> int:
        """Leave tombstones for `ids`, known or not; returns how many were news."""
        with self._database.write() as db:
            hold(db, project_id)
            known = _known(db, ids)
            mine = [id_ for id_ in dict.fromkeys(ids) if _is_of(known.get(id_), project_id)]
            news = [id_ for id_ in mine if id_ not in known or not known[id_].deleted]
            if news:
                change = raise_change(db, project_id)
                bury(db, project_id, [id_ for id_ in news if id_ in known], now=now, change=change)
                unknown = [id_ for id_ in news if id_ not in known]
                if unknown:
                    db.execute(
                        sa.insert(annotation), [_tombstone(project_id, id_, now, change) for id_ in unknown]
                    )
            _note_webhook(db, project_id, now)
            return len(news)

    def of_tasks(self, project_id: int, task_ids: Sequence[int]) -> dict[int, list[Answer]]:
        """Collect the live annotations of each task, oldest first."""
        found: dict[int, list[Answer]] = {}
        with self._database.read() as db:
            for chunk in chunks(list(task_ids)):
                query = _ANSWERS.where(annotation.c.project_id == project_id, annotation.c.task_id.in_(chunk))
                for row in db.execute(query).mappings():
                    found.setdefault(row["task_id"], []).append(Answer(**row))
        return found

    def first_answers(self, project_id: int) -> dict[int, datetime]:
        """Say when each task was first answered, by task id."""
        when = sa.func.min(sa.func.coalesce(annotation.c.created_at, annotation.c.seen_at))
        query = (
            sa.select(annotation.c.task_id, sa.type_coerce(when, UTCDateTime).label("first"))
            .where(annotation.c.project_id == project_id, ~annotation.c.deleted, ~annotation.c.was_cancelled)
            .where(annotation.c.task_id.is_not(None))
            .group_by(annotation.c.task_id)
        )
        with self._database.read() as db:
            return {row.task_id: row.first for row in db.execute(query)}

    def counts(self, project_id: int) -> Counts:
        """Count the annotations of the tasks that are in the pool, and all tombstones."""
        cancelled, deleted = annotation.c.was_cancelled, annotation.c.deleted
        # a late webhook can leave an annotation of a task that is long gone
        pooled = sa.exists().where(
            pool_row.c.project_id == annotation.c.project_id,
            pool_row.c.task_id == annotation.c.task_id,
            pool_row.c.live,
        )
        query = sa.select(
            sa.func.count().filter(~deleted, ~cancelled).label("submitted"),
            sa.func.count().filter(~deleted, cancelled).label("skipped"),
            sa.func.count().filter(deleted).label("deleted"),
        ).where(annotation.c.project_id == project_id, deleted | pooled)
        with self._database.read() as db:
            return Counts(**db.execute(query).mappings().one())

    def news_since(self, project_id: int, change: int) -> int:
        """Count the annotations that came, changed or went after `change`."""
        query = sa.select(sa.func.count()).where(
            annotation.c.project_id == project_id, annotation.c.change > change
        )
        with self._database.read() as db:
            return int(db.scalar(query) or 0)


_ANSWERS = (
    sa.select(*(annotation.c[name] for name in Answer.__dataclass_fields__))
    .where(~annotation.c.deleted)
    .order_by(annotation.c.updated_at, annotation.c.id)
)


def take_listing(
    db: sa.Connection,
    project_id: int,
    listed: Mapping[int, Sequence[Annotation]],
    *,
    asked_at: datetime,
) -> tuple[list[Annotation], list[int]]:
    """Compare tasks' annotations with what is known; returns those to write and the ids to bury."""
    task_ids = list(listed)
    mine = annotation.c.project_id == project_id
    known = {
        row.id: row
        for chunk in chunks(task_ids)
        for row in _rows(db, sa.and_(mine, annotation.c.task_id.in_(chunk)))
    }
    items = {item.id: item for of_task in listed.values() for item in of_task}
    # an annotation can be known under no task (a tombstone that a webhook left) or in another project
    elsewhere = [id_ for id_ in items if id_ not in known]
    known |= _known(db, elsewhere)
    news = [
        item
        for item in items.values()
        if not _is_of(known.get(item.id), project_id) or _is_news(known.get(item.id), item, asked_at=asked_at)
    ]
    gone = [
        row.id
        for row in known.values()
        if row.id not in items
        and row.project_id == project_id
        and not row.deleted
        and not asked_at - UNSEEN_FOR <= row.seen_at <= asked_at + LONGEST_LISTING
    ]
    return news, gone


def upsert(
    db: sa.Connection, project_id: int, items: Iterable[Annotation], *, now: datetime, change: int
) -> None:
    """Write annotations, and mark the rows of their tasks as changed."""
    values = [_values(project_id, item, now, change) for item in items]
    db.execute(_upsert_statement(db.dialect.name), values)
    mark_tasks(db, project_id, sorted({value["task_id"] for value in values}), change)


@cache
def _upsert_statement(dialect: str) -> sa.Insert:
    """Build the statement once: that costs more than to run it, and every webhook runs it."""
    statement = insert(dialect, annotation)
    updated = {column.name: statement.excluded[column.name] for column in annotation.c if column.name != "id"}
    return statement.on_conflict_do_update(index_elements=["id"], set_=updated)


def bury(db: sa.Connection, project_id: int, ids: Sequence[int], *, now: datetime, change: int) -> None:
    """Turn known annotations into tombstones, and mark the rows of their tasks as changed."""
    for chunk in chunks(list(ids)):
        tasks = db.scalars(
            sa.update(annotation)
            .where(annotation.c.id.in_(chunk), annotation.c.project_id == project_id)
            .values(deleted=True, seen_at=now, change=change)
            .returning(annotation.c.task_id)
        ).all()
        mark_tasks(db, project_id, sorted({task for task in tasks if task is not None}), change)


def mark_tasks(db: sa.Connection, project_id: int, task_ids: list[int], change: int) -> None:
    """Mark live rows as changed, so that the pool reads them again."""
    for chunk in chunks(task_ids):
        db.execute(
            sa.update(pool_row)
            .where(pool_row.c.project_id == project_id, pool_row.c.task_id.in_(chunk), pool_row.c.live)
            .values(change=change)
        )


def _is_of(known: Any, project_id: int) -> bool:
    """Whether a webhook of this project may speak of it: its secret is no key to another project."""
    return known is None or known.project_id == project_id


def _newest(items: Iterable[Annotation]) -> Iterable[Annotation]:
    """Keep one version of each annotation: one statement must not write a row twice."""
    newest: dict[int, Annotation] = {}
    for item in items:
        if item.id not in newest or item.updated_at > newest[item.id].updated_at:
            newest[item.id] = item
    return newest.values()


def _is_news(known: Any, item: Annotation, *, asked_at: datetime | None = None) -> bool:
    if known is None:
        return True
    if known.deleted:
        return asked_at is not None and not asked_at <= known.seen_at <= asked_at + LONGEST_LISTING
    if item.updated_at == known.updated_at:
        # Label Studio takes the mark off one annotation when another gets it, and leaves its time alone
        return asked_at is not None and bool(item.ground_truth != known.ground_truth)
    return bool(item.updated_at > known.updated_at)


def _known(db: sa.Connection, ids: Sequence[int]) -> dict[int, Any]:
    return {row.id: row for chunk in chunks(list(ids)) for row in _rows(db, annotation.c.id.in_(chunk))}


def _rows(db: sa.Connection, where: sa.ColumnElement[bool]) -> Sequence[Any]:
    c = annotation.c
    query = sa.select(c.id, c.project_id, c.ground_truth, c.updated_at, c.seen_at, c.deleted)
    return db.execute(query.where(where)).all()


def _note_webhook(db: sa.Connection, project_id: int, now: datetime) -> None:
    db.execute(sa.update(project).where(project.c.id == project_id).values(webhook_seen_at=now))


def _values(project_id: int, item: Annotation, now: datetime, change: int) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "id": item.id,
        "task_id": item.task_id,
        "result": list(item.result),
        "was_cancelled": item.was_cancelled,
        "ground_truth": item.ground_truth,
        "completed_by": item.completed_by,
        "lead_time": item.lead_time,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "seen_at": now,
        "deleted": False,
        "change": change,
    }


def _tombstone(project_id: int, id_: int, now: datetime, change: int) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "id": id_,
        "task_id": None,
        "result": [],
        "was_cancelled": False,
        "ground_truth": False,
        "updated_at": now,
        "seen_at": now,
        "deleted": True,
        "change": change,
    }
