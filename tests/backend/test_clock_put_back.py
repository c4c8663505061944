"""A clock that was ahead and was put back: nothing waits until it is there again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.budget import Gate, save_budget
from backend.config import ProjectConfig
from backend.domain import is_over
from backend.rounds import Models, ProjectLoop
from backend.rounds.sync import sync
from backend.rounds.when import When
from backend.store import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AHEAD = NOW + timedelta(days=3)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture
def connected(store: Store, labelstudio: Any) -> Store:
    store.projects.connect(labelstudio.info, {}, now=NOW)
    return store


def when(store: Store) -> When:
    """What a worker that has read the project once asks whether another reading is due."""
    made = When(store, ProjectConfig(), 1, Gate(store, ProjectConfig(), 1, now=lambda: NOW), now=lambda: NOW)
    made.served = "a version"
    return made


def read(store: Store, labelstudio: Any, now: datetime) -> None:
    sync(store, labelstudio, 1, now=lambda: now, reconcile_every=timedelta(minutes=30))


@given(st.integers(-5, 5), st.integers(0, 5))
def test_a_wait_is_over_after_its_time_and_before_its_beginning(passed: int, wait: int) -> None:
    now = NOW + passed * SECOND
    running = any(NOW + k * SECOND == now for k in range(wait))
    assert is_over(wait * SECOND, NOW, now=now) is not running


def test_a_project_that_was_read_in_the_future_is_read_now(connected: Store) -> None:
    connected.projects.polled(1, cursor=None, now=NOW)
    assert not when(connected).poll_due()
    connected.projects.polled(1, cursor=None, now=AHEAD)
    assert when(connected).poll_due()


def test_a_wake_up_from_the_future_is_answered_by_one_reading(connected: Store, labelstudio: Any) -> None:
    """Not by one at each tick, until the clock is there again; one that comes meanwhile is kept."""
    connected.projects.wake(1, now=AHEAD)
    assert when(connected).poll_due()
    read(connected, labelstudio, NOW)
    assert not when(connected).poll_due()
    connected.projects.wake(1, now=AHEAD)
    labelstudio.before = lambda name: connected.projects.wake(1, now=AHEAD + HOUR)
    read(connected, labelstudio, NOW)
    assert when(connected).poll_due()


def test_ids_that_were_compared_in_the_future_are_compared_now(connected: Store, labelstudio: Any) -> None:
    read(connected, labelstudio, NOW)
    connected.projects.reconciled(1, now=NOW)
    labelstudio.requests.clear()
    read(connected, labelstudio, NOW + SECOND)
    assert "task_ids" not in labelstudio.requests
    connected.projects.reconciled(1, now=AHEAD)
    read(connected, labelstudio, NOW + SECOND)
    assert "task_ids" in labelstudio.requests
    labelstudio.requests.clear()
    read(connected, labelstudio, NOW + 2 * SECOND)
    assert "task_ids" not in labelstudio.requests, "and once"


class Room:
    """A project's loop, on a clock that can be put back."""

    def __init__(self, store: Store, labelstudio: Any, encoder: Any, folder: Path) -> None:
        self.store, self.labelstudio, self.time = store, labelstudio, AHEAD
        self.loop = ProjectLoop(
            store,
            labelstudio,
            ProjectConfig(),
            1,
            folder=folder,
            models=Models(lambda takes: encoder),
            now=lambda: self.time,
        )

    def turn(self) -> tuple[int, datetime] | None:
        """Work, and tidy up; returns how many labels the map shows, and when it was drawn."""
        self.work()
        self.loop.tidy(busy=False)
        return self.store.pages.map_stands(1)

    def work(self) -> None:
        """Read, and run a round if one is due."""
        lease = self.store.leases.take(1, "me", now=self.time, seconds=30)
        assert lease is not None
        self.loop.sync(lease)
        if why := self.loop.due():
            self.loop.run(lease, why)
        self.store.leases.release(lease, now=self.time)


@pytest.fixture
def room(connected: Store, labelstudio: Any, encoder: Any, tmp_path: Path) -> Room:
    labelstudio.label(1)
    return Room(connected, labelstudio, encoder, tmp_path)


def test_a_round_that_ended_in_the_future_was_not_just_now(room: Room) -> None:
    """What waits for a quiet moment is done."""
    room.time = AHEAD + timedelta(minutes=30)
    room.work()
    room.time = AHEAD + timedelta(minutes=5)
    assert room.turn() == (1, room.time)


def test_what_was_looked_at_in_the_future_is_looked_at_again(room: Room) -> None:
    """Though labels never stop coming."""
    room.turn()
    room.time = NOW
    room.labelstudio.label(2)
    assert room.turn() == (2, NOW)


def test_a_map_that_was_drawn_in_the_future_is_drawn_anew(room: Room) -> None:
    room.turn()
    room.time += HOUR
    assert room.turn() == (1, AHEAD + HOUR)
    room.time = NOW
    for task in range(2, 5):
        room.labelstudio.label(task)
    assert room.turn() == (4, NOW)


def test_a_deadline_that_passes_is_seen_by_a_gate_that_looked_in_the_future(connected: Store) -> None:
    time = AHEAD
    gate = Gate(connected, ProjectConfig(), 1, now=lambda: time)
    save_budget(connected, 1, {"deadline": "2026-03-05"}, revision=0, author="Ada", now=NOW)
    known = connected.projects.get(1)
    time = AHEAD + timedelta(days=9)
    assert gate.check(known).closed
    time = NOW
    assert not gate.check(known).closed


def test_the_last_use_of_a_token_is_no_time_to_come(connected: Store) -> None:
    key, _ = connected.access.make_token("t", "read", None, by="Ada", now=NOW)
    connected.access.find_token(key, now=AHEAD)
    connected.access.find_token(key, now=NOW)
    assert connected.access.tokens()[0].used_at == NOW
