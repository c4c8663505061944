"""Webhooks are hints: repeated, reordered, late or lost, what the next listing says holds in the end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from backend.domain import Annotation, NotFound, Project, Task
from backend.store import Store
from backend.store.annotations import LONGEST_LISTING, UNSEEN_FOR
from backend.store.schema import annotation as table

pytestmark = pytest.mark.databases

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def store(url):
    store = Store.open(url)
    for id_ in (1, 2):
        connect(store, id_)
    yield store
    store.close()


def connect(store, id_):
    store.projects.connect(Project(id_, f"p{id_}", "<View/>", "", "", True, 1, 0, 0), {}, now=START)


def answer(id_, task=11, at=START, choice="a", skipped=False):
    result = ({"value": {"choices": [choice]}},)
    return Annotation(id_, task, result, skipped, False, 1, 2.5, START, at)


def listing(store, *tasks, at, now=None):
    return store.tasks.record(1, tasks, asked_at=at, now=now or at)


def task(id_, *annotations, text="text"):
    return Task(id_, {"text": text}, START, tuple(annotations))


def seen(store, task_id=11):
    return {found.id: found.result for found in store.annotations.of_tasks(1, [task_id]).get(task_id, [])}


# --- one rule at a time -----------------------------------------------------------------------------


def test_the_newer_of_two_versions_wins_in_either_order(store):
    old, new = answer(1, choice="old"), answer(1, choice="new", at=START + SECOND)
    for order in ((old, new), (new, old)):
        for item in order:
            store.annotations.heard(1, [item], now=START)
        assert seen(store) == {1: list(new.result)}


def test_of_two_versions_in_one_webhook_the_newer_wins(store):
    old, new = answer(1, choice="old"), answer(1, choice="new", at=START + SECOND)
    assert store.annotations.heard(1, [new, old], now=START) == 1
    assert seen(store) == {1: list(new.result)}


def test_a_repeated_webhook_is_no_news_and_changes_nothing(store):
    assert store.annotations.heard(1, [answer(1)], now=START) == 1
    before = store.projects.get(1).change
    assert store.annotations.heard(1, [answer(1)], now=START + SECOND) == 0
    assert store.projects.get(1).change == before
    assert store.projects.get(1).webhook_seen_at == START + SECOND, "but the webhook is alive"


@pytest.mark.parametrize("known", [True, False])
def test_a_tombstone_is_not_revived_by_a_webhook_but_by_a_later_listing(store, known):
    """Also when the delete was heard of before the annotation was."""
    if known:
        store.annotations.heard(1, [answer(1)], now=START)
    assert store.annotations.heard_deleted(1, [1], now=START + SECOND) == 1
    store.annotations.heard(1, [answer(1, at=START + 9 * SECOND)], now=START + 10 * SECOND)
    assert seen(store) == {}
    listing(store, task(11, answer(1)), at=START)
    assert seen(store) == {}, "asked before the delete: it says nothing"
    listing(store, task(11, answer(1)), at=START + 2 * SECOND)
    assert list(seen(store)) == [1], "asked after it: an annotation that was gone would not be there"


def test_a_listing_does_not_bury_what_was_only_just_announced(store):
    """A webhook may come out of a transaction that the listing does not see yet."""
    listing(store, task(11), at=START)
    store.annotations.heard(1, [answer(1)], now=START)
    listing(store, task(11), at=START + UNSEEN_FOR)
    assert list(seen(store)) == [1]
    assert listing(store, task(11), at=START + UNSEEN_FOR + SECOND).deleted_annotations == 1
    assert seen(store) == {}


def test_a_clock_that_was_ahead_keeps_no_deletion_from_being_seen(store):
    """What was heard on it is not what was heard while the listing was under way."""
    store.annotations.heard(1, [answer(1)], now=START + LONGEST_LISTING)
    listing(store, task(11), at=START)
    assert list(seen(store)) == [1]
    assert listing(store, task(11), at=START - SECOND).deleted_annotations == 1
    assert seen(store) == {}


def test_a_clock_that_was_ahead_keeps_nothing_deleted_that_is_there(store):
    store.annotations.heard(1, [answer(1)], now=START)
    listing(store, task(12), at=START)
    store.annotations.heard_deleted(1, [1], now=START + LONGEST_LISTING)
    store.tasks.remove(1, [12], now=START + LONGEST_LISTING)
    listing(store, task(11, answer(1)), task(12), at=START)
    assert (seen(store), store.tasks.live_ids(1)) == ({}, {11})
    listing(store, task(11, answer(1)), task(12), at=START - SECOND)
    assert (list(seen(store)), store.tasks.live_ids(1)) == ([1], {11, 12})


def test_a_listing_of_one_task_says_nothing_of_another(store):
    store.annotations.heard(1, [answer(1, 11), answer(2, 12)], now=START)
    listing(store, task(11), at=START + timedelta(hours=1))
    assert list(seen(store, 12)) == [2]


def test_what_a_late_webhook_leaves_of_a_removed_task_is_not_counted(store):
    listing(store, task(11, answer(1)), at=START)
    store.tasks.remove(1, [11], now=START + SECOND)
    store.annotations.heard(1, [answer(2)], now=START + 2 * SECOND)
    counts = store.annotations.counts(1)
    assert (counts.submitted, counts.skipped, counts.deleted) == (0, 0, 1)


def test_a_project_hears_nothing_of_anothers_annotations_but_a_listing_tells_where_one_is(store):
    store.annotations.heard(1, [answer(1)], now=START)
    later = answer(1, at=START + SECOND)
    assert store.annotations.heard(2, [later], now=START) == 0
    assert store.annotations.heard_deleted(2, [1], now=START) == 0
    assert list(seen(store)) == [1]
    store.tasks.record(2, [task(11, answer(1))], asked_at=START + SECOND, now=START + SECOND)
    assert (list(seen(store)), list(store.annotations.of_tasks(2, [11]))) == ([], [11])


def test_news_since_counts_what_came_changed_or_went(store):
    level = store.projects.get(1).change
    store.annotations.heard(1, [answer(1), answer(2)], now=START)
    assert store.annotations.news_since(1, level) == 2
    level = store.projects.get(1).change
    store.annotations.heard_deleted(1, [2], now=START)
    assert store.annotations.news_since(1, level) == 1


def test_a_project_that_is_not_connected_keeps_nothing(store):
    with pytest.raises(NotFound, match="project 9 is not connected"):
        store.annotations.heard(9, [answer(1)], now=START)
    with store.database.read() as db:
        assert db.execute(select(table)).all() == []


# --- any interleaving -------------------------------------------------------------------------------

TASKS, IDS = (11, 12, 13), range(1, 6)


class Truth:
    """Label Studio: what is there, and every webhook that it ever sent."""

    def __init__(self):
        self.tasks = dict.fromkeys(TASKS, "first")
        self.annotations = {}
        self.buried = set()
        self.sent = []

    def write(self, id_, task_id, choice, now):
        task_id = self.annotations[id_].task_id if id_ in self.annotations else task_id
        if id_ in self.buried or task_id not in self.tasks:
            return  # ids are never used again
        self.annotations[id_] = answer(id_, task_id, now, choice, skipped=choice == "skip")
        self.sent.append(("heard", self.annotations[id_]))

    def delete(self, id_):
        if self.annotations.pop(id_, None):
            self.buried.add(id_)
            self.sent.append(("deleted", id_))

    def delete_task(self, task_id):
        if self.tasks.pop(task_id, None):
            for id_ in [id_ for id_, item in self.annotations.items() if item.task_id == task_id]:
                del self.annotations[id_]
                self.buried.add(id_)
            self.sent.append(("task deleted", task_id))

    def listed(self):
        of = {id_: [a for a in self.annotations.values() if a.task_id == id_] for id_ in self.tasks}
        return [task(id_, *of[id_], text=text) for id_, text in self.tasks.items()]


def deliver(store, sent, now):
    kind, what = sent
    if kind == "heard":
        store.annotations.heard(1, [what], now=now)
    elif kind == "deleted":
        store.annotations.heard_deleted(1, [what], now=now)
    else:
        store.tasks.remove(1, [what], now=now)


def read_all(store, tasks, *, asked_at, now):
    """What a full sync does: all tasks, then those that are known but were not listed."""
    store.tasks.record(1, tasks, asked_at=asked_at, now=now)
    store.tasks.remove(1, sorted(store.tasks.live_ids(1) - {task.id for task in tasks}), now=now)


def state(store):
    with store.database.read() as db:
        return sorted(
            (row.id, row.task_id, row.result[0]["value"]["choices"][0], row.was_cancelled)
            for row in db.execute(select(table).where(~table.c.deleted))
            if row.task_id in store.tasks.live_ids(1)
        )


def contents(store):
    rows, _ = store.tasks.changed_rows(1, 0)
    texts = [data["text"] for data in store.tasks.data(1, 0, len(rows))]
    return {row.task_id: text for row, text in zip(rows, texts, strict=True) if row.live}


_events = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"),
            st.sampled_from(IDS),
            st.sampled_from(TASKS),
            st.sampled_from(["a", "b", "skip"]),
        ),
        st.tuples(st.just("delete"), st.sampled_from(IDS)),
        st.tuples(st.just("delete task"), st.sampled_from(TASKS)),
        st.tuples(st.just("edit task"), st.sampled_from(TASKS), st.sampled_from(["first", "second"])),
        st.tuples(st.just("deliver"), st.integers(0, 30)),
        st.tuples(st.just("ask")),
        st.tuples(st.just("record"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(1, 30)),
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=_events)
def test_whatever_webhooks_do_the_final_listing_makes_the_store_equal_the_truth(store, events):
    """Deliveries lost, repeated, reordered, late; listings recorded long after they were asked for."""
    truth, asked, now = Truth(), [], START
    store.projects.forget(1)
    connect(store, 1)
    for event, *details in events:
        now += SECOND
        if event == "write":
            truth.write(*details, now)
        elif event == "delete":
            truth.delete(*details)
        elif event == "delete task":
            truth.delete_task(*details)
        elif event == "edit task" and details[0] in truth.tasks:
            truth.tasks[details[0]] = details[1]
        elif event == "deliver" and truth.sent:
            deliver(store, truth.sent[details[0] % len(truth.sent)], now)
        elif event == "ask":
            asked.append((now, truth.listed()))
        elif event == "record" and asked:
            asked_at, tasks = asked[details[0] % len(asked)]
            store.tasks.record(1, tasks, asked_at=asked_at, now=now)
        elif event == "wait":
            now += details[0] * SECOND
    now += UNSEEN_FOR + 2 * SECOND
    read_all(store, truth.listed(), asked_at=now, now=now)
    expected = sorted(
        (a.id, a.task_id, a.result[0]["value"]["choices"][0], a.was_cancelled)
        for a in truth.annotations.values()
    )
    assert state(store) == expected
    assert store.tasks.live_ids(1) == set(truth.tasks)
    assert contents(store) == truth.tasks
    counts = store.annotations.counts(1)
    skipped = sum(a.was_cancelled for a in truth.annotations.values())
    assert (counts.submitted, counts.skipped) == (len(expected) - skipped, skipped)
    for sent in truth.sent:  # all of them once more, late
        deliver(store, sent, now + SECOND)
    assert state(store) == expected, "and late webhooks change nothing any more"
