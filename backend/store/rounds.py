"""The rounds: what each did, how long each step took, what came out, or why it failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.domain import LeaseLost, RoundState, StepTiming
from backend.store.database import Database, insert
from backend.store.schema import round_ as table

ROUNDS_KEPT = 5000


@dataclass(frozen=True)
class Round:
    """One turn of the loop."""

    number: int
    attempt: int
    state: RoundState
    why: str
    change: int | None
    started_at: datetime
    finished_at: datetime | None
    steps: tuple[Mapping[str, Any], ...]
    figures: Mapping[str, Any]
    error: str | None


_COLUMNS = [table.c[name] for name in Round.__dataclass_fields__]


def asks(figures: Mapping[str, Any], question: str | None) -> bool:
    """Whether a round of these figures asked `question`; rounds of old did not write down what they asked."""
    return bool(figures.get("asks", question) == question)


class Rounds:
    """All projects' rounds. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, project_id: int, number: int, attempt: int, why: str, *, now: datetime) -> None:
        """Write down that an attempt at round `number` begins; it replaces an earlier attempt that broke.

        raises: LeaseLost when another worker began this attempt, or a later one
        """
        fresh = {
            "attempt": attempt,
            "state": RoundState.RUNNING,
            "why": why,
            "change": None,
            "started_at": now,
            "finished_at": None,
            "steps": [],
            "figures": {},
            "error": None,
        }
        with self._database.write() as db:
            begun = db.scalar(
                insert(db, table)
                .values(project_id=project_id, number=number, **fresh)
                .on_conflict_do_update(
                    index_elements=["project_id", "number"], set_=fresh, where=table.c.attempt < attempt
                )
                .returning(table.c.attempt)
            )
            if begun is None:
                raise _overtaken(project_id, number, attempt)
            db.execute(
                sa.delete(table).where(
                    table.c.project_id == project_id, table.c.number <= number - ROUNDS_KEPT
                )
            )

    def finish(
        self,
        project_id: int,
        number: int,
        attempt: int,
        *,
        change: int,
        steps: Sequence[StepTiming],
        figures: Mapping[str, Any],
        now: datetime,
    ) -> None:
        """The round is over and its front is served (or there was nothing to serve).

        raises: LeaseLost when another worker began a later attempt
        """
        values = {"state": RoundState.DONE, "change": change, "figures": dict(figures), "error": None}
        if not self._end(project_id, number, attempt, values, steps, now):
            raise _overtaken(project_id, number, attempt)

    def fail(
        self,
        project_id: int,
        number: int,
        attempt: int,
        error: str,
        *,
        steps: Sequence[StepTiming],
        now: datetime,
    ) -> None:
        """The attempt broke; the queue is as it was. Of a later attempt this says nothing."""
        self._end(project_id, number, attempt, {"state": RoundState.FAILED, "error": error}, steps, now)

    def add_figures(self, project_id: int, number: int, figures: Mapping[str, Any]) -> None:
        """Add what was measured after the front was served."""
        with self._database.write() as db:
            mine = sa.and_(table.c.project_id == project_id, table.c.number == number)
            known = db.scalar(sa.select(table.c.figures).where(mine)) or {}
            db.execute(sa.update(table).where(mine).values(figures={**known, **figures}))

    def latest(self, project_id: int, *states: RoundState) -> Round | None:
        """Look up the newest round, of these states if any are named."""
        found = self.recent(project_id, *states, limit=1)
        return found[0] if found else None

    def recent(self, project_id: int, *states: RoundState, limit: int = 50) -> list[Round]:
        """List rounds, newest first."""
        query = sa.select(*_COLUMNS).where(table.c.project_id == project_id)
        if states:
            query = query.where(table.c.state.in_(states))
        with self._database.read() as db:
            rows = db.execute(query.order_by(table.c.number.desc()).limit(limit)).mappings()
            return [_round(row) for row in rows]

    def counts(self, project_id: int) -> dict[RoundState, int]:
        """Count the rounds by how they stand."""
        query = (
            sa.select(table.c.state, sa.func.count())
            .where(table.c.project_id == project_id)
            .group_by(table.c.state)
        )
        with self._database.read() as db:
            return {RoundState(state): count for state, count in db.execute(query)}

    def _end(
        self,
        project_id: int,
        number: int,
        attempt: int,
        values: Mapping[str, Any],
        steps: Sequence[StepTiming],
        now: datetime,
    ) -> bool:
        mine = (table.c.project_id == project_id, table.c.number == number, table.c.attempt == attempt)
        statement = (
            sa.update(table)
            .where(*mine)
            .values(**values, steps=[asdict(step) for step in steps], finished_at=now)
            .returning(table.c.attempt)
        )
        with self._database.write() as db:
            return db.scalar(statement) is not None


def _overtaken(project_id: int, number: int, attempt: int) -> LeaseLost:
    return LeaseLost(f"project {project_id}: another worker took over round {number} from attempt {attempt}")


def _round(row: sa.RowMapping) -> Round:
    return Round(**{**row, "state": RoundState(row["state"]), "steps": tuple(row["steps"])})
