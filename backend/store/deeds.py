"""What somebody did to a project, and what the worker is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from backend.store.database import Database, insert
from backend.store.page_tables import event, wish
from backend.store.schema import project


@dataclass(frozen=True)
class Event:
    """What somebody did."""

    at: datetime
    name: str
    action: str


class Deeds:
    """What was done, and what is to be done. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, project_id: int, action: str, *, by: str, now: datetime) -> None:
        """Write down who did what."""
        with self._database.write() as db:
            _note(db, project_id, action, by, now)

    def events(self, project_id: int, *, limit: int = 100) -> list[Event]:
        """List what was done, the newest first."""
        query = (
            sa.select(event.c.at, event.c.name, event.c.action)
            .where(event.c.project_id == project_id)
            .order_by(event.c.id.desc())
            .limit(limit)
        )
        with self._database.read() as db:
            return [Event(*row) for row in db.execute(query)]

    def ask_round(self, project_id: int, why: str, *, by: str, now: datetime) -> None:
        """Ask for a round and write down who did."""
        with self._database.write() as db:
            _note(db, project_id, "round", by, now)
            db.execute(sa.update(project).where(project.c.id == project_id).values(wanted=why))

    def wish(self, project_id: int, action: str, *, by: str, now: datetime) -> None:
        """Ask the worker for something, once, and write down who did."""
        asked = {"name": by, "at": now}
        with self._database.write() as db:
            _note(db, project_id, action, by, now)
            db.execute(
                insert(db, wish)
                .values(project_id=project_id, action=action, **asked)
                .on_conflict_do_update(index_elements=["project_id", "action"], set_=asked)
            )

    def wishes(self, project_id: int) -> dict[str, datetime]:
        """Say what was asked for and not yet done, and when."""
        query = sa.select(wish.c.action, wish.c.at).where(wish.c.project_id == project_id)
        with self._database.read() as db:
            return {row.action: row.at for row in db.execute(query)}

    def grant(self, project_id: int, action: str, asked_at: datetime) -> None:
        """Clear a wish that was done; one that came meanwhile stays."""
        with self._database.write() as db:
            db.execute(
                sa.delete(wish).where(
                    wish.c.project_id == project_id, wish.c.action == action, wish.c.at <= asked_at
                )
            )


def _note(db: sa.Connection, project_id: int, action: str, by: str, now: datetime) -> None:
    db.execute(sa.insert(event).values(project_id=project_id, at=now, name=by, action=action))
