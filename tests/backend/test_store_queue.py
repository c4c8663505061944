"""Fronts: written before they are sent, switched in one step, counted down as people label."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.domain import (
    Annotation,
    FrontTask,
    LeaseLost,
    Origin,
    Project,
    RoundState,
    StepTiming,
    Task,
    VersionState,
)
from backend.store import Store
from backend.store.queue import FRONTS_KEPT

pytestmark = pytest.mark.databases

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def store(url):
    store = Store.open(url)
    connect(store)
    yield store
    store.close()


def connect(store, overlap=1, project=1):
    store.projects.connect(Project(project, "p", "<View/>", "", "", True, overlap, 0, 0), {}, now=START)


@pytest.fixture
def lease(store):
    return store.leases.take(1, "worker", now=START, seconds=60)


def front(*task_ids):
    reason = "close call"
    return [
        FrontTask(id_, rank, rank / 10, Origin.CHOSEN, 0.5, reason, ({"a": rank},))
        for rank, id_ in enumerate(task_ids)
    ]


def begin(store, lease, version, *task_ids, number=1, attempt=1, now=START):
    store.queue.begin(lease, version, front(*task_ids), number=number, attempt=attempt, now=now)


def answer(id_, task, *, skipped=False, at=START):
    return Annotation(id_, task, (), skipped, False, id_, 1.0, START, at)


def states(store):
    return {version.version: version.state for version in store.queue.versions(1)}


def test_a_front_comes_back_as_it_was_written_in_the_order_in_which_it_is_served(store, lease):
    begin(store, lease, "1.1", 30, 10, 20)
    assert store.queue.front(1, "1.1") == front(30, 10, 20)
    assert store.queue.size(1, "1.1") == 3


def test_a_switch_retires_the_version_before_and_every_broken_attempt(store, lease):
    begin(store, lease, "1.1", 10)
    store.queue.switch(1, "1.1", now=START)
    begin(store, lease, "2.1", 20, number=2)
    begin(store, lease, "2.2", 20, number=2, attempt=2)
    assert store.queue.current(1).version == "1.1", "annotators see the old order until the switch"
    store.queue.switch(1, "2.2", now=START + SECOND)
    retired = VersionState.RETIRED
    assert states(store) == {"1.1": retired, "2.1": retired, "2.2": VersionState.CURRENT}
    assert [version.version for version in store.queue.to_erase(1)] == ["1.1", "2.1"]


def test_the_store_follows_a_switch_of_label_studio_whoever_made_it(store, lease):
    """It takes no lease: what Label Studio serves is a fact, not a wish."""
    begin(store, lease, "1.1", 10)
    store.leases.take(1, "another", now=START + 2 * timedelta(minutes=1), seconds=60)
    store.queue.switch(1, "1.1", now=START)
    assert store.queue.current(1).version == "1.1"


def test_an_overtaken_or_late_worker_cannot_begin_a_front(store, lease):
    """And leaves nothing half-written."""
    late = START + 61 * SECOND
    with pytest.raises(LeaseLost, match="ran out"):
        begin(store, lease, "1.1", 10, now=late)
    store.leases.take(1, "another", now=late, seconds=60)
    with pytest.raises(LeaseLost, match="taken over by another"):
        begin(store, lease, "1.1", 10)
    assert (store.queue.versions(1), store.queue.front(1, "1.1")) == ([], [])


def test_a_broken_attempt_is_repeated_under_the_next_number(store, lease):
    assert store.queue.next_attempt(1, 5) == 1
    begin(store, lease, "5.1", 10, number=5)
    assert (store.queue.next_attempt(1, 5), store.queue.next_attempt(1, 6)) == (2, 1)


def test_stored_looks_in_the_current_front_alone(store, lease):
    begin(store, lease, "1.1", 10, 20)
    assert store.queue.stored(1, [10]) == {}, "not yet switched"
    store.queue.switch(1, "1.1", now=START)
    begin(store, lease, "2.1", 30, number=2)
    assert store.queue.stored(1, [10, 30, 99]) == {10: front(10)[0]}
    store.queue.drop(1, "1.1", [10])
    assert store.queue.stored(1, [10, 20]) == {20: front(10, 20)[1]}


def test_only_so_many_fronts_are_kept_after_their_predictions_are_gone(store, lease):
    for number in range(1, FRONTS_KEPT + 4):
        begin(store, lease, f"{number}.1", 10, number=number)
        store.queue.switch(1, f"{number}.1", now=START)
    for version in store.queue.to_erase(1):
        store.queue.erased(1, version.version, now=START)
    assert len(store.queue.versions(1)) == FRONTS_KEPT + 1
    assert store.queue.front(1, "1.1") == []
    assert store.queue.to_erase(1) == []


# --- left -------------------------------------------------------------------------------------------


def fill(store, lease, *task_ids):
    tasks = [Task(id_, {"text": str(id_)}, START) for id_ in task_ids]
    store.tasks.record(1, tasks, asked_at=START, now=START)
    begin(store, lease, "1.1", *task_ids)
    store.queue.switch(1, "1.1", now=START)


def test_left_counts_down_with_labels_skips_and_deletes(store, lease):
    fill(store, lease, 10, 20, 30, 40)
    store.annotations.heard(1, [answer(1, 10)], now=START)
    assert store.queue.left(1, "1.1") == 3
    store.annotations.heard(1, [answer(2, 20, skipped=True)], now=START)
    assert store.queue.left(1, "1.1") == 2, "a skipped task is not counted on"
    store.tasks.remove(1, [30], now=START)
    assert store.queue.left(1, "1.1") == 1
    store.annotations.heard_deleted(1, [1], now=START)
    assert store.queue.left(1, "1.1") == 2, "the task waits again"


def test_left_with_overlap_2_waits_for_two_annotators(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path}/overlap.db")
    connect(store, overlap=2)
    fill(store, store.leases.take(1, "worker", now=START, seconds=60), 10, 20)
    store.annotations.heard(1, [answer(1, 10)], now=START)
    assert store.queue.left(1, "1.1") == 2
    store.annotations.heard(1, [answer(2, 10)], now=START)
    assert store.queue.left(1, "1.1") == 1
    store.close()


def test_left_takes_the_overlap_that_the_project_has_now(store, lease):
    fill(store, lease, 10)
    store.annotations.heard(1, [answer(1, 10)], now=START)
    assert store.queue.left(1, "1.1") == 0
    found = Project(1, "p", "<View/>", "", "", True, 2, 0, 0)
    before = store.projects.get(1).change
    store.projects.describe(found)
    assert store.queue.left(1, "1.1") == 1
    assert store.projects.get(1).change == before + 1
    store.projects.describe(replace(found, title="another title"))
    assert store.projects.get(1).change == before + 1


def test_an_edited_task_is_left_once(store, lease):
    fill(store, lease, 10)
    store.tasks.record(1, [Task(10, {"text": "edited"}, START)], asked_at=START, now=START)
    assert store.queue.left(1, "1.1") == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    overlap=st.integers(1, 3),
    answers=st.lists(st.tuples(st.sampled_from([10, 20, 30]), st.booleans(), st.booleans()), max_size=8),
    removed=st.sets(st.sampled_from([10, 20, 30])),
)
def test_left_equals_going_through_the_tasks_one_by_one(store, overlap, answers, removed):
    store.projects.forget(1)
    connect(store, overlap)
    fill(store, store.leases.take(1, "worker", now=START, seconds=60), 10, 20, 30)
    for id_, (task, skipped, deleted) in enumerate(answers, start=1):
        store.annotations.heard(1, [answer(id_, task, skipped=skipped)], now=START)
        if deleted:
            store.annotations.heard_deleted(1, [id_], now=START)
    store.tasks.remove(1, sorted(removed), now=START)
    left = 0
    for task in {10, 20, 30} - removed:
        live = [skipped for of, skipped, deleted in answers if of == task and not deleted]
        left += not any(live) and len(live) < overlap
    assert store.queue.left(1, "1.1") == left


# --- rounds -----------------------------------------------------------------------------------------


def test_a_round_tells_how_it_went_and_a_repeated_attempt_replaces_a_failed_one(store):
    store.rounds.start(1, 1, 1, "first", now=START)
    store.rounds.fail(1, 1, 1, "no answer", steps=[StepTiming("sync", 0.5)], now=START + SECOND)
    failed = store.rounds.latest(1)
    assert (failed.state, failed.error, failed.steps[0]["seconds"]) == (RoundState.FAILED, "no answer", 0.5)
    store.rounds.start(1, 1, 2, "again", now=START)
    store.rounds.finish(1, 1, 2, change=7, steps=[], figures={"labels": 3}, now=START + SECOND)
    store.rounds.add_figures(1, 1, {"accuracy": 0.5})
    done = store.rounds.latest(1, RoundState.DONE)
    assert (done.attempt, done.change, done.error) == (2, 7, None)
    assert done.figures == {"labels": 3, "accuracy": 0.5}
    assert store.rounds.latest(1, RoundState.FAILED) is None
    store.rounds.start(1, 2, 1, "labels", now=START)
    assert store.rounds.counts(1) == {RoundState.DONE: 1, RoundState.RUNNING: 1}
    assert [round_.number for round_ in store.rounds.recent(1)] == [2, 1]


def test_an_overtaken_worker_says_nothing_of_what_another_began(store):
    """It was suspended in its attempt; the other one's is the second."""
    store.rounds.start(1, 1, 1, "first", now=START)
    store.rounds.start(1, 1, 2, "first", now=START)
    for attempt in (1, 2):
        with pytest.raises(LeaseLost, match="project 1: another worker took over round 1"):
            store.rounds.start(1, 1, attempt, "first", now=START)
    store.rounds.fail(1, 1, 1, "taken over", steps=[], now=START)
    assert store.rounds.latest(1).state is RoundState.RUNNING
    store.rounds.finish(1, 1, 2, change=5, steps=[], figures={"front": 100}, now=START)
    done = store.rounds.latest(1, RoundState.DONE)
    store.rounds.fail(1, 1, 1, "taken over", steps=[], now=START)
    with pytest.raises(LeaseLost, match="from attempt 1"):
        store.rounds.finish(1, 1, 1, change=4, steps=[], figures={}, now=START)
    assert store.rounds.latest(1) == done
