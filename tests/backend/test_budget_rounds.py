"""Rounds within a budget: fronts shrink to what is left, and the queue closes and opens again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.budget import Standing, budget_of, save_budget, save_stand
from backend.config import ProjectConfig
from backend.config.types import Queue, Selection
from backend.domain import RoundState
from backend.rounds import Models, ProjectLoop
from backend.store import Store

CONFIG = ProjectConfig(selection=Selection(cold_start_labels=6), queue=Queue(size=12))


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=10)
        return self.time


class Bench:
    """A project in memory whose settings can be changed, and its loop."""

    def __init__(self, store: Store, labelstudio: Any, encoder: Any, folder: Path) -> None:
        self.store, self.labelstudio, self.clock = store, labelstudio, Clock()
        labelstudio.update_project = self._update
        store.projects.connect(labelstudio.info, {}, now=self.clock())
        lease = store.leases.take(1, "me", now=self.clock(), seconds=600)
        assert lease is not None
        self.lease = lease
        self.loop = ProjectLoop(
            store,
            labelstudio,
            CONFIG,
            1,
            folder=folder,
            models=Models(lambda takes: encoder),
            now=self.clock,
        )

    def _update(self, project_id: int, **fields: Any) -> Any:
        self.labelstudio.info = replace(self.labelstudio.info, **fields)
        return self.labelstudio.info

    def budget(self, **fields: Any) -> None:
        revision = budget_of(self.store, 1).revision
        save_budget(self.store, 1, fields, revision=revision, author="Ada", now=self.clock())

    def turn(self) -> None:
        """What the worker does at one tick."""
        if self.loop.poll_due():
            self.loop.sync(self.lease)
        if (why := self.loop.due()) is not None:
            self.loop.run(self.lease, why)

    def next(self) -> int | None:
        """The task served, as Label Studio does it: none while the project wants 0 annotations."""
        if self.labelstudio.info.maximum_annotations < 1:
            return None
        found: tuple[int | None, bool] = self.labelstudio.next()
        return found[0]

    def label(self) -> bool:
        """Label what is served; a webhook brings it."""
        task = self.next()
        if task is None:
            return False
        self.store.annotations.heard(1, [self.labelstudio.label(task)], now=self.clock())
        return True


@pytest.fixture
def bench(store: Store, labelstudio: Any, encoder: Any, tmp_path: Path) -> Bench:
    return Bench(store, labelstudio, encoder, tmp_path)


def test_fronts_shrink_to_what_is_left_and_the_queue_closes_at_the_last_label(bench: Bench) -> None:
    """Webhooks alone: nobody waits for the next poll."""
    bench.budget(labels=20)
    made, sizes = 0, []
    for _ in range(2):
        bench.turn()
    while made < 100 and bench.label():
        made += 1
        sizes.append(len(bench.labelstudio.front()))
        for _ in range(2):  # a tick sees that the budget is spent, the next one closes
            bench.turn()
    assert made == 20
    assert bench.labelstudio.info.maximum_annotations == 0
    assert all(size <= 20 - made_before for made_before, size in enumerate(sizes))
    assert sizes[:8] == [12] * 8
    assert bench.store.projects.get(1).maximum_annotations == 1


def test_raising_the_budget_opens_the_queue_with_a_fresh_front(bench: Bench) -> None:
    bench.budget(labels=10)
    for _ in range(2):
        bench.turn()
    while bench.label():
        for _ in range(2):
            bench.turn()
    bench.budget(labels=14)
    for _ in range(2):
        bench.turn()
    assert bench.labelstudio.info.maximum_annotations == 1
    assert len(bench.labelstudio.front()) == 4
    task = bench.next()
    assert task is not None
    assert not bench.labelstudio.tasks_[task].annotations
    done = bench.store.rounds.latest(1, RoundState.DONE)
    assert done is not None
    assert done.figures["labelled"] == 10, "the last labels before the end have been learned from"


def test_a_pause_asks_nobody_and_a_resumed_project_goes_on(bench: Bench) -> None:
    for _ in range(2):
        bench.turn()
    save_stand(bench.store, 1, Standing.PAUSED, author="Ada", now=bench.clock())
    for _ in range(2):
        bench.turn()
    assert bench.next() is None
    save_stand(bench.store, 1, Standing.RUNNING, author="Ada", now=bench.clock())
    for _ in range(2):
        bench.turn()
    assert bench.next() == bench.labelstudio.front()[0]
