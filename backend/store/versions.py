"""Every version of an annotation that was ever seen, and what each is among the others.

Label Studio's lead time grows: each edit is saved with the time of all before it. So the time of an edit is
what it adds to the longest lead time seen before it, and the same versions give the same sums, in whatever
order, however often and by whatever way they came. Nothing is ever taken out: who deletes an annotation has
been paid for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from backend.domain import Annotation
from backend.store.database import chunks, insert
from backend.store.schema import annotation_version

LONGEST_SECONDS = 1e9
"""Thirty years: a longer lead time is no time at all."""

_v = annotation_version.c


def note_versions(db: sa.Connection, project_id: int, items: Sequence[Annotation]) -> None:
    """Keep what was seen of annotations, old versions and the deleted too; repeating it does no harm.

    The transaction must hold the project: two must not each take their own version of one for its first.
    """
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
            **_NEW,
        }
        for item in items
    ]
    if not values:
        return
    db.execute(_note_statement(db.dialect.name), values)
    _work_out(db, project_id, sorted({item.id for item in items}))


def milliseconds(lead_time: float | None) -> int | None:
    """Read a lead time; None where it cannot be one: negative, not a number, or longer than a career."""
    if lead_time is None or not math.isfinite(lead_time) or not 0 < lead_time < LONGEST_SECONDS:
        return None
    return round(lead_time * 1000)


_NEW = {"added": 0, "is_first": False, "is_label": False, "is_timed": False}


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


def _work_out(db: sa.Connection, project_id: int, ids: list[int]) -> None:
    """Work out anew what each version of these annotations is, from all that is known of them."""
    for chunk in chunks(ids):
        rows = db.execute(_VERSIONS, {"project": project_id, "ids": chunk}).all()
        changed = [
            {"project": project_id, "id": row.annotation_id, "at": row.updated_at, **facts}
            for _, versions in groupby(rows, key=lambda row: row.annotation_id)
            for row, facts in _facts(list(versions))
            if any(getattr(row, name) != value for name, value in facts.items())
        ]
        if changed:
            db.execute(_WORKED_OUT, changed)


def _facts(versions: Sequence[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """What each version of one annotation is; oldest first."""
    longest = 0
    submitted = not all(row.skipped for row in versions)
    timed = any(row.milliseconds is not None for row in versions)
    for place, row in enumerate(versions):
        lead, first = row.milliseconds or 0, place == 0
        yield (
            row,
            {
                "added": max(0, lead - longest),
                "is_first": first,
                "is_label": first and submitted,
                "is_timed": first and timed,
            },
        )
        longest = max(longest, lead)


_VERSIONS = (
    sa.select(*(_v[name] for name in ("annotation_id", "updated_at", "milliseconds", "skipped", *_NEW)))
    .where(
        _v.project_id == sa.bindparam("project"),
        _v.annotation_id.in_(sa.bindparam("ids", expanding=True)),
    )
    .order_by(_v.annotation_id, _v.updated_at)
)
_WORKED_OUT = (
    sa.update(annotation_version)
    .where(
        _v.project_id == sa.bindparam("project"),
        _v.annotation_id == sa.bindparam("id"),
        _v.updated_at == sa.bindparam("at"),
    )
    .values({name: sa.bindparam(name) for name in _NEW})
)
