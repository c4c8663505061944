"""The target models: what each training learned from, how it scored, which one serves."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.domain import NotFound
from backend.store.database import Database
from backend.store.leases import Lease, fence
from backend.store.schema import project
from backend.store.target_tables import target as table
from backend.store.target_tables import training_lease


class TrainingState(enum.StrEnum):
    """How a training stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class TargetVersion:
    """One training of a target model, and what came out.

    labelled: tasks that were learned from   seconds: of all its attempts together
    figures:  scores on the audit slice with intervals, comparisons, counts, settings
    decision: in words, why it serves or does not
    serves:   whether its answers pre-annotate now
    """

    number: int
    attempt: int
    state: TrainingState
    why: str
    name: str
    control: str
    form: str
    labels: tuple[str, ...]
    change: int
    started_at: datetime
    finished_at: datetime | None
    labelled: int
    seconds: float
    progress: Mapping[str, Any] | None
    figures: Mapping[str, Any]
    decision: str
    serves: bool
    error: str | None


_COLUMNS = [table.c[name] for name in TargetVersion.__dataclass_fields__]


class TargetVersions:
    """All projects' targets. Every method is one transaction; what a training writes wants its lease."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self,
        lease: Lease,
        *,
        why: str,
        name: str,
        control: str,
        form: str,
        labels: tuple[str, ...],
        change: int,
        figures: Mapping[str, Any],
        now: datetime,
    ) -> TargetVersion:
        """Write down that a training begins, under the next number, with what is known of it already."""
        with self._database.write() as db:
            fence(db, lease, now=now, table=training_lease)
            last = db.scalar(
                sa.select(sa.func.max(table.c.number)).where(table.c.project_id == lease.project_id)
            )
            number = int(last or 0) + 1
            db.execute(
                sa.insert(table).values(
                    project_id=lease.project_id,
                    number=number,
                    attempt=1,
                    state=TrainingState.RUNNING,
                    why=why,
                    name=name,
                    control=control,
                    form=form,
                    labels=list(labels),
                    change=change,
                    started_at=now,
                    figures=dict(figures),
                    serves=False,
                )
            )
            return _get(db, lease.project_id, number)

    def again(self, lease: Lease, number: int, *, now: datetime) -> TargetVersion:
        """Write down that a training which was cut short is gone on with."""
        with self._database.write() as db:
            fence(db, lease, now=now, table=training_lease)
            db.execute(_update(lease.project_id, number).values(attempt=table.c.attempt + 1))
            return _get(db, lease.project_id, number)

    def paused(self, lease: Lease, number: int, *, seconds: float, now: datetime) -> None:
        """A training was asked to stop: that attempt does not count as one that failed."""
        with self._database.write() as db:
            fence(db, lease, now=now, table=training_lease)
            values = {"attempt": table.c.attempt - 1, "seconds": table.c.seconds + seconds}
            db.execute(_update(lease.project_id, number).values(**values))

    def report(
        self, lease: Lease, number: int, progress: Mapping[str, Any], *, seconds: float, now: datetime
    ) -> None:
        """Show how far a training has come, and count its seconds."""
        with self._database.write() as db:
            fence(db, lease, now=now, table=training_lease)
            db.execute(
                _update(lease.project_id, number).values(
                    progress=dict(progress), seconds=table.c.seconds + seconds
                )
            )

    def finish(
        self,
        lease: Lease,
        number: int,
        *,
        labelled: int,
        seconds: float,
        figures: Mapping[str, Any],
        decision: str,
        serves: bool,
        now: datetime,
    ) -> None:
        """A training is over; where it `serves`, it replaces the one before, and a round is wanted."""
        with self._database.write() as db:
            fence(db, lease, now=now, table=training_lease)
            if serves:
                mine = table.c.project_id == lease.project_id
                db.execute(sa.update(table).where(mine).values(serves=False))
                wanted = f"target {number} serves"
                db.execute(sa.update(project).where(project.c.id == lease.project_id).values(wanted=wanted))
            values: dict[str, Any] = {
                "state": TrainingState.DONE,
                "labelled": labelled,
                "seconds": table.c.seconds + seconds,
                "figures": dict(figures),
                "decision": decision,
                "serves": serves,
                "finished_at": now,
                "progress": sa.null(),
                "error": None,
            }
            db.execute(_update(lease.project_id, number).values(**values))

    def fail(self, lease: Lease, number: int, error: str, *, now: datetime) -> None:
        """A training broke for a reason that time does not heal; what served goes on serving."""
        with self._database.write() as db:
            fence(db, lease, now=now, table=training_lease)
            values: dict[str, Any] = {
                "state": TrainingState.FAILED,
                "error": error,
                "finished_at": now,
                "progress": sa.null(),
            }
            db.execute(_update(lease.project_id, number).values(**values))

    def silence(self, project_id: int, number: int, words: str) -> None:
        """Version `number` serves no longer, for what `words` say; nothing happens where another serves."""
        values = {"serves": False, "decision": words, "error": words}
        with self._database.write() as db:
            db.execute(_update(project_id, number).where(table.c.serves).values(**values))

    def get(self, project_id: int, number: int) -> TargetVersion:
        """Look one training up; NotFound where there was none of that number."""
        with self._database.read() as db:
            return _get(db, project_id, number)

    def latest(self, project_id: int, *states: TrainingState) -> TargetVersion | None:
        """Look up the newest training, of these states if any are named."""
        found = self.all(project_id, *states, limit=1)
        return found[0] if found else None

    def serving(self, project_id: int) -> TargetVersion | None:
        """Look up the target whose answers pre-annotate; None while there is none."""
        query = sa.select(*_COLUMNS).where(table.c.project_id == project_id, table.c.serves)
        with self._database.read() as db:
            row = db.execute(query).mappings().one_or_none()
            return None if row is None else _version(row)

    def all(self, project_id: int, *states: TrainingState, limit: int = 100) -> list[TargetVersion]:
        """List the trainings, newest first."""
        query = sa.select(*_COLUMNS).where(table.c.project_id == project_id)
        if states:
            query = query.where(table.c.state.in_(states))
        with self._database.read() as db:
            rows = db.execute(query.order_by(table.c.number.desc()).limit(limit)).mappings()
            return [_version(row) for row in rows]


def _update(project_id: int, number: int) -> sa.Update:
    return sa.update(table).where(table.c.project_id == project_id, table.c.number == number)


def _get(db: sa.Connection, project_id: int, number: int) -> TargetVersion:
    query = sa.select(*_COLUMNS).where(table.c.project_id == project_id, table.c.number == number)
    row = db.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"project {project_id} has no target {number}; expected the number of a training")
    return _version(row)


def _version(row: sa.RowMapping) -> TargetVersion:
    given: dict[str, Any] = dict(row)
    state, labels = TrainingState(given.pop("state")), tuple(given.pop("labels"))
    return TargetVersion(**given, state=state, labels=labels)
