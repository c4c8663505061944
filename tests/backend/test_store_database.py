"""What the store is reached by: its URL, its driver, as many connections as there are threads, its errors."""

import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from packaging.requirements import Requirement

from backend.cli.setup import Setup
from backend.domain import Project, StoreError
from backend.store import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def test_a_url_of_postgresql_needs_no_driver_named(tmp_path):
    """SQLAlchemy 2.0 would look for psycopg2, which nextlabel does not bring."""
    assert Store("postgresql://somebody@nowhere/db").database.engine.driver == "psycopg"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {each.name: each.specifier for each in map(Requirement, project["dependencies"])}
    assert not needed["SQLAlchemy"].contains("2.0.99")
    assert "psycopg" in {Requirement(each).name for each in project["optional-dependencies"]["postgresql"]}


@pytest.mark.databases
def test_as_many_threads_as_it_has_connections_use_a_store_at_the_same_time(url):
    store, all_in = Store.open(url, connections=40), threading.Barrier(40)

    def look(_number):
        with store.database.read() as db:
            all_in.wait(timeout=15)
            return db.scalar(sa.text("select 1"))

    with ThreadPoolExecutor(40) as threads:
        assert list(threads.map(look, range(40))) == [1] * 40
    store.close()


@pytest.mark.databases
def test_what_is_written_to_see_that_it_can_be_changes_nothing(new_url):
    """And what cannot be written is told in one line, whatever the database."""
    store = Store.open(new_url)
    store.check_writing()
    store.migrate()
    with store.database.write() as db:
        db.execute(sa.text("ALTER TABLE alembic_version RENAME TO elsewhere"))
    with pytest.raises(StoreError, match="alembic_version"):
        store.check_writing()
    store.close()


def test_a_store_has_connections_for_all_threads_that_answer(tmp_path):
    variables = {"NEXTLABEL_HOME": str(tmp_path), "NEXTLABEL_WEB_THREADS": "100"}
    setup = Setup(None, variables)
    assert setup.config.web.threads == 100
    assert setup.store.database.engine.pool.size() > 100
    setup.store.close()


@pytest.mark.databases
def test_who_waits_too_long_for_a_connection_is_told_so(url, monkeypatch):
    store = Store.open(url, connections=1)
    monkeypatch.setattr(store.database.engine.pool, "_timeout", 0.05)
    with store.database.read(), pytest.raises(StoreError, match="QueuePool limit of size 1"):
        store.check()
    store.check()
    store.close()


@pytest.mark.databases
@pytest.mark.parametrize(
    "error",
    [
        sa.exc.InterfaceError("select 1", {}, Exception("the connection is closed")),
        sa.exc.InvalidRequestError("the connection is closed"),
        sa.exc.OperationalError("select 1", {}, Exception("the connection is closed\nmore of it")),
    ],
)
def test_whatever_goes_wrong_with_a_database_is_an_error_of_the_store_in_one_line(store, error):
    for transaction in (store.database.read, store.database.write):
        with pytest.raises(StoreError, match=r"the connection is closed$"), transaction():
            raise error


@pytest.mark.databases
def test_all_that_is_read_in_one_transaction_is_of_one_moment(store, url):
    count, other = sa.text("select count(*) from worker"), Store(url)
    with store.database.read() as db:
        assert db.scalar(count) == 0
        other.leases.beat("somebody", now=NOW)
        assert db.scalar(count) == 0
    with store.database.read() as db:
        assert db.scalar(count) == 1
    other.close()


@pytest.mark.databases
def test_a_lease_is_looked_at_while_it_is_renewed(store, url):
    """By two threads of one worker: neither waits for the other, nor fails."""
    store.projects.connect(Project(1, "p", "<View/>", "", "", True, 1, 0, 0), {}, now=NOW)
    lease = store.leases.take(1, "a", now=NOW, seconds=60)
    with ThreadPoolExecutor(2) as threads:
        looks = [threads.submit(store.leases.check, lease, now=NOW) for _ in range(100)]
        renewals = [threads.submit(store.leases.renew, lease, now=NOW, seconds=60) for _ in range(100)]
        assert [each.result() for each in looks + renewals] == [None] * 200
