"""Between a webhook and the store: in order, together when the store is busy, and never a long wait."""

import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from werkzeug.exceptions import ServiceUnavailable

from backend.domain import Annotation, NotFound, Project, Task
from backend.store import Store
from backend.web import inbox as module
from backend.web.inbox import Heard, Inbox

pytestmark = pytest.mark.databases

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(url):
    store = Store.open(url)
    for id_ in (1, 2):
        store.projects.connect(Project(id_, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    yield store
    store.close()


@pytest.fixture
def patient(store):
    inbox = Inbox(store, patience=60)
    yield inbox
    inbox.close()


def heard(*ids, project=1):
    return Heard(project, tuple(Annotation(id_, 11, (), False, False, 1, 1.0, NOW, NOW) for id_ in ids))


def stored(store, project=1):
    return sorted(answer.id for answer in store.annotations.of_tasks(project, [11]).get(11, []))


def test_what_is_put_is_written_when_put_says_so(store, patient):
    assert patient.put(heard(1), at=NOW)
    assert stored(store) == [1]


def test_while_the_store_is_stuck_put_says_so_at_once_and_all_is_written_in_order_afterwards(store):
    """A hundred webhooks that waited cost one transaction, not a hundred."""
    free, inbox = threading.Event(), Inbox(store, patience=0.01)
    assert not inbox.put(free.wait, at=NOW)
    before = store.projects.get(1).change
    for id_ in range(1, 101):
        assert not inbox.put(heard(id_), at=NOW)
    assert not inbox.put(partial(store.annotations.heard_deleted, 1, [7], now=NOW), at=NOW)
    assert stored(store) == []
    free.set()
    inbox.close()
    assert stored(store) == [id_ for id_ in range(1, 101) if id_ != 7]
    assert store.projects.get(1).change == before + 2


def test_a_label_that_waited_is_newer_than_a_page_that_was_listed_meanwhile(store):
    """The store was stuck: the page, written last, does not know of the label, which is no deletion."""
    free, inbox = threading.Event(), Inbox(store, patience=0.01)
    inbox.put(free.wait, at=NOW)
    for seconds, id_ in ((0, 1), (40, 2)):
        inbox.put(heard(id_), at=NOW + timedelta(seconds=seconds))
    free.set()
    inbox.close()
    known = Annotation(1, 11, (), False, False, 1, 1.0, NOW, NOW)
    listed, written = NOW + timedelta(seconds=30), NOW + timedelta(seconds=41)
    store.tasks.record(1, [Task(11, {"text": "x"}, NOW, (known,))], asked_at=listed, now=written)
    assert stored(store) == [1, 2]


def test_one_that_cannot_be_written_does_not_take_the_others_with_it(store, caplog):
    """It fails alone, on one line."""
    free, inbox = threading.Event(), Inbox(store, patience=0.01)
    inbox.put(free.wait, at=NOW)
    odd = Annotation(2, 11, (object(),), False, False, 1, 1.0, NOW, NOW)
    for what in (heard(1), Heard(1, (odd,)), heard(3), heard(4, project=99), heard(5, project=2)):
        inbox.put(what, at=NOW)
    free.set()
    inbox.close()
    assert (stored(store), stored(store, 2)) == ([1, 3], [5])
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2
    assert "project 99 is not connected" in errors[1]
    assert not any("\n" in error for error in errors)


def test_the_request_that_waits_is_told_what_went_wrong(patient):
    with pytest.raises(NotFound, match="project 99"):
        patient.put(heard(1, project=99), at=NOW)


def test_when_too_many_wait_the_next_is_refused(store, monkeypatch):
    monkeypatch.setattr(module, "CAPACITY", 3)
    free, inbox = threading.Event(), Inbox(store, patience=0.01)
    inbox.put(free.wait, at=NOW)
    for id_ in (1, 2, 3):
        inbox.put(heard(id_), at=NOW)
    with pytest.raises(ServiceUnavailable, match="a poll will find this one"):
        inbox.put(heard(4), at=NOW)
    free.set()
    inbox.close()
    assert stored(store) == [1, 2, 3]


def test_many_threads_put_and_none_is_lost(store, patient):
    threads = [
        threading.Thread(
            target=lambda first: [patient.put(heard(first + n), at=NOW) for n in range(20)], args=(k,)
        )
        for k in range(1, 161, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored(store) == list(range(1, 161))
