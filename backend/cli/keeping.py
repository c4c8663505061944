"""Whether the store can be written, and has room to grow: what the doctor says of where all is kept."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path

from backend.domain import Finding, Level, StoreBusy, StoreError, StoreUnwritable
from backend.store import Store

SCARCE = 500_000_000
"""Bytes free below which a target's weights, or the embeddings of a large pool, may not fit any more."""

BUSY = "busy: another process writes for long"

_BLOCK = bytes(64 * 1024)
_BUSY_REMEDY = "Run the doctor again later; if it stays so, look for what holds the database for so long."
_DISK = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
)


def examine_store(store: Store, home: Path) -> Finding:
    """Write a little into the store and where embeddings and models are kept, and see how much is left."""
    try:
        store.check_writing()
    except StoreBusy as error:
        return Finding("store", Level.WARNING, f"{BUSY} ({error})", _BUSY_REMEDY)
    except StoreUnwritable as error:
        return _error(str(error), _make_room(store))
    except StoreError as error:
        return _error(str(error), "Mend the database, or correct store.url.")
    try:
        free = _free_after_writing(home)
    except OSError as error:
        remedy = _make_room_in(home) if error.errno in _DISK else "Correct store.home, or what stands there."
        return _error(f"store folder {home}: {error.strerror or error}", remedy)
    left = f"{_size(free)} are free in {home}"
    if free < SCARCE:
        return Finding("store", Level.WARNING, left, "Make room there before it is full.")
    return Finding("store", Level.OK, f"it can be written, and {left}")


def _error(what: str, remedy: str) -> Finding:
    said = f"it cannot be written, so nothing is learned or published: {what}"
    return Finding("store", Level.ERROR, said, remedy)


def _make_room(store: Store) -> str:
    """Say what helps where the database has no room, or may not be written; it need not be in our folder."""
    database = store.database
    if not database.is_sqlite:
        return "Make room on the database's server, or let the user in store.url write there."
    return _make_room_in(Path(database.url.database or "").absolute().parent)


def _make_room_in(folder: Path) -> str:
    try:
        room = f" {_size(shutil.disk_usage(folder).free)} are free in {folder}."
    except OSError:
        room = ""
    return f"Make room there, or let the user that runs nextlabel write there.{room}"


def _free_after_writing(home: Path) -> int:
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=home) as file:  # a disk can be full for us and have bytes left for root
        file.write(_BLOCK)
        file.flush()
    return shutil.disk_usage(home).free


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
