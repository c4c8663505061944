"""What managers set while nextlabel runs, with its whole history; and whether a project's queue is closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.domain import NotFound, Outdated
from backend.store.database import Database, insert
from backend.store.schema import closure as closure_table
from backend.store.schema import live_setting, project


@dataclass(frozen=True)
class Setting:
    """One subject's settings (budget, standing, shares) as somebody saved them."""

    subject: str
    revision: int
    at: datetime
    author: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Closure:
    """Whether the queue should be closed (`closed`), and whether Label Studio is as it should be (`settled`).

    number:  counts the closings
    reasons: why, as the budget gave them
    kept:    what Label Studio had before, to be put back
    told:    channel to what came of telling the manager of this closing
    """

    closed: bool
    settled: bool
    number: int
    changed_at: datetime
    reasons: tuple[Mapping[str, Any], ...]
    kept: Mapping[str, Any]
    told: Mapping[str, Any]


_SETTING = [live_setting.c[name] for name in Setting.__dataclass_fields__]
_CLOSURE = [closure_table.c[name] for name in Closure.__dataclass_fields__]


class Settings:
    """Live settings, each revision kept. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self, project_id: int, subject: str) -> Setting | None:
        """Look up what holds now; None while nobody has set anything."""
        with self._database.read() as db:
            return _latest(db, project_id, subject)

    def save(
        self,
        project_id: int,
        subject: str,
        content: Mapping[str, Any],
        *,
        revision: int,
        author: str,
        now: datetime,
        anew: bool = False,
    ) -> Setting:
        """Write the next revision, and wake the worker; what equals the current one is written `anew` only.

        revision: the one that `content` was made from, 0 for none
        raises:   Outdated when somebody saved after that; nothing is written then
        """
        with self._database.write() as db:
            known = _latest(db, project_id, subject)
            if known is None and db.scalar(sa.select(project.c.id).where(project.c.id == project_id)) is None:
                raise NotFound(
                    f"project {project_id} is not connected; connect it with: nextlabel connect {project_id}"
                )
            if known is not None and not anew and (known.revision, known.content) == (revision, content):
                return known
            fresh = Setting(subject, revision + 1, now, author, dict(content))
            if (known.revision if known else 0) != revision:
                raise _outdated(known, subject, revision)
            written = db.scalar(
                insert(db, live_setting)
                .values(project_id=project_id, **vars(fresh))
                .on_conflict_do_nothing(index_elements=["project_id", "subject", "revision"])
                .returning(live_setting.c.revision)
            )
            if written is None:
                raise _outdated(_latest(db, project_id, subject), subject, revision)
            db.execute(
                sa.update(project)
                .where(project.c.id == project_id)
                .values(woken_at=now, wanted=f"the {subject} was changed")
            )
            return fresh

    def history(self, project_id: int, *subjects: str, limit: int = 100) -> list[tuple[Setting, Any]]:
        """List changes, newest first, each with the content before it (None for the first)."""
        query = sa.select(*_SETTING).where(live_setting.c.project_id == project_id)
        if subjects:
            query = query.where(live_setting.c.subject.in_(subjects))
        query = query.order_by(live_setting.c.at.desc(), live_setting.c.revision.desc())
        with self._database.read() as db:
            rows = [Setting(**row) for row in db.execute(query).mappings()]
        found = {(each.subject, each.revision): each.content for each in rows}
        return [(each, found.get((each.subject, each.revision - 1))) for each in rows[:limit]]


class Closures:
    """Closed queues. Every method is one transaction; only the worker that holds the lease should write."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, project_id: int) -> Closure | None:
        """Look up how the queue stands; None while it never was closed."""
        with self._database.read() as db:
            return _closure(db, project_id)

    def want(
        self, project_id: int, reasons: Sequence[Mapping[str, Any]], *, closed: bool, now: datetime
    ) -> Closure:
        """Write down that the queue should be closed or open; Label Studio is told after that."""
        with self._database.write() as db:
            known = _closure(db, project_id)
            if known is not None and known.closed == closed:
                if closed:
                    _write(db, project_id, reasons=list(reasons))
            elif known is not None:
                fresh: dict[str, Any] = {"told": {}} if closed else {}
                _write(
                    db,
                    project_id,
                    closed=closed,
                    settled=False,
                    number=known.number + int(closed),
                    changed_at=now,
                    reasons=list(reasons),
                    **fresh,
                )
            else:
                db.execute(
                    sa.insert(closure_table).values(
                        project_id=project_id,
                        closed=closed,
                        settled=False,
                        number=int(closed),
                        changed_at=now,
                        reasons=list(reasons),
                        kept={},
                        told={},
                    )
                )
            found = _closure(db, project_id)
        assert found is not None
        return found

    def keep(self, project_id: int, kept: Mapping[str, Any]) -> None:
        """Remember what Label Studio had, before it is changed."""
        with self._database.write() as db:
            _write(db, project_id, kept=dict(kept))

    def settle(self, project_id: int, *, settled: bool = True) -> None:
        """Note that Label Studio is as it should be, or that it is not any more."""
        with self._database.write() as db:
            _write(db, project_id, settled=settled)

    def told(self, project_id: int, number: int, told: Mapping[str, Any]) -> None:
        """Note what came of telling the manager of closing `number`."""
        with self._database.write() as db:
            db.execute(
                sa.update(closure_table)
                .where(closure_table.c.project_id == project_id, closure_table.c.number == number)
                .values(told=dict(told))
            )


def kept_overlap(db: sa.Connection, project_id: int) -> int | None:
    """Look up how many annotations a task gets while the queue is open; None when it never was closed."""
    kept = db.scalar(sa.select(closure_table.c.kept).where(closure_table.c.project_id == project_id)) or {}
    overlap = kept.get("maximum_annotations")
    return None if overlap is None else int(overlap)


def _latest(db: sa.Connection, project_id: int, subject: str) -> Setting | None:
    query = (
        sa.select(*_SETTING)
        .where(live_setting.c.project_id == project_id, live_setting.c.subject == subject)
        .order_by(live_setting.c.revision.desc())
        .limit(1)
    )
    row = db.execute(query).mappings().one_or_none()
    return None if row is None else Setting(**row)


def _outdated(known: Setting | None, subject: str, revision: int) -> Outdated:
    if known is None:
        return Outdated(f"{subject}: revision {revision} does not exist; expected 0, nothing was saved yet")
    return Outdated(
        f"{subject}: {known.author} saved revision {known.revision} at {known.at:%Y-%m-%d %H:%M} UTC, after "
        f"you had read revision {revision}; nothing of yours was saved: look at it again"
    )


def _closure(db: sa.Connection, project_id: int) -> Closure | None:
    query = sa.select(*_CLOSURE).where(closure_table.c.project_id == project_id)
    row = db.execute(query).mappings().one_or_none()
    return None if row is None else Closure(**{**row, "reasons": tuple(row["reasons"])})


def _write(db: sa.Connection, project_id: int, **values: Any) -> None:
    db.execute(sa.update(closure_table).where(closure_table.c.project_id == project_id).values(**values))
