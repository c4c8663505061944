"""Tasks as rows of the pool: append-only, one per (task, content), never reused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.domain import Json, Task
from backend.store.annotations import LONGEST_LISTING, bury, mark_tasks, take_listing, upsert
from backend.store.database import Database, chunks, insert
from backend.store.projects import hold, raise_change
from backend.store.schema import annotation, encoding, pool_row, project
from backend.store.versions import note_versions


@dataclass(frozen=True)
class SyncCounts:
    """What a page of tasks changed."""

    new_rows: int = 0
    removed_tasks: int = 0
    annotations: int = 0
    deleted_annotations: int = 0

    def __add__(self, other: SyncCounts) -> SyncCounts:
        return SyncCounts(
            self.new_rows + other.new_rows,
            self.removed_tasks + other.removed_tasks,
            self.annotations + other.annotations,
            self.deleted_annotations + other.deleted_annotations,
        )

    def __bool__(self) -> bool:
        return self != SyncCounts()


@dataclass(frozen=True)
class RowState:
    """One row of the pool."""

    row: int
    task_id: int
    live: bool


def content_hash(data: Json) -> str:
    """Hash a task's data; equal data gives equal hashes, whatever the order of its keys."""
    canonical = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(errors="surrogatepass"), digest_size=16).hexdigest()


