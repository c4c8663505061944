"""Two transactions of one project at once, on PostgreSQL, leave what they leave one after the other.

SQLite lets one transaction write at a time, so there is nothing to race.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

import backend.store.annotations
import backend.store.tasks
from backend.domain import Annotation, Project, Task
from backend.store import Store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAITING = sa.text(
    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
)


def after(seconds):
    return START + timedelta(seconds=seconds)


@pytest.fixture
def stores(postgresql):
    """Two processes' views of one store."""
    url = postgresql.made()
    pair = Store.open(url), Store.open(url)
    pair[0].projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    yield pair
    for each in pair:
        each.close()


@pytest.fixture
def cross(stores, monkeypatch):
    """Begin `second` when `first` is about to write, and let `first` go on when `second` is over or waits."""

    def run(first, second):
        about_to_write, watcher = threading.Event(), sa.create_engine(stores[0].database.url)

        def paused(real):
            def raise_change(*arguments, **also):
                if threading.get_ident() == begun[0] and not about_to_write.is_set():
                    about_to_write.set()
                    with watcher.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                        while not later.done() and not db.scalar(WAITING):
                            time.sleep(0.005)
                return real(*arguments, **also)

            return raise_change

        def go_first():
            begun.append(threading.get_ident())
            return first(stores[0])

        def go_second():
            assert about_to_write.wait(30)
            return second(stores[1])

        begun = []
        for module in (backend.store.annotations, backend.store.tasks):
            monkeypatch.setattr(module, "raise_change", paused(module.raise_change))
        with ThreadPoolExecutor(2) as threads:
            later = threads.submit(go_second)
            sooner = threads.submit(go_first)
            found = sooner.result(60), later.result(60)
        watcher.dispose()
        return found

    return run


def answer(choice, at=START):
    return Annotation(7, 11, ({"value": {"choices": [choice]}},), False, False, 1, 2.5, START, at)


def heard(choice, at):
    return lambda store: store.annotations.heard(1, [answer(choice, at)], now=at)


def deleted(at):
    return lambda store: store.annotations.heard_deleted(1, [7], now=at)


def removed(at):
    return lambda store: store.tasks.remove(1, [11], now=at)


def listed(*annotations, asked_at, text="x"):
    page = [Task(11, {"text": text}, START, annotations)]
    return lambda store: store.tasks.record(1, page, asked_at=asked_at, now=asked_at)


def choices(store):
    return [
        item["value"]["choices"][0]
        for each in store.annotations.of_tasks(1, [11]).get(11, ())
        for item in each.result
    ]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("first", ["old", "new"])
def test_the_newer_of_two_webhooks_wins(stores, cross, known, first):
    if known:
        heard("first of all", START)(stores[0])
    both = {"old": heard("old", after(1)), "new": heard("new", after(9))}
    cross(both[first], both["old" if first == "new" else "new"])
    assert choices(stores[0]) == ["new"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_late_webhook_does_not_revive_what_was_deleted(stores, cross, order):
    heard("first of all", START)(stores[0])
    cross(*(heard("edited", after(1)), deleted(after(2)))[::order])
    assert choices(stores[0]) == []
    assert stores[0].annotations.counts(1).deleted == 1


@pytest.mark.parametrize("order", [1, -1])
def test_a_page_that_was_listed_before_a_webhook_does_not_undo_it(stores, cross, order):
    listed(answer("a"), asked_at=START)(stores[0])
    cross(*(listed(answer("b", after(1)), asked_at=after(2)), heard("c", after(3)))[::order])
    assert choices(stores[0]) == ["c"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_page_that_was_listed_before_a_deletion_does_not_undo_it(stores, cross, order):
    listed(answer("a"), asked_at=START)(stores[0])
    cross(*(listed(answer("b", after(1)), asked_at=after(2)), deleted(after(3)))[::order])
    assert choices(stores[0]) == []


@pytest.mark.parametrize("order", [1, -1])
def test_a_task_is_removed_while_a_page_with_it_is_read(stores, cross, order):
    """Neither fails, and the page, which was asked for before, does not bring the task back."""
    listed(answer("a"), asked_at=START)(stores[0])
    cross(*(removed(after(9)), listed(answer("b", after(1)), asked_at=after(5), text="edited"))[::order])
    assert stores[0].tasks.live_ids(1) == set()
    assert choices(stores[0]) == []


@pytest.mark.parametrize("order", [1, -1])
def test_two_pages_with_one_task_leave_one_row_of_it(stores, cross, order):
    cross(*(listed(asked_at=after(1)), listed(answer("a"), asked_at=after(2)))[::order])
    rows, _ = stores[0].tasks.changed_rows(1, 0)
    assert [(row.row, row.task_id, row.live) for row in rows] == [(0, 11, True)]
    assert choices(stores[0]) == ["a"]
