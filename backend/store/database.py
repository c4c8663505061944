"""The engine: SQLite or PostgreSQL, one short transaction at a time, times in UTC."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.domain import StoreBusy, StoreError, StoreUnwritable

BUSY_SECONDS = 20
CONNECTIONS = 15
VIEW = "REPEATABLE READ"
"""What PostgreSQL calls a transaction all of whose statements see the same."""
CHUNK = 500
"""How many ids one IN list holds: SQLite's oldest limit on variables is 999."""

_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQLITE_UNWRITABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,  # a quota, or a limit on files
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CANTOPEN,  # as where the log of changes cannot be made beside the database
    }
)
_POSTGRESQL_BUSY = frozenset({"55P03", "57014", "40P01", "40001"})
"""No lock in time, cancelled for its time, deadlock, cannot be serialized."""
_POSTGRESQL_UNWRITABLE = frozenset({"53100", "25006", "42501"})
"""Disk full, read-only, no right."""


class UTCDateTime(sa.TypeDecorator[datetime]):
    """A time with its zone: stored as naive UTC, which sorts alike in SQLite and PostgreSQL."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Refuse a time without a zone: nobody could say what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise StoreError(f"time {value!r} has no time zone; expected an aware datetime")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Give the time its zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


class Database:
    """Opens transactions; one that writes takes SQLite's lock at its start, so it never fails half-way.

    connections: how many may be open; a thread needs one at a time, and waits for it as for a lock
    """

    def __init__(self, url: str, *, connections: int = CONNECTIONS) -> None:
        self.url = _parse(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite and self.url.database:
            _prepare_folder(Path(self.url.database))
        self.engine = _engine(self.url, connections, is_sqlite=self.is_sqlite)
        # SQLite's transactions are views by themselves; this shares the engine's connections
        self._views = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level=VIEW)
        # Threads of one process queue here: SQLite's own waiting sleeps for up to 100 ms at a time.
        self._turn = threading.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent view."""
        with self._translated(), self._views.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """All or nothing."""
        with self._translated(), self._turn, self.engine.connect() as connection:
            connection.execution_options(nextlabel_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise _kind(cause)(f"store {self}: {_first_line(cause)}") from error

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)


def insert(where: sa.Connection | str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Make an INSERT that knows ON CONFLICT, in a connection's dialect (or the named one)."""
    dialect = where if isinstance(where, str) else where.dialect.name
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def chunks(ids: list[int]) -> Iterator[list[int]]:
    """Cut `ids` into pieces that fit one statement."""
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def _parse(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except ArgumentError as error:
        raise StoreError(
            f"store.url {url.partition('://')[0]!r}…: not a database URL; "
            "expected sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        ) from error


def _prepare_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"store folder {file.parent}: {error.strerror}; expected a folder to write to"
        ) from error


def _engine(url: sa.URL, connections: int, *, is_sqlite: bool) -> sa.Engine:
    arguments: dict[str, Any] = (
        {"connect_args": {"timeout": BUSY_SECONDS}} if is_sqlite else {"pool_pre_ping": True}
    )
    try:
        engine = sa.create_engine(
            url,
            poolclass=sa.QueuePool,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS,
            # neither a log nor an error may tell what an annotator wrote
            hide_parameters=True,
            **arguments,
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            f"store.url scheme {url.drivername!r}: {error}; expected sqlite or postgresql+psycopg"
        ) from error
    if is_sqlite:
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(raw: Any, _record: object) -> None:
    raw.isolation_level = None  # the driver must not open transactions of its own: `_begin_sqlite` does
    cursor = raw.cursor()
    _write_ahead(cursor)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Switch the file to WAL; two that do so at once on a new file do not wait for each other."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("nextlabel_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _kind(error: BaseException) -> type[StoreError]:
    """Tell by the driver's code whether waiting helps, or room and rights, or something else."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # what is above only details it
        busy, unwritable = code in _SQLITE_BUSY, code in _SQLITE_UNWRITABLE
    else:
        state = getattr(error, "sqlstate", None)
        busy = state in _POSTGRESQL_BUSY or isinstance(error, PoolTimeout)
        unwritable = state in _POSTGRESQL_UNWRITABLE
    return StoreBusy if busy else StoreUnwritable if unwritable else StoreError


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