class Tasks:
    """The pools of all projects. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, project_id: int, tasks: Sequence[Task], *, asked_at: datetime, now: datetime
    ) -> SyncCounts:
        """Take in a page of tasks with all their annotations, as listed at `asked_at`. Safe to repeat."""
        with self._database.write() as db:
            hold(db, project_id)
            seen = [item for task in tasks for item in task.annotations]
            removed = _removed_since(db, project_id, [task.id for task in tasks], asked_at)
            tasks = [task for task in tasks if task.id not in removed]
            fresh, revived = _compare_rows(db, project_id, tasks)
            listed = {task.id: task.annotations for task in tasks}
            news, gone = take_listing(db, project_id, listed, asked_at=asked_at)
            if not (fresh or revived or news or gone):
                note_versions(db, project_id, seen)
                return SyncCounts()
            change = raise_change(db, project_id)
            _append_rows(db, project_id, fresh, change)
            _revive_rows(db, project_id, revived, change)
            if news:
                upsert(db, project_id, news, now=now, change=change)
            bury(db, project_id, gone, now=now, change=change)
            note_versions(db, project_id, seen)
            return SyncCounts(len(fresh) + len(revived), 0, len(news), len(gone))

    def remove(self, project_id: int, task_ids: Sequence[int], *, now: datetime) -> int:
        """Leave tombstones for tasks and their annotations; returns how many tasks were live."""
        removed = 0
        with self._database.write() as db:
            hold(db, project_id)
            for chunk in chunks(list(task_ids)):
                mine = sa.and_(pool_row.c.project_id == project_id, pool_row.c.task_id.in_(chunk))
                db.execute(sa.update(pool_row).where(mine).values(removed_at=now))
                live = _live(project_id, chunk)
                known = db.scalars(sa.select(pool_row.c.task_id).where(live)).all()
                if not known:
                    continue
                change = raise_change(db, project_id)
                db.execute(sa.update(pool_row).where(live).values(live=False, change=change))
                doomed = sa.select(annotation.c.id).where(
                    annotation.c.project_id == project_id,
                    annotation.c.task_id.in_(chunk),
                    ~annotation.c.deleted,
                )
                bury(db, project_id, db.scalars(doomed).all(), now=now, change=change)
                removed += len(known)
        return removed

    def live_ids(self, project_id: int) -> set[int]:
        """Collect the ids of the tasks that are in the pool."""
        query = sa.select(pool_row.c.task_id).where(pool_row.c.project_id == project_id, pool_row.c.live)
        with self._database.read() as db:
            return set(db.scalars(query))

    def count(self, project_id: int) -> int:
        """Count the tasks that are in the pool."""
        query = sa.select(sa.func.count()).where(pool_row.c.project_id == project_id, pool_row.c.live)
        with self._database.read() as db:
            return int(db.scalar(query) or 0)

    def changed_rows(self, project_id: int, since: int) -> tuple[list[RowState], int]:
        """List the rows that changed after `since`, by row, and the change that this view stands at."""
        query = (
            sa.select(pool_row.c.row, pool_row.c.task_id, pool_row.c.live)
            .where(pool_row.c.project_id == project_id, pool_row.c.change > since)
            .order_by(pool_row.c.row)
        )
        with self._database.read() as db:
            level = db.scalar(sa.select(project.c.change).where(project.c.id == project_id))
            return [RowState(*row) for row in db.execute(query)], int(level or 0)

    def data(self, project_id: int, start: int, stop: int) -> list[dict[str, Any]]:
        """List the data of rows start..stop-1, in order."""
        query = (
            sa.select(pool_row.c.data)
            .where(pool_row.c.project_id == project_id, pool_row.c.row >= start, pool_row.c.row < stop)
            .order_by(pool_row.c.row)
        )
        with self._database.read() as db:
            return list(db.scalars(query))

    def data_of(self, project_id: int, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Read the data of `rows`, in their order."""
        found: dict[int, dict[str, Any]] = {}
        with self._database.read() as db:
            for chunk in chunks(list(rows)):
                query = sa.select(pool_row.c.row, pool_row.c.data).where(
                    pool_row.c.project_id == project_id, pool_row.c.row.in_(chunk)
                )
                found |= {row.row: row.data for row in db.execute(query)}
        return [found[row] for row in rows]

    def sample(self, project_id: int, size: int) -> list[dict[str, Any]]:
        """List the data of up to `size` live tasks, spread evenly over the rows."""
        mine = sa.and_(pool_row.c.project_id == project_id, pool_row.c.live)
        with self._database.read() as db:
            count = db.scalar(sa.select(sa.func.count()).where(mine)) or 0
            step = max(1, int(count) // max(1, size))
            query = sa.select(pool_row.c.data).where(mine, pool_row.c.row % step == 0).limit(size)
            return list(db.scalars(query))

    def encoded(self, project_id: int, fingerprint: str) -> int:
        """How many leading rows are on disk for this encoder."""
        query = sa.select(encoding.c.rows).where(
            encoding.c.project_id == project_id, encoding.c.fingerprint == fingerprint
        )
        with self._database.read() as db:
            return int(db.scalar(query) or 0)

    def set_encoded(self, project_id: int, fingerprint: str, rows: int) -> None:
        """Commit that the first `rows` rows are flushed to disk."""
        with self._database.write() as db:
            db.execute(
                insert(db, encoding)
                .values(project_id=project_id, fingerprint=fingerprint, rows=rows)
                .on_conflict_do_update(index_elements=["project_id", "fingerprint"], set_={"rows": rows})
            )


def _live(project_id: int, task_ids: Sequence[int]) -> sa.ColumnElement[bool]:
    return sa.and_(
        pool_row.c.project_id == project_id, pool_row.c.task_id.in_(task_ids), pool_row.c.live.is_(True)
    )


def _removed_since(
    db: sa.Connection, project_id: int, task_ids: list[int], asked_at: datetime
) -> frozenset[int]:
    """Tasks that were found gone after the listing was asked for: what it says of them is old."""
    found: set[int] = set()
    for chunk in chunks(task_ids):
        query = sa.select(pool_row.c.task_id).where(
            pool_row.c.project_id == project_id,
            pool_row.c.task_id.in_(chunk),
            pool_row.c.removed_at.between(asked_at, asked_at + LONGEST_LISTING),
        )
        found.update(db.scalars(query))
    return frozenset(found)


def _compare_rows(
    db: sa.Connection, project_id: int, tasks: Sequence[Task]
) -> tuple[list[tuple[Task, str]], list[tuple[int, int]]]:
    """Tasks whose content has no row yet, and the (task id, row) whose old content came back."""
    known: dict[tuple[int, str], Any] = {}
    for chunk in chunks([task.id for task in tasks]):
        query = sa.select(pool_row.c.task_id, pool_row.c.content, pool_row.c.row, pool_row.c.live).where(
            pool_row.c.project_id == project_id, pool_row.c.task_id.in_(chunk)
        )
        known |= {(row.task_id, row.content): row for row in db.execute(query)}
    fresh, revived = [], []
    for task in tasks:
        content = content_hash(task.data)
        row = known.get((task.id, content))
        if row is None:
            fresh.append((task, content))
        elif not row.live:
            revived.append((task.id, row.row))
    return fresh, revived


def _append_rows(db: sa.Connection, project_id: int, fresh: list[tuple[Task, str]], change: int) -> None:
    if not fresh:
        return
    _retire_rows(db, project_id, [task.id for task, _ in fresh], change)
    end = db.scalar(
        sa.update(project)
        .where(project.c.id == project_id)
        .values(next_row=project.c.next_row + len(fresh))
        .returning(project.c.next_row)
    )
    first = int(end or 0) - len(fresh)
    db.execute(
        sa.insert(pool_row),
        [
            {
                "project_id": project_id,
                "row": first + offset,
                "task_id": task.id,
                "content": content,
                "data": dict(task.data),
                "live": True,
                "change": change,
            }
            for offset, (task, content) in enumerate(fresh)
        ],
    )


def _revive_rows(db: sa.Connection, project_id: int, revived: list[tuple[int, int]], change: int) -> None:
    _retire_rows(db, project_id, [task_id for task_id, _ in revived], change)
    for chunk in chunks([row for _, row in revived]):
        db.execute(
            sa.update(pool_row)
            .where(pool_row.c.project_id == project_id, pool_row.c.row.in_(chunk))
            .values(live=True, change=change)
        )


def _retire_rows(db: sa.Connection, project_id: int, task_ids: list[int], change: int) -> None:
    mark_tasks(db, project_id, task_ids, change)
    for chunk in chunks(task_ids):
        db.execute(sa.update(pool_row).where(_live(project_id, chunk)).values(live=False))
