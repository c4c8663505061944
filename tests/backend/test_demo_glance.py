from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.demo.glance import Glance, delays, glance
from backend.demo.play import Front
from backend.domain import FrontTask, Origin, Project
from backend.store import Store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


@pytest.fixture
def store(tmp_path):
    with_tables = Store.open(f"sqlite:///{tmp_path}/store.db")
    yield with_tables
    with_tables.close()


def connect(store: Store, project: int) -> None:
    store.projects.connect(Project(project, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)


def play_round(
    store: Store, project: int, number: int, *, labelled: int, switched: float, tasks=(7, 8)
) -> str:
    """A round that had learned from `labelled` labels and was served from `switched` on."""
    version = f"v{project}-{number}.1"
    lease = store.leases.take(project, "worker", now=at(switched - 1), seconds=60)
    assert lease is not None
    front = [
        FrontTask(task, rank, rank / 10, Origin.CHOSEN, 0.5, "close", ()) for rank, task in enumerate(tasks)
    ]
    store.rounds.start(project, number, 1, "labels", now=at(switched - 1.5))
    store.queue.begin(lease, version, front, number=number, attempt=1, now=at(switched - 1))
    store.queue.switch(project, version, now=at(switched))
    figures = {"labelled": labelled, "version": version}
    store.rounds.finish(project, number, 1, change=number, steps=[], figures=figures, now=at(switched))
    store.leases.release(lease, now=at(switched - 1))
    return version


PLAYS = st.lists(st.tuples(st.floats(0.1, 5), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(play=PLAYS, project=st.integers(1, 10**6))
def test_a_label_waits_for_the_first_switch_that_had_learned_from_it(store, play, project):
    """The slow twin asks of each label every round that was played."""
    connect(store, project)
    store.projects.forget(project)
    connect(store, project)
    saved, rounds, now = [], [], 0.0
    for pause, is_round in play:
        now += pause
        if is_round:
            rounds.append((len(saved), now))
            play_round(store, project, len(rounds), labelled=len(saved), switched=now)
        else:
            saved.append(at(now))
    slow = []
    for place, moment in enumerate(saved):
        learned = [switched for labelled, switched in rounds if labelled > place]
        if learned:
            slow.append((at(min(learned)) - moment).total_seconds())
    assert delays(store, project, saved) == pytest.approx(slow)


def test_a_glance_shows_the_queue_and_the_last_round(store):
    connect(store, 1)
    assert glance(store, 1, []) == Glance()
    play_round(store, 1, 1, labelled=0, switched=1)
    version = play_round(store, 1, 2, labelled=1, switched=9, tasks=(3, 4, 5))
    seen = glance(store, 1, [at(6.5), at(8.9)])
    assert (seen.version, seen.size, seen.rounds) == (version, 3, 2)
    assert seen.last_round == pytest.approx(1.5)
    assert seen.delay == pytest.approx(2.5)


def test_a_task_may_come_from_the_front_before_or_after_it_was_asked_for(store):
    """A switch while `next` is answered allows both fronts, and no other."""
    connect(store, 1)
    play_round(store, 1, 1, labelled=0, switched=1, tasks=(1, 2))
    play_round(store, 1, 2, labelled=0, switched=2, tasks=(3, 4))
    after = Front(store, 1).around()
    play_round(store, 1, 3, labelled=1, switched=3, tasks=(5, 6))
    assert after() == {3, 4, 5, 6}
