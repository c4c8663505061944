"""Two transactions of one project at once, on PostgreSQL, leave what they leave one after the other.

SQLite lets one transaction write at a time, so there is nothing to race.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

import backend.store.annotations
import backend.store.tasks
from backend.domain import Annotation, LeaseLost, Outdated, Project, Task, VersionState
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
def watcher(stores):
    engine = sa.create_engine(stores[0].database.url, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def cross(stores, watcher, monkeypatch):
    """Begin `second` when `first` is about to write, and let `first` go on when `second` is over or waits."""

    def run(first, second):
        about_to_write = threading.Event()

        def paused(real):
            def raise_change(*arguments, **also):
                if threading.get_ident() == begun[0] and not about_to_write.is_set():
                    about_to_write.set()
                    over_or_waiting(later, watcher)
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
            return sooner.result(60), later.result(60)

    return run


@pytest.fixture
def overlap(stores, watcher):
    """Begin `second` when `first` is about to commit, which it does when `second` is over or waits."""

    def run(first, second):
        def commit(_connection):
            if not later:
                later.append(threads.submit(second, stores[1]))
                over_or_waiting(later[0], watcher)

        later = []
        sa.event.listen(stores[0].database.engine, "commit", commit)
        with ThreadPoolExecutor(1) as threads:
            first(stores[0])
            return later[0].result(60)

    return run


def over_or_waiting(task, watcher):
    with watcher.connect() as db:
        while not task.done() and not db.scalar(WAITING):
            time.sleep(0.005)


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


# --- what is known of a project ----------------------------------------------------------------------


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


# --- who may write -----------------------------------------------------------------------------------


def test_an_overtaken_worker_does_not_prolong_the_lease_of_who_took_over(stores, overlap):
    mine = stores[1].leases.take(1, "a", now=START, seconds=10)
    with pytest.raises(LeaseLost, match="was taken over by b"):
        overlap(
            lambda store: store.leases.take(1, "b", now=after(10), seconds=10),
            lambda store: store.leases.renew(mine, now=after(11), seconds=3600),
        )
    assert stores[0].leases.holder(1, now=after(19.9)) == "b"
    assert stores[0].leases.holder(1, now=after(20)) is None


def test_who_takes_over_sees_all_that_was_written_under_the_lease_before(stores, overlap):
    mine = stores[0].leases.take(1, "a", now=START, seconds=10)

    def take_over(store):
        assert store.leases.take(1, "b", now=after(10), seconds=10).epoch == 2
        return [found.version for found in store.queue.versions(1)]

    seen = overlap(
        lambda store: store.queue.begin(mine, "1.1", [], number=1, attempt=1, now=after(9)), take_over
    )
    assert seen == ["1.1"]


@pytest.mark.parametrize("first", ["1.1", "1.2"])
def test_of_two_fronts_switched_to_at_once_the_later_one_is_current(stores, overlap, first):
    """Who is overtaken after Label Studio was switched, but before the store was, undoes nothing."""
    lease, second = stores[0].leases.take(1, "a", now=START, seconds=10), "1.2" if first == "1.1" else "1.1"
    for version in ("1.1", "1.2"):
        stores[0].queue.begin(lease, version, [], number=1, attempt=int(version[-1]), now=START)
    lost = pytest.raises(LeaseLost, match=r"front 1\.1 of project 1 was given up")
    with lost if second == "1.1" else nullcontext():
        overlap(
            lambda store: store.queue.switch(1, first, now=START),
            lambda store: store.queue.switch(1, second, now=START),
        )
    states = {found.version: found.state for found in stores[0].queue.versions(1)}
    assert states == {"1.1": VersionState.RETIRED, "1.2": VersionState.CURRENT}


def test_of_two_that_begin_the_same_attempt_at_once_one_is_told_so(stores, overlap):
    with pytest.raises(LeaseLost, match="another worker took over round 1 from attempt 1"):
        overlap(
            lambda store: store.rounds.start(1, 1, 1, "mine", now=START),
            lambda store: store.rounds.start(1, 1, 1, "theirs", now=START),
        )
    assert stores[0].rounds.latest(1).why == "mine"


def test_of_two_managers_who_save_at_once_the_second_is_told_who_was_first(stores, overlap):
    def save(author, labels):
        content = {"labels": labels}
        return lambda store: store.settings.save(1, "budget", content, revision=0, author=author, now=START)

    with pytest.raises(Outdated, match="budget: Ada saved revision 1"):
        overlap(save("Ada", 5), save("Ben", 7))
    assert stores[0].settings.current(1, "budget").content == {"labels": 5}
