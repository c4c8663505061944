"""The only SQL: what nextlabel knows, in SQLite or PostgreSQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from backend.domain import StoreError
from backend.store.access import Access
from backend.store.annotations import Annotations, Answer, Counts
from backend.store.budgets import Closure, Closures, Setting, Settings
from backend.store.database import CONNECTIONS, Database
from backend.store.deeds import Deeds, Event
from backend.store.leases import Lease, Leases
from backend.store.pages import Pages
from backend.store.projects import Connection, Projects, digest
from backend.store.queue import Queue, Version
from backend.store.rounds import Round, Rounds, asks
from backend.store.schema import project
from backend.store.target_tables import training_lease
from backend.store.targets import TargetVersion, TargetVersions, TrainingState
from backend.store.tasks import RowState, SyncCounts, Tasks, content_hash
from backend.store.work import Day, Totals, Work, Worked

__all__ = [
    "Access",
    "Annotations",
    "Answer",
    "Closure",
    "Closures",
    "Connection",
    "Counts",
    "Day",
    "Deeds",
    "Event",
    "Lease",
    "Leases",
    "Pages",
    "Projects",
    "Queue",
    "Round",
    "Rounds",
    "RowState",
    "Setting",
    "Settings",
    "Store",
    "SyncCounts",
    "TargetVersion",
    "TargetVersions",
    "Tasks",
    "Totals",
    "TrainingState",
    "Version",
    "Work",
    "Worked",
    "asks",
    "content_hash",
    "digest",
]


class Store:
    """Everything that must survive a restart, by subject; each method of a subject is one transaction.

    connections: how many threads may use it at the same time; more wait, and give up after a while
    """

    def __init__(self, url: str, *, connections: int = CONNECTIONS) -> None:
        self.database = Database(url, connections=connections)
        self.projects = Projects(self.database)
        self.tasks = Tasks(self.database)
        self.annotations = Annotations(self.database)
        self.queue = Queue(self.database)
        self.rounds = Rounds(self.database)
        self.leases = Leases(self.database)
        self.settings = Settings(self.database)
        self.closures = Closures(self.database)
        self.work = Work(self.database)
        self.access = Access(self.database)
        self.pages = Pages(self.database)
        self.deeds = Deeds(self.database)
        self.targets = TargetVersions(self.database)
        self.training_leases = Leases(self.database, training_lease)

    @classmethod
    def open(cls, url: str, *, connections: int = CONNECTIONS) -> Store:
        """Open a store and bring its tables up to date; safe to race."""
        store = cls(url, connections=connections)
        try:
            store.migrate()
        except BaseException:
            store.close()
            raise
        return store

    def migrate(self) -> None:
        """Bring the tables up to date; StoreError when they are newer than this program."""
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.database.write() as db:
            if not self.database.is_sqlite:
                db.execute(sa.select(sa.func.pg_advisory_xact_lock(0x6E6578746C)))
            config.attributes["connection"] = db
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise StoreError(
                    f"store {self.database}: {error}; was it written by a newer nextlabel?"
                ) from error

    def check(self) -> None:
        """Read one row; StoreError when the store is unusable."""
        with self.database.read() as db:
            db.execute(sa.select(project.c.id).limit(1)).all()

    def check_writing(self) -> None:
        """Write what is there already once more; StoreError when nothing can be written.

        What is rolled back may never reach a disk that is full.
        """
        with self.database.write() as db:
            db.execute(sa.text("UPDATE alembic_version SET version_num = version_num"))

    def backup(self, file: Path) -> None:
        """Copy the store to `file` while others use it: one consistent SQLite database."""
        if not self.database.is_sqlite:
            raise StoreError(f"store {self.database}: backup copies SQLite only; for PostgreSQL use pg_dump")
        if file.exists():
            raise StoreError(f"backup file {file}: exists already; expected a new name")
        source, target = sqlite3.connect(self.database.url.database or ""), None
        try:
            target = sqlite3.connect(file)
            source.backup(target, pages=1000)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"backup file {file}: {error}") from error
        finally:
            source.close()
            if target is not None:
                target.close()

    def close(self) -> None:
        """Let go of all connections."""
        self.database.engine.dispose()
