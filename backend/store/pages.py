"""What the pages ask, each question answered from an index or a few rows: they must not wait for a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from backend.domain import Origin, RoundState, VersionState
from backend.store.database import Database, chunks, insert
from backend.store.page_tables import front_facts, pool_map
from backend.store.schema import annotation, front, pool_row, queue_version
from backend.store.schema import round_ as round_table

CURVE_POINTS = 150
"""Rounds that a learning curve is drawn from: more than a screen tells apart."""


@dataclass(frozen=True)
class Queued:
    """One task of the front that is served: what it says, why it is there, whether it was answered."""

    task_id: int
    rank: int
    origin: Origin
    utility: float
    reason: str
    result: tuple[Mapping[str, Any], ...]
    data: Mapping[str, Any]
    answered: bool


@dataclass(frozen=True)
class Measured:
    """What a round knew: its labels, and the accuracy on the audit slice with its interval."""

    round: int
    labelled: int
    finished_at: datetime | None
    accuracy: Mapping[str, Any] | None


@dataclass(frozen=True)
class PoolMap:
    """A sample of the pool in two dimensions: columns of equal length, one entry per task."""

    round: int
    labelled: int
    layout: str
    made_at: datetime
    points: Mapping[str, Sequence[Any]]

    def summary(self) -> list[dict[str, Any]]:
        """Count the tasks by label, the commonest first, with their mean uncertainty where it is known."""
        counts: dict[str | None, int] = {}
        unsure: dict[str | None, list[float]] = {}
        for label, value in zip(self.points["label"], self.points["uncertainty"], strict=True):
            counts[label] = counts.get(label, 0) + 1
            unsure.setdefault(label, []).extend([] if value is None else [value])
        return [
            {
                "label": label,
                "count": count,
                "uncertainty": round(sum(unsure[label]) / len(unsure[label]), 4) if unsure[label] else None,
            }
            for label, count in sorted(counts.items(), key=lambda item: -item[1])
        ]


@dataclass(frozen=True)
class MapSummary:
    """The map in short: how many tasks of it carry each label."""

    round: int
    labelled: int
    made_at: datetime
    summary: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class RoundLine:
    """What a list shows of a round: without its figures, which are long."""

    number: int
    attempt: int
    state: RoundState
    why: str
    started_at: datetime
    finished_at: datetime | None
    steps: Sequence[Mapping[str, Any]]
    error: str | None
    labelled: int | None


class Pages:
    """What is shown. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, project_id: int) -> dict[str, int]:
        """Count tasks, annotations and skips."""
        mine, kept = annotation.c.project_id == project_id, ~annotation.c.deleted
        given = sa.select(
            sa.func.count().filter(~annotation.c.was_cancelled).label("annotations"),
            sa.func.count().filter(annotation.c.was_cancelled).label("skips"),
        ).where(mine, kept)
        tasks = sa.select(sa.func.count()).where(pool_row.c.project_id == project_id, pool_row.c.live)
        with self._database.read() as db:
            found = db.execute(given).mappings().one()
            return {"tasks": int(db.scalar(tasks) or 0), **found}

    # --- the queue -----------------------------------------------------------------------------------

    def queue(self, project_id: int, *, task_id: int | None = None) -> list[Queued]:
        """List the front that is served, in its order; or the one task of it that is asked for."""
        answers = sa.exists().where(
            annotation.c.project_id == front.c.project_id,
            annotation.c.task_id == front.c.task_id,
            ~annotation.c.deleted,
        )
        query = (
            sa.select(
                front.c.task_id,
                front.c.rank,
                front.c.origin,
                front.c.utility,
                front.c.reason,
                front.c.result,
                pool_row.c.data,
                answers.label("answered"),
            )
            .join(queue_version, _same(front, queue_version, "project_id", "version"))
            .join(pool_row, sa.and_(_same(front, pool_row, "project_id", "task_id"), pool_row.c.live))
            .where(front.c.project_id == project_id, queue_version.c.state == VersionState.CURRENT)
            .order_by(front.c.rank)
        )
        if task_id is not None:
            query = query.where(front.c.task_id == task_id)
        with self._database.read() as db:
            return [_queued(row) for row in db.execute(query).mappings()]

    def data(self, project_id: int, task_ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        """Look up what tasks say."""
        found: dict[int, Mapping[str, Any]] = {}
        with self._database.read() as db:
            for chunk in chunks(list(task_ids)):
                query = sa.select(pool_row.c.task_id, pool_row.c.data).where(
                    pool_row.c.project_id == project_id, pool_row.c.task_id.in_(chunk), pool_row.c.live
                )
                found.update((row.task_id, row.data) for row in db.execute(query))
        return found

    def facts(self, project_id: int, version: str) -> dict[str, Any]:
        """Give what else is known of the tasks of this front, by task id as text."""
        query = sa.select(front_facts.c.facts).where(
            front_facts.c.project_id == project_id, front_facts.c.version == version
        )
        with self._database.read() as db:
            return dict(db.scalar(query) or {})

    def set_facts(self, project_id: int, version: str, facts: Mapping[str, Any]) -> None:
        """Replace what is known of the tasks of the front."""
        values = {"version": version, "facts": dict(facts)}
        with self._database.write() as db:
            db.execute(
                insert(db, front_facts)
                .values(project_id=project_id, **values)
                .on_conflict_do_update(index_elements=["project_id"], set_=values)
            )

    # --- what was learned ------------------------------------------------------------------------------

    def curve(self, project_id: int, *, points: int = CURVE_POINTS) -> list[Measured]:
        """List what was measured, oldest first, thinned to about `points` rounds, the last one among them.

        It begins where the question that is asked today was asked first. Of the figures only what the curve
        needs is taken out of the JSON, by the database.
        """
        mine = round_table.c.project_id == project_id
        with self._database.read() as db:
            numbers = db.scalars(sa.select(round_table.c.number).where(mine)).all()
            wanted = _thinned(sorted(numbers), points)
            figures = round_table.c.figures
            found: list[Measured] = []
            asked: str | None = None
            for chunk in chunks(wanted):
                query = (
                    sa.select(
                        round_table.c.number,
                        figures["labelled"].as_integer().label("labelled"),
                        round_table.c.finished_at,
                        figures["audit_accuracy"].as_json().label("accuracy"),
                        figures["asks"].as_string().label("asks"),
                    )
                    .where(mine, round_table.c.number.in_(chunk), round_table.c.state == RoundState.DONE)
                    .order_by(round_table.c.number)
                )
                for *measured, asks in db.execute(query):
                    if asks not in (None, asked):  # rounds of old did not write it down
                        if asked is not None:
                            found.clear()
                        asked = asks
                    if measured[1] is not None:
                        found.append(Measured(*measured))
        return found

    def map(self, project_id: int) -> PoolMap | None:
        """Give the map of the pool, if one was drawn."""
        query = sa.select(
            pool_map.c.round, pool_map.c.labelled, pool_map.c.layout, pool_map.c.made_at, pool_map.c.points
        ).where(pool_map.c.project_id == project_id)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
            return None if row is None else PoolMap(*row)

    def map_stands(self, project_id: int) -> tuple[int, datetime] | None:
        """Say from how many labels the map was drawn, and when; reads no point."""
        query = sa.select(pool_map.c.labelled, pool_map.c.made_at).where(pool_map.c.project_id == project_id)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
            return None if row is None else (int(row.labelled), row.made_at)

    def map_summary(self, project_id: int) -> MapSummary | None:
        """Give the map in short, if one was drawn; reads no point."""
        names = ("round", "labelled", "made_at", "summary")
        query = sa.select(*(pool_map.c[name] for name in names)).where(pool_map.c.project_id == project_id)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
            return None if row is None else MapSummary(*row)

    def rounds(self, project_id: int, *, limit: int) -> list[RoundLine]:
        """List rounds, the newest first."""
        c = round_table.c
        known = (c.number, c.attempt, c.state, c.why, c.started_at, c.finished_at, c.steps, c.error)
        query = (
            sa.select(*known, c.figures["labelled"].as_integer())
            .where(c.project_id == project_id)
            .order_by(c.number.desc())
            .limit(limit)
        )
        with self._database.read() as db:
            return [RoundLine(*row[:2], RoundState(row[2]), *row[3:]) for row in db.execute(query)]

    def set_map(self, project_id: int, drawn: PoolMap) -> None:
        """Replace the map."""
        values = {
            "round": drawn.round,
            "labelled": drawn.labelled,
            "layout": drawn.layout,
            "made_at": drawn.made_at,
            "summary": drawn.summary(),
            "points": {name: list(column) for name, column in drawn.points.items()},
        }
        with self._database.write() as db:
            db.execute(
                insert(db, pool_map)
                .values(project_id=project_id, **values)
                .on_conflict_do_update(index_elements=["project_id"], set_=values)
            )


def _same(left: sa.Table, right: sa.Table, *names: str) -> sa.ColumnElement[bool]:
    return sa.and_(*(left.c[name] == right.c[name] for name in names))


def _queued(row: sa.RowMapping) -> Queued:
    return Queued(**{**row, "origin": Origin(row["origin"]), "result": tuple(row["result"])})


def _thinned(numbers: Sequence[int], points: int) -> list[int]:
    """Take about `points` of ascending `numbers`, evenly, the first and the last among them."""
    if len(numbers) <= points:
        return list(numbers)
    step = (len(numbers) - 1) / (points - 1)
    return sorted({numbers[round(place * step)] for place in range(points)})
