"""The store among processes and faults: races, kills, migrations, backups, and forgetting."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from migrating import upgrade

from backend.domain import Annotation, FrontTask, Origin, Project, StoreError, Task
from backend.store import Store
from backend.store.pages import PoolMap
from backend.store.schema import metadata

pytestmark = pytest.mark.databases

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRELUDE = """
import sys
from datetime import UTC, datetime
from backend.domain import Annotation, Project, Task
from backend.store import Store
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
def answer(id_, task): return Annotation(id_, task, (), False, False, 1, 1.0, START, START)
"""


@pytest.fixture
def store(url):
    store = Store.open(url)
    connect(store, 1)
    yield store
    store.close()


def connect(store, id_):
    store.projects.connect(Project(id_, "p", "<View/>", "", "", True, 1, 0, 0), {"sampling": "x"}, now=START)


def answer(id_, task):
    return Annotation(id_, task, ({"value": id_},), False, False, 1, 1.0, START, START)


def start(script, *arguments):
    command = [sys.executable, "-c", PRELUDE + script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out


def heard_ids(store, tasks):
    return sorted(found.id for of_task in store.annotations.of_tasks(1, tasks).values() for found in of_task)


# --- migrations -------------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_tables_of_the_schema(store):
    with store.database.engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db, opts={"compare_type": True}), metadata) == []


def test_processes_that_open_a_new_store_at_once_all_find_it_complete(new_url):
    script = "Store.open(sys.argv[1]).check(); print('fine')"
    processes = [start(script, new_url) for _ in range(3)]
    assert [finish(process) for process in processes] == ["fine\n"] * 3


def test_threads_that_open_a_new_store_at_once_all_find_it_complete(new_url):
    with ThreadPoolExecutor(4) as threads:
        for opened in threads.map(lambda _: Store.open(new_url), range(4)):
            opened.check()
            opened.close()


def test_a_store_of_a_newer_nextlabel_is_refused_in_one_line_and_left_alone(new_url):
    store = Store.open(new_url)
    connect(store, 1)
    with store.database.write() as db:
        db.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StoreError, match="newer nextlabel") as caught:
        Store.open(new_url)
    assert "\n" not in str(caught.value)
    assert store.projects.get(1).title == "p"
    store.close()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("nonsense", "nonsense"),
        ("oracle://somewhere", "oracle"),
        ("sqlite:////proc/nowhere/store.db", "/proc/nowhere"),
    ],
)
def test_a_store_that_cannot_be_is_one_clear_line(wrong, named):
    with pytest.raises(StoreError, match=named) as caught:
        Store.open(wrong)
    assert "\n" not in str(caught.value)


def test_an_error_does_not_tell_the_password(tmp_path):
    with pytest.raises(StoreError) as caught:
        Store("nonsense+driver://somebody:s3cret@host/db")
    assert "s3cret" not in str(caught.value)


# --- many at once -----------------------------------------------------------------------------------


def test_threads_that_write_at_once_lose_nothing_and_count_each_change_once(store):
    before = store.projects.get(1).change
    with ThreadPoolExecutor(8) as threads:
        done = [
            threads.submit(store.annotations.heard, 1, [answer(n, n % 7)], now=START) for n in range(1, 161)
        ]
        assert sum(each.result() for each in done) == 160
    assert heard_ids(store, range(7)) == list(range(1, 161))
    assert store.projects.get(1).change == before + 160


def test_processes_that_write_at_once_lose_nothing_and_number_rows_without_gaps(store, url):
    """Webhooks in one, pages of tasks in the other, in one store."""
    hear = "s = Store(sys.argv[1])\nfor n in range(1, 101): s.annotations.heard(1, [answer(n, n)], now=START)"
    read = """
s, first = Store(sys.argv[1]), int(sys.argv[2])
for n in range(first, first + 100, 5):
    tasks = [Task(id_, {"text": str(id_)}, START) for id_ in range(n, n + 5)]
    s.tasks.record(1, tasks, asked_at=START, now=START)
"""
    for process in [start(hear, url), start(read, url, 1), start(read, url, 1001)]:
        finish(process)
    assert heard_ids(store, range(1, 101)) == list(range(1, 101))
    rows, _ = store.tasks.changed_rows(1, 0)
    assert [row.row for row in rows] == list(range(200))
    assert store.tasks.live_ids(1) == {*range(1, 101), *range(1001, 1101)}


def test_of_processes_that_want_a_lease_exactly_one_gets_it(store, url):
    script = "print(Store(sys.argv[1]).leases.take(1, 'w' + sys.argv[2], now=START, seconds=60) is not None)"
    processes = [start(script, url, number) for number in range(3)]
    assert sorted(finish(process).strip() for process in processes) == ["False", "False", "True"]


# --- faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("writes", [3, 40])
def test_a_process_killed_in_the_middle_of_writing_leaves_whole_transactions(store, url, writes):
    """Each page is five tasks with an annotation each: all of it or nothing, and the store goes on."""
    script = """
s = Store(sys.argv[1])
for n in range(0, 10**6, 5):
    ids = range(n + 1, n + 6)
    tasks = [Task(id_, {"text": str(id_)}, START, (answer(id_, id_),)) for id_ in ids]
    s.tasks.record(1, tasks, asked_at=START, now=START)
    print(n, flush=True)
