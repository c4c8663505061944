"""What `doctor` says of the installation, before and after a project is connected."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from backend.cli.examining import examine
from backend.cli.keeping import BUSY, examine_store
from backend.cli.setup import Setup
from backend.domain import Finding, Level, Member, Unauthorized, Unreachable, silent, utc_now
from backend.labelstudio.doctor import examine_server
from backend.labelstudio.errors import NoSuchApi
from backend.store import Store

URL = "http://127.0.0.1:1"


class Server:
    """A Label Studio that answers, or fails at each request."""

    url = URL

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def version(self) -> str:
        if self.error:
            raise self.error
        return "1.23.2"

    def whoami(self) -> Member:
        return Member(1, "anna@example.org")


def found(setup: Any, project: int | None = None) -> dict[str, Finding]:
    return {finding.check: finding for _, finding in examine(setup, project, now=utc_now, progress=silent)}


def setup_with(store: Store, labelstudio: Any, home: Path) -> Any:
    config = SimpleNamespace(store=SimpleNamespace(home=home))
    return SimpleNamespace(store=store, labelstudio=labelstudio, config=config)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file takes a byte any more, whoever runs this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_before_the_first_connect_it_looks_at_label_studio(store: Store, tmp_path: Path) -> None:
    seen = found(setup_with(store, Server(), tmp_path))
    assert seen["Label Studio"].level is Level.OK
    assert seen["Label Studio"].message == f"1.23.2 at {URL}, as anna@example.org"
    assert seen["projects"].level is Level.WARNING
    down = found(setup_with(store, Server(Unreachable("Connection refused")), tmp_path))["Label Studio"]
    assert (down.level, down.message) == (Level.ERROR, "Connection refused")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unreachable("refused"), "Start Label Studio"),
        (Unauthorized("no"), "LABEL_STUDIO_API_KEY"),
        (NoSuchApi("404"), "LABEL_STUDIO_URL"),
    ],
)
def test_what_helps_depends_on_what_failed(error: Exception, words: str) -> None:
    server: Any = Server(error)
    assert words in examine_server(server).remedy


@pytest.mark.parametrize("key", [None, "no such token"])
def test_a_missing_key_is_one_finding_and_no_end(tmp_path: Any, key: str | None) -> None:
    given = {"LABEL_STUDIO_URL": URL, "NEXTLABEL_HOME": str(tmp_path)}
    setup = Setup(None, given if key is None else given | {"LABEL_STUDIO_API_KEY": key})
    finding = found(setup)["Label Studio"]
    assert finding.level is Level.ERROR
    assert "LABEL_STUDIO_API_KEY" in finding.remedy
    setup.store.close()


def test_what_is_wrong_with_label_studio_is_told_once(tmp_path: Any, labelstudio: Any) -> None:
    """Not again for each project; the rest of a project is looked at all the same."""
    setup = Setup(None, {"LABEL_STUDIO_URL": URL, "NEXTLABEL_HOME": str(tmp_path)})
    setup.store.projects.connect(labelstudio.info, {}, now=utc_now())
    seen = examine(setup, 1, now=utc_now, progress=silent)
    assert [finding.check for _, finding in seen] == ["Label Studio", "store", "worker", "encoder"]
    setup.store.close()


def test_a_store_that_can_be_written_says_how_much_room_is_left(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "not made yet"
    monkeypatch.setattr("backend.cli.keeping.SCARCE", 1)
    fine = examine_store(store, home)
    assert fine.level is Level.OK
    assert fine.message.startswith("it can be written, and ")
    assert fine.message.endswith(f"B are free in {home}")
    assert list(home.iterdir()) == []
    monkeypatch.setattr("backend.cli.keeping.SCARCE", 10**18)
    scarce = examine_store(store, home)
    assert (scarce.level, scarce.remedy) == (Level.WARNING, "Make room there before it is full.")


def test_a_full_disk_is_told_by_its_name_and_no_worker_is_missed(store: Store, tmp_path: Path) -> None:
    """What a worker says of itself cannot be written either: nobody is to start a second one."""
    setup = setup_with(store, Server(), tmp_path)
    assert "no worker runs" in found(setup)["worker"].message
    with full_disk():
        seen = found(setup)
    assert seen["store"].level is Level.ERROR
    assert "nothing is learned or published: store sqlite://" in seen["store"].message
    assert f"B are free in {tmp_path}." in seen["store"].remedy
    assert seen["worker"].level is Level.WARNING
    assert "cannot be told" in seen["worker"].message
    assert "nextlabel up" not in seen["worker"].remedy
    store.leases.beat("a worker", now=utc_now())
    with full_disk():
        assert found(setup)["worker"].level is Level.OK


def test_a_folder_that_cannot_be_written_is_told_though_the_store_can(store: Store, tmp_path: Path) -> None:
    """Embeddings and models are kept there, wherever the store is."""
    home = tmp_path / "file"
    home.touch()
    finding = examine_store(store, home)
    assert finding.level is Level.ERROR
    assert f"store folder {home}: " in finding.message
    assert finding.remedy == "Correct store.home, or what stands there."


def test_a_store_that_another_writes_for_long_is_busy_and_lacks_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a worker missed, whose signs of life wait as long."""
    monkeypatch.setattr("backend.store.database.BUSY_SECONDS", 0.05)
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    seen = found(setup_with(store, Server(), tmp_path))
    other.close()
    assert seen["store"].level is seen["worker"].level is Level.WARNING
    assert seen["store"].message.startswith("busy: another process writes for long (store sqlite://")
    assert "cannot be written" not in seen["store"].message
    assert "room" not in seen["store"].remedy
    assert "nextlabel up" not in seen["worker"].remedy
    assert examine_store(store, tmp_path).level is not Level.ERROR
    store.close()


def test_room_is_told_of_where_the_database_is(tmp_path: Path) -> None:
    """Which need not be the folder of embeddings and models."""
    store = Store.open(f"sqlite:///{tmp_path / 'elsewhere' / 'store.db'}")
    with full_disk():
        finding = examine_store(store, tmp_path / "home")
    assert finding.level is Level.ERROR
    assert f"B are free in {tmp_path / 'elsewhere'}." in finding.remedy
    with store.database.write() as db:
        db.execute(sa.text("ALTER TABLE alembic_version RENAME TO gone"))
    broken = examine_store(store, tmp_path / "home")
    assert broken.level is Level.ERROR
    assert "no such table" in broken.message
    assert broken.remedy == "Mend the database, or correct store.url."
    store.close()


def test_postgresql_is_never_told_to_make_room_in_our_folder(postgresql: Any, tmp_path: Path) -> None:
    new_url = postgresql.new()
    Store.open(new_url).close()
    patient, read_only = (
        Store(f"{new_url}{'&' if '?' in new_url else '?'}options=-c%20{option}")
        for option in ("lock_timeout%3D50", "default_transaction_read_only%3Don")
    )
    refused = examine_store(read_only, tmp_path)
    assert (refused.level, refused.remedy) == (
        Level.ERROR,
        "Make room on the database's server, or let the user in store.url write there.",
    )
    writer = Store(new_url)
    with writer.database.write() as db:
        db.execute(sa.text("LOCK TABLE alembic_version"))
        busy = examine_store(patient, tmp_path)
    assert (busy.level, busy.message.partition(" (")[0]) == (Level.WARNING, BUSY)
    for store in (patient, read_only, writer):
        store.close()
