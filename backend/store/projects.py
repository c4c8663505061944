"""What is known of each connected project, and what its worker should do next."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.domain import NotFound, Project
from backend.store.budgets import kept_overlap
from backend.store.database import Database, insert
from backend.store.schema import front, project


@dataclass(frozen=True)
class Connection:
    """A project that nextlabel is connected to."""

    id: int
    title: str
    label_config: str
    maximum_annotations: int
    connected_at: datetime
    connected: bool
    previous: Mapping[str, Any]
    webhook_id: int | None
    webhook_digest: str | None
    webhook_seen_at: datetime | None
    ml_backend_id: int | None
    change: int
    cursor: datetime | None
    polled_at: datetime | None
    woken_at: datetime | None
    reconciled_at: datetime | None
    wanted: str | None
    progress: Mapping[str, Any] | None
    trouble: str | None


_KNOWN = [project.c[name] for name in Connection.__dataclass_fields__]


def digest(secret: str) -> str:
    """Hash a webhook secret: the store must be able to check one, not to tell it."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Projects:
    """Connected projects. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def connect(self, found: Project, previous: Mapping[str, Any], *, now: datetime) -> Connection:
        """Remember a project; the settings to restore are those from before it was connected."""
        fresh = {"connected": True, "connected_at": now, "previous": dict(previous)}
        seen = {
            "title": found.title,
            "label_config": found.label_config,
            "maximum_annotations": found.maximum_annotations,
        }
        with self._database.write() as db:
            db.execute(
                insert(db, project)
                .values(id=found.id, **seen, **fresh)
                .on_conflict_do_update(index_elements=["id"], set_=fresh, where=~project.c.connected)
            )
            return _load(db, found.id)

    def disconnect(self, project_id: int) -> None:
        """Stop working on a project, and believe its webhook no more; what is known of it stays."""
        self._set(project_id, connected=False, webhook_digest=None)

    def restored(self, project_id: int) -> None:
        """Label Studio is as it was before the project was connected: nothing of ours is left there."""
        self._set(project_id, previous={}, webhook_id=None, ml_backend_id=None)

    def get(self, project_id: int) -> Connection:
        """Look a project up; NotFound when it was never connected."""
        with self._database.read() as db:
            return _load(db, project_id)

    def of_webhook(self, secret: str) -> Connection | None:
        """Look up the connected project whose webhook has this secret."""
        query = sa.select(*_KNOWN).where(project.c.webhook_digest == digest(secret), project.c.connected)
        with self._database.read() as db:
            row = db.execute(query).mappings().first()
            return None if row is None else Connection(**row)

    def all(self, *, disconnected: bool = False) -> list[Connection]:
        """List the connected projects (and, if wanted, the disconnected ones), oldest first."""
        query = sa.select(*_KNOWN).order_by(project.c.connected_at, project.c.id)
        if not disconnected:
            query = query.where(project.c.connected)
        with self._database.read() as db:
            return [Connection(**row) for row in db.execute(query).mappings()]

    def forget(self, project_id: int) -> None:
        """Erase everything that is kept of a project."""
        with self._database.write() as db:
            db.execute(sa.delete(front).where(front.c.project_id == project_id))
            db.execute(sa.delete(project).where(project.c.id == project_id))

    def describe(self, found: Project) -> None:
        """Take over title, label config and overlap; another one of the latter two wants a round."""
        with self._database.write() as db:
            known = _load(db, found.id)
            if found.maximum_annotations < 1:  # its queue is closed, and what it will be open with holds
                overlap = kept_overlap(db, found.id) or max(1, known.maximum_annotations)
                found = replace(found, maximum_annotations=overlap)
            differs = (known.label_config, known.maximum_annotations) != (
                found.label_config,
                found.maximum_annotations,
            )
            if differs or known.title != found.title:
                db.execute(
                    sa.update(project)
                    .where(project.c.id == found.id)
                    .values(
                        title=found.title,
                        label_config=found.label_config,
                        maximum_annotations=found.maximum_annotations,
                        change=project.c.change + int(differs),
                        wanted="the project's settings changed" if differs else project.c.wanted,
                    )
                )

    def set_webhook(self, project_id: int, webhook_id: int | None, secret: str | None) -> None:
        """Remember the webhook and what its secret hashes to; nothing has been heard from it yet."""
        self._set(
            project_id,
            webhook_id=webhook_id,
            webhook_digest=digest(secret) if secret else None,
            webhook_seen_at=None,
        )

    def set_ml_backend(self, project_id: int, ml_backend_id: int | None) -> None:
        """Remember the ML backend link."""
        self._set(project_id, ml_backend_id=ml_backend_id)

    def webhook_seen(self, project_id: int, *, now: datetime | None) -> None:
        """Note that the webhook came through, or (None) that it is not to be relied on."""
        self._set(project_id, webhook_seen_at=now)

    def wake(self, project_id: int, *, now: datetime) -> None:
        """A webhook said that something changed which only a poll can find.

        A poll is due while `woken_at` is not before the moment at which the last poll was asked for.
        """
        self._set(project_id, woken_at=now, webhook_seen_at=now)

    def look_soon(self, project_id: int, *, now: datetime) -> None:
        """Make a poll due, though nothing was heard."""
        self._set(project_id, woken_at=now)

    def polled(
        self, project_id: int, *, cursor: datetime | None, now: datetime, woken: datetime | None = None
    ) -> None:
        """Everything up to `cursor` has been read.

        woken: the wake-up that this answers: one of a clock that was ahead would ask for polls until then
        """
        values: dict[str, Any] = {"polled_at": now}
        if woken is not None and woken > now:
            values["woken_at"] = sa.case((project.c.woken_at == woken, now), else_=project.c.woken_at)
        if cursor is not None:
            values["cursor"] = cursor
        self._set(project_id, **values)

    def reconciled(self, project_id: int, *, now: datetime) -> None:
        """All ids were compared."""
        self._set(project_id, reconciled_at=now)

    def want_round(self, project_id: int, why: str) -> None:
        """Ask for a round, whatever the labels say."""
        self._set(project_id, wanted=why)

    def round_taken(self, project_id: int, why: str) -> None:
        """Clear the wish `why`; one that came meanwhile stays."""
        with self._database.write() as db:
            db.execute(
                sa.update(project)
                .where(project.c.id == project_id, project.c.wanted == why)
                .values(wanted=None)
            )

    def report(self, project_id: int, progress: Mapping[str, Any] | None) -> None:
        """Show how far the running step has come; None when nothing runs."""
        self._set(project_id, progress=dict(progress) if progress is not None else sa.null())

    def trouble(self, project_id: int, words: str | None) -> None:
        """Say what keeps the worker from working; None when it works again."""
        self._set(project_id, trouble=words)

    def _set(self, project_id: int, **values: Any) -> None:
        with self._database.write() as db:
            db.execute(sa.update(project).where(project.c.id == project_id).values(**values))


def hold(db: sa.Connection, project_id: int) -> None:
    """Begin a transaction that reads a project's tasks or annotations to change them: one at a time does so.

    In SQLite every transaction that writes is alone. What merely refers to the project does not wait.
    """
    if db.dialect.name != "sqlite":
        db.execute(sa.select(project.c.id).where(project.c.id == project_id).with_for_update(key_share=True))


def raise_change(db: sa.Connection, project_id: int, **also: Any) -> int:
    """Count one more change of the project, and set what `also` names; the number marks what changed."""
    change = db.scalar(
        sa.update(project)
        .where(project.c.id == project_id)
        .values(change=project.c.change + 1, **also)
        .returning(project.c.change)
    )
    if change is None:
        raise _unknown(project_id)
    return int(change)


def _load(db: sa.Connection, project_id: int) -> Connection:
    row = db.execute(sa.select(*_KNOWN).where(project.c.id == project_id)).mappings().one_or_none()
    if row is None:
        raise _unknown(project_id)
    return Connection(**row)


def _unknown(project_id: int) -> NotFound:
    return NotFound(f"project {project_id} is not connected; connect it with: nextlabel connect {project_id}")