"""
    process = start(script, url)
    for _ in range(writes):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    again = Store.open(url)
    live = again.tasks.live_ids(1)
    rows, level = again.tasks.changed_rows(1, 0)
    assert len(live) >= 5 * writes
    assert live == set(range(1, len(live) + 1))
    assert len(live) % 5 == 0
    assert (len(rows), level) == (len(live), len(live) // 5)
    assert heard_ids(again, sorted(live)) == sorted(live)
    again.tasks.record(1, [Task(10**7, {"text": "next"}, START)], asked_at=START, now=START)
    assert again.tasks.changed_rows(1, level)[0][0].row == len(live), "no row number is lost or used twice"
    if again.database.is_sqlite:
        with again.database.read() as db:
            assert db.execute(sa.text("pragma integrity_check")).all() == [("ok",)]
    again.close()


def test_an_error_in_the_middle_of_a_transaction_undoes_all_of_it(store):
    before = store.projects.get(1)
    bad = Task(12, {"text": object()}, START)
    with pytest.raises(TypeError):
        store.tasks.record(1, [Task(11, {"text": "x"}, START), bad], asked_at=START, now=START)
    assert store.projects.get(1) == before
    assert store.tasks.live_ids(1) == set()


def test_a_time_without_a_zone_is_refused(store):
    with pytest.raises((StoreError, sa.exc.StatementError), match="time zone"):
        store.projects.polled(1, cursor=None, now=START.replace(tzinfo=None))


# --- forgetting -------------------------------------------------------------------------------------


def fill_every_table(store, project):
    connect(store, project)
    lease = store.leases.take(project, "worker", now=START, seconds=60)
    ids = range(100 * project, 100 * project + 3)
    tasks = [Task(id_, {"text": str(id_)}, START, (answer(id_, id_),)) for id_ in ids]
    store.tasks.record(project, tasks, asked_at=START, now=START)
    store.tasks.set_encoded(project, "minilm", 3)
    front = [FrontTask(ids[0], 0, 0.0, Origin.AUDIT, 0.5, "close call")]
    store.queue.begin(lease, "1.1", front, number=1, attempt=1, now=START)
    store.rounds.start(project, 1, 1, "first", now=START)
    store.pages.set_map(project, PoolMap(1, 3, "minilm", START, {"label": [None], "uncertainty": [None]}))
    store.pages.set_facts(project, "1.1", {})
    store.deeds.wish(project, "retrain", by="somebody", now=START)
    store.settings.save(project, "budget", {"labels": 5}, revision=0, author="somebody", now=START)
    store.closures.want(project, [{"kind": "labels"}], closed=True, now=START)
    training = store.training_leases.take(project, "trainer", now=START, seconds=60)
    store.targets.begin(
        training,
        why="asked for",
        name="classifier",
        control="label",
        form="classes",
        labels=("a", "b"),
        change=1,
        figures={},
        now=START,
    )


def test_what_was_answered_before_tasks_were_noted_as_drawn_is_so_if_it_came_after_connecting(new_url):
    """And what a front that is still known asked for at random, answered or not, but nothing else of it."""
    store = Store(new_url)
    with store.database.write() as db:
        upgrade(db, "0004")
        db.execute(sa.insert(metadata.tables["project"]), [project_row(1), project_row(2)])
        earlier, later = START - timedelta(hours=1), START + timedelta(hours=1)
        versions = {"version": "1.1", "round": 1, "attempt": 1, "state": "current", "created_at": START}
        db.execute(sa.insert(metadata.tables["queue_version"]), [{"project_id": 1, **versions}])
        asked = {"rank": 0, "score": 0.0, "utility": 0.0, "reason": "", "result": []}
        fronts = [(14, "audit"), (15, "chosen"), (16, "audit")]
        db.execute(
            sa.insert(metadata.tables["front"]),
            [
                {"project_id": 1, "version": "1.1", "task_id": task, "origin": origin, **asked}
                for task, origin in fronts
            ],
        )
        answers = [
            answer_row(1, 1, 10, earlier),
            answer_row(1, 2, 10, later),
            answer_row(1, 3, 11, later),
            answer_row(1, 4, 12, later, deleted=True),
            answer_row(1, 5, None, later),
            answer_row(2, 6, 13, START),
            answer_row(1, 7, 14, later),
            answer_row(1, 8, 15, later),
        ]
        db.execute(sa.insert(metadata.tables["annotation"]), answers)
    store.migrate()
    assert [store.queue.drawn(project, range(20)) for project in (1, 2)] == [{11, 14, 16}, {13}]
    store.close()


def project_row(id_):
    return {
        "id": id_,
        "title": "p",
        "label_config": "",
        "connected_at": START,
        "connected": True,
        "previous": {},
    }


def answer_row(project, id_, task, at, *, deleted=False):
    return {
        "project_id": project,
        "id": id_,
        "task_id": task,
        "result": [],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": at,
        "updated_at": at,
        "seen_at": at,
        "deleted": deleted,
        "change": 1,
    }


def test_forgetting_a_project_erases_it_from_every_table_and_touches_no_other(store):
    for project in (1, 2):
        fill_every_table(store, project)
    tables = [t for t in metadata.sorted_tables if t.name == "project" or "project_id" in t.c]

    def count(project):
        with store.database.read() as db:
            return {
                table.name: db.scalar(
                    sa.select(sa.func.count()).where(
                        table.c["id" if table.name == "project" else "project_id"] == project
                    )
                )
                for table in tables
            }

    other = count(2)
    assert all(count(1).values()), "each table held something"
    store.projects.forget(1)
    assert not any(count(1).values())
    assert count(2) == other
    connect(store, 1)
    assert store.tasks.changed_rows(1, 0) == ([], 0), "and it can begin anew"
