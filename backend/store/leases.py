"""Who works on which project: leases that expire, with an epoch that fences off whoever was overtaken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from backend.domain import LONGEST_LEASE_SECONDS, LeaseLost
from backend.store.database import Database, insert
from backend.store.schema import lease as rounds_lease
from backend.store.schema import worker

LONGEST = timedelta(seconds=LONGEST_LEASE_SECONDS)
"""The longest lease that can be configured."""
SKEW = timedelta(minutes=1)
"""How far the clocks of two machines may differ before one does not believe the other's leases."""
FORGOTTEN = timedelta(days=1)
"""A worker that has not been seen for so long was killed."""


@dataclass(frozen=True)
class Lease:
    """The right to work on a project; `epoch` rises each time it changes hands."""

    project_id: int
    holder: str
    epoch: int


class Leases:
    """Leases and the workers that take them. Every method is one transaction.

    table: of what the leases give the right to, by project
    """

    def __init__(self, database: Database, table: sa.Table = rounds_lease) -> None:
        self._database = database
        self._table = table

    def take(self, project_id: int, holder: str, *, now: datetime, seconds: float) -> Lease | None:
        """Take a free or expired lease; None while another holder's is alive.

        One that ends later than any lease could is free: whoever took it had a clock that was ahead.
        """
        expires, table = now + timedelta(seconds=seconds), self._table
        statement = (
            sa.update(table)
            .where(table.c.project_id == project_id, sa.not_(_alive(table, now)))
            .values(holder=holder, epoch=table.c.epoch + 1, expires_at=expires)
            .returning(table.c.epoch)
        )
        with self._database.write() as db:
            epoch = db.scalar(statement)
            if epoch is None:
                epoch = db.scalar(
                    insert(db, table)
                    .values(project_id=project_id, holder=holder, epoch=1, expires_at=expires)
                    .on_conflict_do_nothing()
                    .returning(table.c.epoch)
                )
            return None if epoch is None else Lease(project_id, holder, int(epoch))

    def renew(self, lease: Lease, *, now: datetime, seconds: float) -> None:
        """Prolong a lease; LeaseLost when another holder has taken it."""
        table = self._table
        statement = (
            sa.update(table)
            .where(table.c.project_id == lease.project_id, table.c.epoch == lease.epoch)
            .values(expires_at=now + timedelta(seconds=seconds))
            .returning(table.c.epoch)
        )
        with self._database.write() as db:
            if db.scalar(statement) is None:
                fence(db, lease, now=None, table=table)

    def check(self, lease: Lease, *, now: datetime) -> None:
        """Raise LeaseLost unless the lease is still ours and alive: until it ends nobody else can take it."""
        with self._database.read() as db:
            ends = _look(db, lease, now, self._table)
        if ends > now + LONGEST + SKEW:
            raise LeaseLost(
                f"the lease of project {lease.project_id} ends at {ends:%Y-%m-%d %H:%M:%S} UTC, "
                "later than any could: the clock was put back"
            )

    def release(self, lease: Lease, *, now: datetime) -> None:
        """Give a lease back; the epoch stays, so that it keeps rising."""
        table = self._table
        with self._database.write() as db:
            db.execute(
                sa.update(table)
                .where(table.c.project_id == lease.project_id, table.c.epoch == lease.epoch)
                .values(expires_at=now)
            )

    def holder(self, project_id: int, *, now: datetime) -> str | None:
        """Name who works on the project right now."""
        table = self._table
        query = sa.select(table.c.holder).where(table.c.project_id == project_id, _alive(table, now))
        with self._database.read() as db:
            return db.scalar(query)

    def beat(self, holder: str, *, now: datetime) -> None:
        """A worker says that it is alive; what was left by one that was killed long ago goes."""
        killed = sa.not_(worker.c.seen_at.between(now - FORGOTTEN, now + FORGOTTEN))
        with self._database.write() as db:
            db.execute(sa.delete(worker).where(killed, worker.c.holder != holder))
            db.execute(
                insert(db, worker)
                .values(holder=holder, started_at=now, seen_at=now)
                .on_conflict_do_update(index_elements=["holder"], set_={"seen_at": now})
            )

    def retire(self, holder: str) -> None:
        """A worker says goodbye."""
        with self._database.write() as db:
            db.execute(sa.delete(worker).where(worker.c.holder == holder))

    def workers(self, *, now: datetime, within: timedelta = timedelta(seconds=15)) -> list[str]:
        """List the workers that were alive lately; none that was seen in the future by more than `within`."""
        query = sa.select(worker.c.holder).where(
            worker.c.seen_at > now - within, worker.c.seen_at < now + within
        )
        with self._database.read() as db:
            return list(db.scalars(query))


def _alive(table: sa.Table, now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.expires_at > now, table.c.expires_at <= now + LONGEST + SKEW)


def fence(db: sa.Connection, lease: Lease, *, now: datetime | None, table: sa.Table = rounds_lease) -> None:
    """Raise LeaseLost if the lease changed hands, or (given `now`) if it has run out.

    Until the transaction is over, nobody can take the lease.
    """
    _look(db, lease, now, table, with_lock=True)


def _look(
    db: sa.Connection, lease: Lease, now: datetime | None, table: sa.Table, *, with_lock: bool = False
) -> datetime:
    query = sa.select(table.c.holder, table.c.epoch, table.c.expires_at).where(
        table.c.project_id == lease.project_id
    )
    found = db.execute(query.with_for_update(read=True) if with_lock else query).one_or_none()
    if found is None:
        raise LeaseLost(f"project {lease.project_id} was forgotten while {lease.holder} worked on it")
    if found.epoch != lease.epoch:
        raise LeaseLost(f"project {lease.project_id} was taken over by {found.holder} (epoch {found.epoch})")
    if now is not None and found.expires_at <= now:
        raise LeaseLost(f"the lease of project {lease.project_id} ran out at {found.expires_at:%H:%M:%S} UTC")
    ends: datetime = found.expires_at
    return ends
