"""Backups: one consistent SQLite file, made while others write."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from backend.domain import Annotation, Project, StoreError, Task
from backend.store import Store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(url):
    store = Store.open(url)
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=START)
    yield store
    store.close()


def answer(id_, task):
    return Annotation(id_, task, ({"value": id_},), False, False, 1, 1.0, START, START)


def test_a_backup_made_while_others_write_is_one_consistent_store(store, tmp_path):
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            task = Task(number, {"text": "x" * 200}, START, (answer(number, number),))
            store.tasks.record(1, [task], asked_at=START, now=START)

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        while store.tasks.count(1) < 20:
            time.sleep(0.01)
        store.backup(tmp_path / "backup.db")
        stop.set()
        writing.result()
    copy = Store.open(f"sqlite:///{tmp_path}/backup.db")
    live = copy.tasks.live_ids(1)
    assert len(live) >= 20
    assert live == set(range(1, len(live) + 1))
    answered = copy.annotations.of_tasks(1, sorted(live)).keys()
    assert answered == live, "never a task without its annotation"
    copy.close()


def test_a_backup_overwrites_nothing(store, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"mine\.txt: exists already"):
        store.backup(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_backup_into_a_folder_that_cannot_be_written_is_one_clear_line(store, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="backup file"):
        store.backup(folder / "backup.db")


def test_a_backup_into_no_folder_is_one_clear_line(store, tmp_path):
    with pytest.raises(StoreError, match=r"backup file .*nowhere"):
        store.backup(tmp_path / "nowhere" / "backup.db")
