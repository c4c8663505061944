"""The fronts: what was published under which version, and what of it is left to label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.domain import FrontTask, LeaseLost, Origin, VersionState
from backend.store.database import Database, chunks, insert
from backend.store.leases import Lease, fence
from backend.store.projects import hold
from backend.store.schema import annotation, drawn_task, front, pool_row, project, queue_version

FRONTS_KEPT = 20
"""How many fronts stay in the store after their predictions are gone from Label Studio."""


@dataclass(frozen=True)
class Version:
    """A queue version: the string that Label Studio matches against."""

    version: str
    round: int
    attempt: int
    state: VersionState
    created_at: datetime
    switched_at: datetime | None
    erased_at: datetime | None


_VERSION = [queue_version.c[name] for name in Version.__dataclass_fields__]
_FRONT = [front.c[name] for name in FrontTask.__dataclass_fields__]


class Queue:
    """What Label Studio serves, was told to serve, and will be. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self,
        lease: Lease,
        version: str,
        tasks: Sequence[FrontTask],
        *,
        number: int,
        attempt: int,
        now: datetime,
    ) -> None:
        """Write a front down before any of it is sent, so that whatever a crash leaves can be erased."""
        with self._database.write() as db:
            fence(db, lease, now=now)
            db.execute(
                sa.insert(queue_version).values(
                    project_id=lease.project_id,
                    version=version,
                    round=number,
                    attempt=attempt,
                    state=VersionState.PUBLISHING,
                    created_at=now,
                )
            )
            rows = [
                {
                    "project_id": lease.project_id,
                    "version": version,
                    **asdict(task),
                    "result": list(task.result),
                }
                for task in tasks
            ]
            if rows:
                db.execute(sa.insert(front), rows)
            drawn = [task.task_id for task in tasks if task.origin is Origin.AUDIT]
            if drawn:
                values = [{"project_id": lease.project_id, "task_id": task} for task in drawn]
                db.execute(insert(db, drawn_task).on_conflict_do_nothing(), values)

    def drawn(self, project_id: int, task_ids: Sequence[int]) -> set[int]:
        """Pick those of the tasks that were ever asked for at random."""
        mine, found = drawn_task.c.project_id == project_id, set[int]()
        with self._database.read() as db:
            for chunk in chunks(list(task_ids)):
                query = sa.select(drawn_task.c.task_id).where(mine, drawn_task.c.task_id.in_(chunk))
                found.update(db.scalars(query))
        return found

    def drop(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        """Take tasks out of a front: they are gone from Label Studio."""
        with self._database.write() as db:
            for chunk in chunks(list(task_ids)):
                db.execute(
                    sa.delete(front).where(
                        front.c.project_id == project_id,
                        front.c.version == version,
                        front.c.task_id.in_(chunk),
                    )
                )

    def switch(self, project_id: int, version: str, *, now: datetime) -> None:
        """Label Studio serves `version` now; the one before is retired, and so is every broken attempt.

        raises: LeaseLost when a later version was switched to meanwhile
        """
        c = queue_version.c
        mine, itself = c.project_id == project_id, c.version == version
        with self._database.write() as db:
            hold(db, project_id)
            begun = db.execute(
                sa.update(queue_version)
                .where(mine, itself, c.state != VersionState.RETIRED)
                .values(state=VersionState.CURRENT, switched_at=now)
                .returning(c.round, c.attempt)
            ).one_or_none()
            if begun is None:
                raise LeaseLost(
                    f"front {version} of project {project_id} was given up: a later one is served"
                )
            earlier = (c.round < begun.round) | ((c.round == begun.round) & (c.attempt <= begun.attempt))
            db.execute(
                sa.update(queue_version).where(mine, ~itself, earlier).values(state=VersionState.RETIRED)
            )

    def withdraw(self, project_id: int, version: str, *, now: datetime) -> None:
        """Nothing of this version is in Label Studio any more, and none other took its place."""
        with self._database.write() as db:
            db.execute(
                sa.update(queue_version)
                .where(queue_version.c.project_id == project_id, queue_version.c.version == version)
                .values(state=VersionState.RETIRED, erased_at=now)
            )

    def versions(self, project_id: int, *states: VersionState) -> list[Version]:
        """List versions in these states (all, when none is named), newest first."""
        query = sa.select(*_VERSION).where(queue_version.c.project_id == project_id)
        if states:
            query = query.where(queue_version.c.state.in_(states))
        query = query.order_by(queue_version.c.round.desc(), queue_version.c.attempt.desc())
        with self._database.read() as db:
            return [_version(row) for row in db.execute(query).mappings()]

    def current(self, project_id: int) -> Version | None:
        """Look up the version that Label Studio serves, as far as we know."""
        found = self.versions(project_id, VersionState.CURRENT)
        return found[0] if found else None

    def next_attempt(self, project_id: int, number: int) -> int:
        """Number the next attempt at round `number`: a broken one is never resumed."""
        query = sa.select(sa.func.max(queue_version.c.attempt)).where(
            queue_version.c.project_id == project_id, queue_version.c.round == number
        )
        with self._database.read() as db:
            return int(db.scalar(query) or 0) + 1

    def to_erase(self, project_id: int) -> list[Version]:
        """List retired versions whose predictions may still be in Label Studio, oldest first."""
        retired = self.versions(project_id, VersionState.RETIRED)
        return [version for version in reversed(retired) if version.erased_at is None]

    def erased(self, project_id: int, version: str, *, now: datetime) -> None:
        """The predictions of a retired version are gone; the oldest fronts are dropped from the store."""
        with self._database.write() as db:
            mine = queue_version.c.project_id == project_id
            db.execute(
                sa.update(queue_version).where(mine, queue_version.c.version == version).values(erased_at=now)
            )
            kept = (
                sa.select(queue_version.c.version)
                .where(mine, queue_version.c.erased_at.is_not(None))
                .order_by(queue_version.c.round.desc(), queue_version.c.attempt.desc())
                .limit(FRONTS_KEPT)
            )
            gone = sa.and_(
                mine,
                queue_version.c.erased_at.is_not(None),
                queue_version.c.version.not_in(kept.scalar_subquery()),
            )
            db.execute(sa.delete(queue_version).where(gone))

    def front(self, project_id: int, version: str) -> list[FrontTask]:
        """List a front in the order in which it is served."""
        query = (
            sa.select(*_FRONT)
            .where(front.c.project_id == project_id, front.c.version == version)
            .order_by(front.c.rank)
        )
        with self._database.read() as db:
            return [_front_task(row) for row in db.execute(query).mappings()]

    def size(self, project_id: int, version: str) -> int:
        """Count the tasks of a front."""
        query = sa.select(sa.func.count()).where(front.c.project_id == project_id, front.c.version == version)
        with self._database.read() as db:
            return int(db.scalar(query) or 0)

    def left(self, project_id: int, version: str) -> int:
        """Count the tasks of a front that still wait for an annotator."""
        answers = sa.select(sa.func.count()).where(
            annotation.c.project_id == project_id,
            annotation.c.task_id == front.c.task_id,
            ~annotation.c.deleted,
        )
        enough = sa.select(project.c.maximum_annotations).where(project.c.id == project_id).scalar_subquery()
        query = (
            sa.select(sa.func.count())
            .select_from(front)
            .where(
                front.c.project_id == project_id,
                front.c.version == version,
                # no join: the front is short, and must be what is walked through, not the pool
                sa.exists().where(
                    pool_row.c.project_id == front.c.project_id,
                    pool_row.c.task_id == front.c.task_id,
                    pool_row.c.live,
                ),
                answers.where(~annotation.c.was_cancelled).scalar_subquery() < enough,
                ~answers.where(annotation.c.was_cancelled).with_only_columns(sa.literal(1)).exists(),
            )
        )
        with self._database.read() as db:
            return int(db.scalar(query) or 0)

    def served_ranks(self, project_id: int, version: str) -> list[int]:
        """List the ranks of a front's answered tasks, the oldest answer first."""
        query = (
            sa.select(front.c.rank)
            .join(
                annotation,
                sa.and_(
                    annotation.c.project_id == front.c.project_id,
                    annotation.c.task_id == front.c.task_id,
                    ~annotation.c.deleted,
                ),
            )
            .where(front.c.project_id == project_id, front.c.version == version)
            .order_by(annotation.c.created_at, annotation.c.id)
        )
        with self._database.read() as db:
            return list(db.scalars(query))

    def stored(self, project_id: int, task_ids: Sequence[int]) -> dict[int, FrontTask]:
        """Look tasks up in the current front."""
        found: dict[int, FrontTask] = {}
        with self._database.read() as db:
            for chunk in chunks(list(task_ids)):
                query = (
                    sa.select(*_FRONT)
                    .join(queue_version)
                    .where(
                        front.c.project_id == project_id,
                        queue_version.c.state == VersionState.CURRENT,
                        front.c.task_id.in_(chunk),
                    )
                )
                found.update((row["task_id"], _front_task(row)) for row in db.execute(query).mappings())
        return found


def _version(row: Mapping[str, Any] | sa.RowMapping) -> Version:
    return Version(**{**row, "state": VersionState(row["state"])})


def _front_task(row: Mapping[str, Any] | sa.RowMapping) -> FrontTask:
    return FrontTask(**{**row, "origin": Origin(row["origin"]), "result": tuple(row["result"])})
