"""Whether the store can be written, and has room to grow: what the doctor says of where all is kept."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from backend.domain import Finding, Level, StoreError
from backend.store import Store

SCARCE = 500_000_000
"""Bytes free below which a target's weights, or the embeddings of a large pool, may not fit any more."""

_BLOCK = bytes(64 * 1024)


def examine_store(store: Store, home: Path) -> Finding:
    """Write a little into the store and where embeddings and models are kept, and see how much is left."""
    try:
        store.check_writing()
    except StoreError as error:
        return _error(str(error), home)
    try:
        free = _free_after_writing(home)
    except OSError as error:
        return _error(f"store folder {home}: {error.strerror or error}", home)
    left = f"{_size(free)} are free in {home}"
    if free < SCARCE:
        return Finding("store", Level.WARNING, left, "Make room there before it is full.")
    return Finding("store", Level.OK, f"it can be written, and {left}")


def _error(what: str, home: Path) -> Finding:
    try:
        room = f" {_size(shutil.disk_usage(home).free)} are free in {home}."
    except OSError:
        room = ""
    return Finding(
        "store",
        Level.ERROR,
        f"it cannot be written, so nothing is learned or published: {what}",
        f"Make room there, or let the user that runs nextlabel write there.{room}",
    )


def _free_after_writing(home: Path) -> int:
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=home) as file:  # a disk can be full for us and have bytes left for root
        file.write(_BLOCK)
        file.flush()
    return shutil.disk_usage(home).free


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
